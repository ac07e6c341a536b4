//! A release on its way to a registry, and where its tags point.

use super::registries;
use crate::{Asked, Control, OrProblem, places};
use domain::{
    error::Problem,
    history::{Deed, Origin},
    id::{InquiryId, PushId, ReleaseId},
    name::{ImageTag, Repository},
    registry::{PushRule, Stored, tags},
    role::{Action, Protection},
};
use store::{
    Conn,
    inquiries::Question,
    pushes::{self, New},
    releases::Known,
    services::Service,
};
use uuid::Uuid;

/// Pushes that a page shows.
const MOST_SHOWN: i64 = 10;

impl Control {
    /// In which registries a release is.
    pub async fn stored(&self, asked: &Asked, release: ReleaseId) -> Result<Stored, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let (known, service) = found(&mut conn, origin, release).await?;
        self.permit(asked, Action::View, &places::of_service(&service, "release")).await?;
        let may = asked.actor.may(Action::ReleaseCreate, service.scope(), Protection::Open);
        let rule = registries::rule(&mut conn, service.id).await.or_problem(origin)?;
        Ok(Stored {
            digests: pushes::digests(&mut conn, &known.release.image).await.or_problem(origin)?,
            pushes: pushes::of_release(&mut conn, release, MOST_SHOWN).await.or_problem(origin)?,
            would_go: rule.as_ref().and_then(|rule| goes_to(rule, &known)),
            may_push: may,
            may_ask: may,
        })
    }

    /// Sends a release to where its service's images go. The engine carries it out.
    pub async fn push_release(&self, asked: &Asked, release: ReleaseId) -> Result<PushId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let (known, service) = found(&mut tx, origin, release).await?;
        let place = places::of_service(&service, "release");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ReleaseCreate, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "registries/push").await? {
            return Ok(made);
        }
        let rule = registries::rule(&mut tx, service.id).await.or_problem(origin)?;
        let Some(rule) = rule else {
            return Err(Problem::conflict(format!(
                "It is not said where the images of {} go. Say it on the page of the service first.",
                service.name
            )));
        };
        let Some((repository, tags)) = goes_to(&rule, &known) else {
            let sentence = "The name of this release gives no tag of an image.";
            return Err(Problem::conflict(sentence));
        };
        let id = PushId(Uuid::now_v7());
        let new = New {
            id,
            release,
            registry: rule.registry,
            repository: &repository,
            tags: &tags,
            by: permit.actor(),
            by_name: &asked.actor.name,
        };
        match pushes::add(&mut tx, &new).await {
            Err(error) if error.is_refused_by("pushes_one_open") => {
                drop(tx);
                let mut conn = self.connection(origin).await?;
                let who = pushes::open(&mut conn, release).await.or_problem(origin)?;
                let who = who.unwrap_or_else(|| "Somebody".to_owned());
                return Err(Problem::conflict(format!(
                    "{who} pushes it already. Nothing was begun by this click."
                )));
            }
            added => added.or_problem(origin)?,
        }
        self.remember(&mut tx, asked, "registries/push", &id).await?;
        let deed = Deed::PushAsked { release: known.release.name, repository };
        self.commit(tx, origin, &[asked.entry(&permit, places::subject_of(&service), deed)])
            .await?;
        Ok(id)
    }

    /// Asks where the tags of a release point now.
    pub async fn ask_tags(&self, asked: &Asked, release: ReleaseId) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let (_, service) = found(&mut tx, origin, release).await?;
        let place = places::of_service(&service, "release");
        let (mut tx, _permit) = self.permit_in(tx, asked, Action::ReleaseCreate, &place).await?;
        let target = self.any_target(&mut tx, origin).await?;
        let about = Some((service.project, service.id));
        self.inquire(tx, asked, &Question::Tags { release }, target, about).await
    }
}

/// A release with its service.
async fn found(
    conn: &mut Conn,
    origin: &Origin,
    release: ReleaseId,
) -> Result<(Known, Service), Problem> {
    let missing = || Problem::not_found("release");
    let known =
        store::releases::load(conn, release).await.or_problem(origin)?.ok_or_else(missing)?;
    let service = store::services::load(conn, known.release.service)
        .await
        .or_problem(origin)?
        .ok_or_else(missing)?;
    Ok((known, service))
}

/// Where a release goes by hand: under its name, which is the tag or the commit it was built from.
fn goes_to(rule: &PushRule, known: &Known) -> Option<(Repository, Vec<ImageTag>)> {
    let tag = tags::of_name(known.release.name.as_str())?;
    Some((rule.repository.clone(), vec![tag]))
}
