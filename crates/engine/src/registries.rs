//! Registries: their credentials, opened for one call; questions about them; and images that a target
//! lost, fetched by the digest that was remembered.

use crate::{chain, context::Context, placement::Turn};
use anyhow::Context as _;
use domain::{
    history::{Deed, Subject},
    id::{RegistryId, ReleaseId, ServiceId},
    name::{ContentId, Digest, ImageReference, ImageTag, RegistryAddress, Repository},
    registry::{
        Standing, sealed_about, tag_finding,
        tags::{BuiltFrom, tags},
    },
    release::ImageFacts,
    target::{Finding, Verdict},
    view::InquiryAnswer,
};
use std::{fmt, time::Duration};
use store::{
    Pool, history::NewEntry, placements::Placement, registries::Registry, rollouts::Current,
};
use targets::{
    Error,
    registry::{Credentials, Push, Told},
};
use tracing::debug;

/// The most tags of a release that are asked where they point.
const MOST_TAGS: usize = 10;
/// How often it is looked whether a fetch is still wanted.
const STILL_WANTED: Duration = Duration::from_secs(1);

/// The stored credentials of whatever registry is at an address, if there are any.
pub(crate) async fn credentials(
    context: &Context,
    address: &RegistryAddress,
) -> anyhow::Result<Option<Credentials>> {
    let mut conn = context.pool.acquire().await?;
    let known = store::registries::by_address(&mut conn, address).await?;
    drop(conn);
    known.map_or(Ok(None), |known| opened(context, &known))
}

/// Opens what is stored for a registry.
fn opened(context: &Context, known: &Registry) -> anyhow::Result<Option<Credentials>> {
    let Some(login) = &known.login else { return Ok(None) };
    let plain = context.vault.unseal(&sealed_about(known.id), &login.sealed).map_err(|_| {
        refused(
            &known.address,
            format!(
                "The password of the registry {} can not be read with the key of this \
                 installation any more. Set it anew under Registries.",
                known.name
            ),
        )
    })?;
    Ok(Some(Credentials::new(login.user.clone(), plain.expose())))
}

/// Opens what is stored for a registry by its id: for a push, which names it.
pub(crate) async fn credentials_of(
    context: &Context,
    registry: RegistryId,
) -> anyhow::Result<Option<Credentials>> {
    let mut conn = context.pool.acquire().await?;
    let known = store::registries::load(&mut conn, registry).await?;
    drop(conn);
    let known =
        known.context("The registry was archived meanwhile. Let the images go elsewhere.")?;
    opened(context, &known)
}

fn refused(address: &RegistryAddress, reason: String) -> Error {
    Error::Refused { target: format!("The registry {address}"), reason }
}

/// The use of a secret is a row, in a transaction of its own, before it is used.
pub(crate) async fn tell_use(
    pool: &Pool,
    subject: Subject,
    address: &RegistryAddress,
    what: String,
) -> anyhow::Result<()> {
    let tx = pool.begin().await?;
    let deed = Deed::CredentialsUsed { address: address.clone(), what };
    store::history::append_and_commit(tx, &[NewEntry::engine(subject, deed)]).await?;
    Ok(())
}

/// Whether a registry can be used with what is stored for it.
pub(crate) async fn try_one(
    context: &Context,
    registry: RegistryId,
) -> anyhow::Result<InquiryAnswer> {
    let mut conn = context.pool.acquire().await?;
    let known = store::registries::load(&mut conn, registry).await?;
    drop(conn);
    let known = known.context("The registry was archived meanwhile.")?;
    let credentials = opened(context, &known)?;
    let standing = context.machine.try_registry(&known.address, credentials.as_ref()).await?;
    let finding = standing.finding(&known.address, credentials.is_some());
    Ok(InquiryAnswer::Findings { findings: vec![finding] })
}

/// What an image is, fetched first where that is asked for, with what is stored for its registry.
pub(crate) async fn look_up(
    context: &Context,
    reference: &ImageReference,
    pull: bool,
) -> anyhow::Result<ImageFacts> {
    if let (true, Some(repository)) = (pull, reference.repository()) {
        let address = repository.address();
        let credentials = credentials(context, &address).await?;
        if credentials.is_some() {
            let what = format!("to fetch {reference}");
            tell_use(&context.pool, Subject::default(), &address, what).await?;
        }
        context.machine.pull(reference, credentials.as_ref(), &Told::default()).await?;
    }
    let facts = context.machine.image(reference).await?;
    if reference.repository().is_some() {
        remember(context, &facts.id).await?;
    }
    Ok(facts)
}

/// Where what a build made goes.
#[derive(Debug)]
pub(crate) struct Destination {
    registry: RegistryId,
    repository: Repository,
    tags: Vec<ImageTag>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<_> = self.tags.iter().map(ImageTag::as_str).collect();
        write!(f, "{} as {}", self.repository, tags.join(", "))
    }
}

