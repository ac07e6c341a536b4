//! Questions that only the target can answer: taken one at a time by whichever node is first, asked,
//! and answered into their row.

use crate::{context::Context, registries, told::told};
use anyhow::Context as _;
use domain::{
    id::{PlacementId, ReleaseId},
    release::Pair,
    target::{Plan, PlanVariables},
    view::InquiryAnswer,
};
use std::{sync::Arc, time::Duration};
use store::inquiries::{Question, Taken};
use tokio::task::JoinSet;
use tracing::warn;

/// How many are asked at the same time. Others wait, and are shown as waiting.
const AT_ONCE: usize = 4;
/// How often one looks, besides being woken.
const LOOK: Duration = Duration::from_secs(1);

/// Answers until the engine stops.
pub(crate) async fn run(context: Arc<Context>) {
    let mut asking = JoinSet::new();
    while !context.stopping.is_cancelled() {
        while asking.try_join_next().is_some() {}
        let taken = if asking.len() < AT_ONCE { take(&context).await } else { None };
        if let Some(taken) = taken {
            asking.spawn(answer(context.clone(), taken));
            continue;
        }
        tokio::select! {
            () = context.work.notified() => {}
            () = context.stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // A pull is dropped with us; the question is taken again by whoever comes next.
    asking.shutdown().await;
}

async fn take(context: &Context) -> Option<Taken> {
    let mut conn = context.pool.acquire().await.ok()?;
    match store::inquiries::take(&mut conn, context.node).await {
        Ok(taken) => taken,
        Err(error) => {
            warn!(%error, "Inquiries could not be looked for");
            None
        }
    }
}

async fn answer(context: Arc<Context>, taken: Taken) {
    let answer = match ask(&context, &taken.question).await {
        Ok(answer) => answer,
        Err(error) => InquiryAnswer::Refused { why: registries::said(&error) },
    };
    let kept = async {
        let mut conn = context.pool.acquire().await?;
        store::inquiries::answer(&mut conn, taken.id, &answer).await
    };
    if let Err(error) = kept.await {
        warn!(inquiry.id = %taken.id, %error, "An answer could not be kept");
    }
}

async fn ask(context: &Context, question: &Question) -> anyhow::Result<InquiryAnswer> {
    match question {
        Question::Image { reference, pull } => {
            Ok(InquiryAnswer::Image(registries::look_up(context, reference, *pull).await?))
        }
        Question::Registry { registry } => registries::try_one(context, *registry).await,
        Question::Tags { release } => registries::ask_tags(context, *release).await,
        Question::CouldI { placement, release } => could_i(context, *placement, *release).await,
        Question::Refs { .. } | Question::Recipe { .. } => {
            anyhow::bail!("Nothing here can speak to git yet.")
        }
    }
}

/// What preflight would say, with the placement's newest configuration.
async fn could_i(
    context: &Context,
    placement: PlacementId,
    release: ReleaseId,
) -> anyhow::Result<InquiryAnswer> {
    let mut conn = context.pool.acquire().await?;
    let placement =
        store::placements::load(&mut conn, placement).await?.context("the placement is gone")?;
    let configuration = store::configurations::newest(&mut conn, placement.id)
        .await?
        .context("the placement has no configuration")?;
    let pair = Pair { release, configuration: configuration.id };
    let parts =
        store::releases::plan_parts(&mut conn, pair).await?.context("the release is gone")?;
    drop(conn);
    let secrets = told(context, &parts.configuration).await?.finding(false);
    let observed = context.target.observe(&placement.place).await?;
    let plan = Plan {
        place: placement.place.clone(),
        // Nobody makes it: it is only weighed.
        maker: domain::id::RolloutId(placement.id.0),
        release: parts.release.id,
        release_name: parts.release.name,
        configuration: parts.configuration.id,
        image: parts.release.image,
        spec: parts.release.spec,
        // Whether there is room is asked without what instances are told.
        variables: PlanVariables::default(),
        limits: parts.configuration.limits,
        size: placement.size.count(),
        root_allowed: placement.policy.root_allowed,
    };
    let live = observed.route.and_then(|route| route.live);
    let mut findings = context.target.preflight(&plan, live).await?;
    findings.extend(secrets);
    registries::would_bring(context, &plan.image, &mut findings).await?;
    Ok(InquiryAnswer::Findings { findings })
}
