//! Where a target that fetches images by itself gets one: by the digest that was remembered for a
//! repository, with what is stored for its registry. What is on this machine only is refused before
//! anything is begun.

use crate::{context::Context, placement::Turn, registries};
use domain::{
    name::ContentId,
    registry::{IN_A_REGISTRY, StoredDigest},
    target::{Finding, Plan, Pull, Verdict},
};

/// The plan, with where its image is fetched from. The use of credentials is a row, once for those
/// whose instances these are.
pub(crate) async fn with_pull(turn: &mut Turn<'_>, mut plan: Plan) -> anyhow::Result<Plan> {
    if !turn.target.fetches_images() {
        return Ok(plan);
    }
    let Some(stored) = stored(turn.context, &plan).await? else { return Ok(plan) };
    let address = stored.repository.address();
    let login = registries::credentials(turn.context, &address).await?;
    if login.is_some() && turn.memory.login_told != Some(plan.maker) {
        let what = format!(
            "to let {} fetch {}",
            turn.placement.place.environment,
            stored.repository.pinned(&stored.digest)
        );
        let subject = turn.placement.subject(None);
        registries::tell_use(&turn.context.pool, subject, &address, what).await?;
        turn.memory.login_told = Some(plan.maker);
    }
    let login = login.map(Into::into);
    plan.pull = Some(Pull { repository: stored.repository, digest: stored.digest, login });
    Ok(plan)
}

/// The plan, with where its image could be fetched from, and nothing secret: for a question.
pub(crate) async fn could_pull(context: &Context, mut plan: Plan) -> anyhow::Result<Plan> {
    plan.pull = stored(context, &plan).await?.map(|stored| Pull {
        repository: stored.repository,
        digest: stored.digest,
        login: None,
    });
    Ok(plan)
}

/// What preflight says of where the image is, for a target that fetches it.
pub(crate) fn finding(plan: &Plan) -> Finding {
    let question = IN_A_REGISTRY.to_owned();
    match &plan.pull {
        Some(pull) => Finding {
            question,
            verdict: Verdict::Pass,
            detail: format!("{} by its digest {}", pull.repository, pull.digest.short()),
        },
        None => Finding {
            question,
            verdict: Verdict::Refuse,
            detail: format!(
                "{} is only on this machine, where this target can not fetch it; push it to a \
                 registry, then roll out again",
                plan.image.short()
            ),
        },
    }
}

/// By which digest, from where: the repository that the service's images go to, else the newest one.
async fn stored(context: &Context, plan: &Plan) -> anyhow::Result<Option<StoredDigest>> {
    let image: &ContentId = &plan.image;
    let mut conn = context.pool.acquire().await?;
    let mut stored = store::pushes::digests(&mut conn, image).await?;
    let rule = store::registries::rule_of_placement(&mut conn, plan.place.placement).await?;
    let own = rule
        .and_then(|repository| stored.iter().position(|stored| stored.repository == repository));
    if stored.is_empty() {
        return Ok(None);
    }
    Ok(Some(stored.swap_remove(own.unwrap_or(0))))
}