/// Where the images of a service go, under the tags that fit what was built. `None`: none does.
pub(crate) async fn destination(
    context: &Context,
    service: ServiceId,
    built: &BuiltFrom,
) -> anyhow::Result<Option<Destination>> {
    let mut conn = context.pool.acquire().await?;
    let rule = store::registries::rule(&mut conn, service).await?;
    let rule = rule.context("It is not said any more where the images of this service go.")?;
    let tags = tags(&rule.tags, built);
    let goes = Destination { registry: rule.registry, repository: rule.repository, tags };
    Ok((!goes.tags.is_empty()).then_some(goes))
}

/// Sends what a build made, and remembers by which digest it can be fetched. Dropping it ends it.
pub(crate) async fn push_built(
    context: &Context,
    image: &ContentId,
    goes: &Destination,
    told: &Told,
) -> anyhow::Result<Digest> {
    let credentials = credentials_of(context, goes.registry).await?;
    if credentials.is_some() {
        let what = format!("to push what was built to {goes}");
        tell_use(&context.pool, Subject::default(), &goes.repository.address(), what).await?;
    }
    let push =
        Push { image, to: &goes.repository, tags: &goes.tags, credentials: credentials.as_ref() };
    let digest = context.machine.push(&push, told).await?;
    let mut conn = context.pool.acquire().await?;
    store::pushes::remember_digest(&mut conn, image, &goes.repository, &digest, "pushed").await?;
    Ok(digest)
}

/// Remembers by which digests an image that is there can be fetched again.
async fn remember(context: &Context, image: &ContentId) -> anyhow::Result<()> {
    let digests = context.machine.digests(image).await?;
    let mut conn = context.pool.acquire().await?;
    for (repository, digest) in digests {
        store::pushes::remember_digest(&mut conn, image, &repository, &digest, "pulled").await?;
    }
    Ok(())
}

/// Where the tags of a release point now: those it was made from, and those it was pushed under.
pub(crate) async fn ask_tags(
    context: &Context,
    release: ReleaseId,
) -> anyhow::Result<InquiryAnswer> {
    let mut conn = context.pool.acquire().await?;
    let known = store::releases::load(&mut conn, release).await?.context("the release is gone")?;
    let known = known.release;
    let digests = store::pushes::digests(&mut conn, &known.image).await?;
    let pushes = store::pushes::of_release(&mut conn, release, 10).await?;
    drop(conn);
    let mut references: Vec<ImageReference> = Vec::new();
    let pushed = pushes.iter().filter(|push| push.digest.is_some());
    let pushed = pushed.flat_map(|push| push.tags.iter().map(|tag| push.repository.tagged(tag)));
    for reference in std::iter::once(known.reference.clone()).chain(pushed) {
        let names_a_tag = reference.tag().is_some() && !reference.as_str().contains('@');
        if names_a_tag && reference.repository().is_some() && !references.contains(&reference) {
            references.push(reference);
        }
    }
    references.truncate(MOST_TAGS);
    let mut findings = Vec::new();
    for reference in references {
        let Some(repository) = reference.repository() else { continue };
        let stored = digests.iter().find(|stored| stored.repository == repository);
        let Some(stored) = stored else { continue };
        let address = repository.address();
        let credentials = credentials(context, &address).await?;
        if credentials.is_some() {
            let what = format!("to ask where {reference} points");
            tell_use(&context.pool, Subject::default(), &address, what).await?;
        }
        let now = context.machine.points_to(&reference, credentials.as_ref()).await?;
        let now = now.map_err(|standing| match standing {
            Standing::Missing => "the tag is not there any more".to_owned(),
            other => other.sentence(&address),
        });
        findings.push(tag_finding(&reference, &stored.digest, now));
    }
    if findings.is_empty() {
        anyhow::bail!(
            "No tag of this release is known in a registry: it was neither fetched from one nor \
             pushed to one."
        );
    }
    Ok(InquiryAnswer::Findings { findings })
}

/// Fetches the image of a release, if it is not on the target and is remembered somewhere. `None`: it
/// is there. The finding says what was done, or why it could not be.
///
/// A transfer is awaited, and dropped when the placement is not ours any more, when the engine stops,
/// or when somebody asks something of the rollout: then `Err`, and it is asked for again.
pub(crate) async fn bring(
    turn: &Turn<'_>,
    current: &Current,
    image: &ContentId,
) -> Result<Option<Finding>, Interrupted> {
    let context = turn.context;
    let reference: ImageReference = match image.as_str().parse() {
        Ok(reference) => reference,
        Err(_) => return Ok(None),
    };
    match context.machine.image(&reference).await {
        Err(Error::Refused { .. }) => {}
        // Whether it is there is for preflight to say, or to ask again.
        Ok(_) | Err(_) => return Ok(None),
    }
    let fetched = fetch(context, current, image);
    tokio::select! {
        fetched = fetched => match fetched {
            Ok(finding) => Ok(finding),
            Err(error) => {
                debug!(error = format!("{error:#}"), "An image could not be fetched");
                Err(Interrupted)
            }
        },
        () = not_wanted(context, &turn.placement, current) => Err(Interrupted),
    }
}

