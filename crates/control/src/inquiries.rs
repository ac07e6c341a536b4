//! Inquiries: what only a target can answer is asked here, answered by the engine, and followed by
//! the page of the one who asked.

use crate::{Asked, Control, OrProblem, places};
use domain::{
    error::Problem,
    history::Origin,
    id::{InquiryId, PlacementId, ProjectId, ReleaseId, ServiceId, TargetId},
    name::ImageReference,
    role::{Action, Protection, Scope},
    view::InquiryPage,
};
use store::{
    Tx,
    inquiries::{New, Question},
};
use uuid::Uuid;

impl Control {
    /// Asks what an image is. With `pull` it is fetched from its registry first.
    pub async fn look_up_image(
        &self,
        asked: &Asked,
        service: ServiceId,
        reference: ImageReference,
        pull: bool,
    ) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let known = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        let place = places::of_service(&known, "service");
        let (mut tx, _permit) = self.permit_in(tx, asked, Action::ReleaseCreate, &place).await?;
        let target = self.any_target(&mut tx, origin).await?;
        let question = Question::Image { reference, pull };
        self.inquire(tx, asked, &question, target, Some((known.project, service))).await
    }

    /// Whom questions about images go to.
    pub(crate) async fn any_target(
        &self,
        tx: &mut Tx,
        origin: &Origin,
    ) -> Result<TargetId, Problem> {
        let machine = store::targets::machine(tx).await.or_problem(origin)?;
        let sentence = "There is no target yet that could look an image up.";
        let none = || Problem::Unavailable { sentence: sentence.to_owned() };
        machine.ok_or_else(none)
    }

    /// Asks what preflight would say, before the click.
    pub async fn could_i(
        &self,
        asked: &Asked,
        placement: PlacementId,
        release: ReleaseId,
    ) -> Result<InquiryId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        let placement = store::placements::load(&mut tx, placement)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, _permit) = self.permit_in(tx, asked, Action::RolloutStart, &place).await?;
        store::releases::load(&mut tx, release)
            .await
            .or_problem(origin)?
            .filter(|known| known.release.service == placement.service)
            .ok_or_else(|| Problem::not_found("release"))?;
        let question = Question::CouldI { placement: placement.id, release };
        let about = Some((placement.project, placement.service));
        self.inquire(tx, asked, &question, placement.target, about).await
    }

    /// How far an inquiry is. Only for the one who asked, while he may still see what it is about.
    pub async fn inquiry(&self, asked: &Asked, id: InquiryId) -> Result<InquiryPage, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let inquiry = store::inquiries::load(&mut conn, id)
            .await
            .or_problem(origin)?
            .filter(|inquiry| {
                let (action, scope) = match inquiry.place {
                    Some((project, _)) => (Action::View, Scope::Project { project }),
                    None => (Action::SettingsEdit, Scope::Everything),
                };
                inquiry.by == asked.actor.id && asked.actor.may(action, scope, Protection::Open)
            })
            .ok_or_else(|| Problem::not_found("inquiry"))?;
        Ok(InquiryPage {
            id,
            question: inquiry.question.as_words(),
            asked_at: inquiry.asked_at,
            answer: inquiry.answer,
        })
    }

    /// Asking changes nothing, so it is no row of the history: its transaction just commits.
    pub(crate) async fn inquire(
        &self,
        mut tx: Tx,
        asked: &Asked,
        question: &Question,
        target: TargetId,
        place: Option<(ProjectId, ServiceId)>,
    ) -> Result<InquiryId, Problem> {
        let id = self.queue_inquiry(&mut tx, asked, question, target, place).await?;
        tx.commit().await.map_err(store::Error::from).or_problem(&asked.origin)?;
        Ok(id)
    }

    /// The same where more belongs to the transaction.
    pub(crate) async fn queue_inquiry(
        &self,
        tx: &mut Tx,
        asked: &Asked,
        question: &Question,
        target: TargetId,
        place: Option<(ProjectId, ServiceId)>,
    ) -> Result<InquiryId, Problem> {
        let id = InquiryId(Uuid::now_v7());
        let new = New { id, question, target, place, by: asked.actor.id };
        if !store::inquiries::ask(tx, &new).await.or_problem(&asked.origin)? {
            return Err(Problem::TooMany { seconds: 60 });
        }
        Ok(id)
    }
}
