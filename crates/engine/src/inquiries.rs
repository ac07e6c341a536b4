//! Questions that only the target can answer: taken one at a time by whichever node is first, asked,
//! and answered into their row.

use crate::{
    builds::{self, given, place_for},
    context::Context,
    fetching, registries,
    told::told,
};
use anyhow::Context as _;
use domain::{
    id::{PlacementId, ReleaseId, ServiceId},
    release::Pair,
    source::{Folder, GitRef, GitUrl, RecipeGuess},
    target::{Plan, PlanVariables},
    view::InquiryAnswer,
};
use futures::StreamExt;
use std::{sync::Arc, time::Duration};
use store::inquiries::{Question, Taken};
use targets::build::{FetchEvent, Remote};
use tokio::task::JoinSet;
use tracing::warn;
use uuid::Uuid;

/// How many are asked at the same time. Others wait, and are shown as waiting.
const AT_ONCE: usize = 4;
/// How often one looks, besides being woken.
const LOOK: Duration = Duration::from_secs(1);

/// The longest a repository may take that one only looks into.
const FETCH_WITHIN: Duration = Duration::from_secs(4 * 60);

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
        Question::Cluster { target } => {
            Ok(InquiryAnswer::Cluster(Box::new(context.targets.look(*target).await?)))
        }
        Question::Refs { url, service } => {
            let what = "to ask which branches and tags there are";
            let from = remote(context, url, *service, what).await?;
            Ok(InquiryAnswer::Refs(git(context)?.builder.refs(&from).await?))
        }
        Question::Recipe { url, at, folder, service } => {
            let what = "to look what would be built";
            let from = remote(context, url, *service, what).await?;
            Ok(InquiryAnswer::Recipe(guess(git(context)?, &from, at, folder).await?))
        }
    }
}

/// A repository with the login that is stored for its host, where there is one.
async fn remote(
    context: &Context,
    url: &GitUrl,
    service: Option<ServiceId>,
    what: &str,
) -> anyhow::Result<Remote> {
    let login = match service {
        Some(service) => given::login(context, service, url, what.to_owned()).await?,
        None => None,
    };
    Ok(Remote { url: url.clone(), login })
}

/// Who speaks to git.
fn git(context: &Context) -> anyhow::Result<&builds::Settings> {
    context.builds.as_deref().context("this node has no part in builds")
}

/// Fetches a commit and looks what of it could be built.
async fn guess(
    builds: &builds::Settings,
    from: &Remote,
    at: &GitRef,
    folder: &Folder,
) -> anyhow::Result<RecipeGuess> {
    // What is left of it when we die is cleared with the builds.
    let place = builds.directory.join(Uuid::now_v7().to_string());
    place_for(&place).await.context("there is no place for the source on this machine")?;
    let looked = async {
        let mut events = builds.builder.fetch(from, at, &place);
        while let Some(event) = events.next().await {
            if let FetchEvent::Done(_) = event? {
                return Ok(builds.builder.guess(&place, folder).await?);
            }
        }
        anyhow::bail!("git ended without saying what it fetched")
    };
    let looked = tokio::time::timeout(FETCH_WITHIN, looked).await;
    builds::remove(&place).await;
    looked.context("the repository takes too long to fetch")?
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
    let target = context.targets.of(placement.target);
    let observed = target.observe(&placement.place).await?;
    let plan = Plan {
        place: placement.place.clone(),
        // Nobody makes it: it is only weighed.
        maker: domain::id::RolloutId(placement.id.0),
        release: parts.release.id,
        release_name: parts.release.name,
        configuration: parts.configuration.id,
        image: parts.release.image,
        image_user: parts.user,
        pull: None,
        spec: parts.release.spec,
        // Whether there is room is asked without what instances are told.
        variables: PlanVariables::default(),
        limits: parts.configuration.limits,
        size: placement.size.count(),
        root_allowed: placement.policy.root_allowed,
    };
    let live = observed.route.and_then(|route| route.live);
    let plan =
        if target.fetches_images() { fetching::could_pull(context, plan).await? } else { plan };
    let mut findings = target.preflight(&plan, live).await?;
    findings.extend(secrets);
    if target.fetches_images() {
        findings.insert(0, fetching::finding(&plan));
    } else {
        registries::would_bring(context, &plan.image, &mut findings).await?;
    }
    Ok(InquiryAnswer::Findings { findings })
}