/// Something else is to be done first.
#[derive(Debug)]
pub(crate) struct Interrupted;

async fn fetch(
    context: &Context,
    current: &Current,
    image: &ContentId,
) -> anyhow::Result<Option<Finding>> {
    let mut conn = context.pool.acquire().await?;
    let stored = store::pushes::digests(&mut conn, image).await?;
    drop(conn);
    let mut whys = Vec::new();
    for stored in stored {
        let address = stored.repository.address();
        let reference = stored.repository.pinned(&stored.digest);
        let credentials = match credentials(context, &address).await {
            Ok(credentials) => credentials,
            Err(error) => {
                whys.push(said(&error));
                continue;
            }
        };
        let pulled = context.machine.pull(&reference, credentials.as_ref(), &Told::default()).await;
        if let Err(error) = pulled {
            whys.push(said(&error.into()));
            continue;
        }
        // What was fetched must be what the release is, whatever a registry gave.
        let by_id = image.as_str().parse()?;
        if context.machine.image(&by_id).await.is_err() {
            whys.push(format!("what {address} gave under that digest is another image"));
            continue;
        }
        let deed = Deed::ImageFetched {
            release: current.parts.release.name.clone(),
            repository: stored.repository.clone(),
            digest: stored.digest.clone(),
        };
        let tx = context.pool.begin().await?;
        let row = NewEntry::engine(current.subject.clone(), deed);
        store::history::append_and_commit(tx, &[row]).await?;
        return Ok(Some(Finding {
            question: FETCHED.to_owned(),
            verdict: Verdict::Pass,
            detail: format!("from {} by its digest {}", stored.repository, stored.digest.short()),
        }));
    }
    Ok((!whys.is_empty()).then(|| Finding {
        question: FETCHED.to_owned(),
        verdict: Verdict::Refuse,
        detail: format!("it is not on the machine, and {}", whys.join("; ")),
    }))
}

/// The question of a fetch.
const FETCHED: &str = "Image is fetched from its registry";

/// What a target or we ourselves said, as a sentence for people.
pub(crate) fn said(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(Error::Refused { reason, .. }) => reason.clone(),
        // The registry's own sentence says all of it.
        Some(Error::Unreachable { source, target }) if target.starts_with("The registry") => {
            source.to_string()
        }
        Some(other) => chain(other),
        None => format!("{error:#}"),
    }
}

/// Ends when the rollout has to be looked at again: somebody asked something of it, or it is not ours.
async fn not_wanted(context: &Context, placement: &Placement, current: &Current) {
    loop {
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(STILL_WANTED) => {}
        }
        let Ok(mut conn) = context.pool.acquire().await else { continue };
        let now = store::rollouts::current(&mut conn, placement.id).await;
        let holder = store::placements::load(&mut conn, placement.id).await;
        let same = match now {
            Ok(Some(now)) => {
                now.rollout.id == current.rollout.id
                    && now.rollout.request == current.rollout.request
            }
            Ok(None) => false,
            Err(_) => continue,
        };
        let ours = match holder {
            Ok(Some(holder)) => holder.holder == Some(context.node),
            Ok(None) => false,
            Err(_) => continue,
        };
        if !(same && ours) {
            return;
        }
    }
}

/// What preflight says of an image that is not there, and is remembered somewhere: it would be fetched.
/// For "could I?", which fetches nothing.
pub(crate) async fn would_bring(
    context: &Context,
    image: &ContentId,
    findings: &mut [Finding],
) -> anyhow::Result<()> {
    let by_id = image.as_str().parse()?;
    if !matches!(context.machine.image(&by_id).await, Err(Error::Refused { .. })) {
        return Ok(());
    }
    let mut conn = context.pool.acquire().await?;
    let stored = store::pushes::digests(&mut conn, image).await?;
    drop(conn);
    let gone = findings.iter_mut().find(|finding| finding.question == IMAGE_IS_THERE);
    if let (Some(finding), Some(first)) = (gone, stored.first()) {
        finding.verdict = Verdict::Warn;
        finding.detail =
            format!("not on the machine: it is fetched from {} by its digest", first.repository);
    }
    Ok(())
}

/// As preflight of every driver asks it.
const IMAGE_IS_THERE: &str = "Image is there, same content";
