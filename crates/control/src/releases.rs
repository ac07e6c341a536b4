//! Releases: made of an image that was looked up, and held against what runs.

use crate::{Asked, Control, OrProblem, board, changes, places, services};
use domain::{
    build,
    error::Problem,
    history::Deed,
    id::{InquiryId, PlacementId, ReleaseId, ServiceId},
    name::ReleaseName,
    release::{Pair, Release, name_for},
    role::Action,
    target::{Finding, Verdict},
    view::{InquiryAnswer, ReleaseAgainst, ReleasePage},
};
use std::collections::HashMap;
use store::{board::Which, configurations, inquiries::Question, releases::Listed};
use uuid::Uuid;

impl Control {
    /// Makes a release of the image that an inquiry found, with the service's spec as it is now.
    /// Without a name it is called by the image's tag.
    pub async fn make_release(
        &self,
        asked: &Asked,
        service: ServiceId,
        inquiry: InquiryId,
        name: Option<ReleaseName>,
    ) -> Result<ReleaseId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        store::services::lock(&mut tx, service).await.or_problem(origin)?;
        let known = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        let place = places::of_service(&known, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::ReleaseCreate, &place).await?;
        if let Some(made) = self.made_before(&mut tx, asked, "releases/make").await? {
            return Ok(made);
        }

        let inquiry = store::inquiries::load(&mut tx, inquiry)
            .await
            .or_problem(origin)?
            .filter(|inquiry| {
                inquiry.place.is_some_and(|(_, about)| about == service)
                    && inquiry.by == asked.actor.id
            })
            .ok_or_else(|| Problem::not_found("inquiry"))?;
        let (facts, reference) = match (inquiry.answer, inquiry.question) {
            (InquiryAnswer::Image(facts), Question::Image { reference, .. }) if inquiry.good => {
                (facts, reference)
            }
            _ => {
                let sentence =
                    "The image was not found, or that was too long ago. Look it up again.";
                return Err(Problem::invalid("inquiry", sentence));
            }
        };
        let taken = store::releases::names(&mut tx, service).await.or_problem(origin)?;
        let name = match name {
            Some(name) if taken.iter().any(|taken| taken == name.as_str()) => {
                let sentence = format!("{} has a release {name} already.", known.name);
                return Err(Problem::invalid("name", sentence));
            }
            Some(name) => name,
            None => name_for(&reference, &facts.id, &taken)
                .map_err(|wrong| Problem::invalid("name", wrong))?,
        };
        let release = Release {
            id: ReleaseId(Uuid::now_v7()),
            service,
            name: name.clone(),
            image: facts.id.clone(),
            reference,
            spec: known.spec.clone(),
            made_at: store::now(&mut tx).await.or_problem(origin)?,
        };
        store::releases::add(&mut tx, &release, &facts, asked.actor.id, &asked.actor.name)
            .await
            .or_problem(origin)?;
        self.remember(&mut tx, asked, "releases/make", &release.id).await?;
        let deed = Deed::ReleaseMade { release: release.id, name, image: facts.id };
        let row = asked.entry(&permit, places::subject_of(&known), deed);
        self.commit(tx, origin, &[row]).await?;
        Ok(release.id)
    }

    /// The page of one release: what is in it, and what it would change where.
    pub async fn release(&self, asked: &Asked, id: ReleaseId) -> Result<ReleasePage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("release");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let known =
            store::releases::load(&mut conn, id).await.or_problem(origin)?.ok_or_else(missing)?;
        let service = store::services::load(&mut conn, known.release.service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_service(&service, "release");
        self.permit(asked, Action::View, &place).await?;

        let drawn = self.visible_cells(&mut conn, asked, Which::Service(service.id)).await?;
        let placements: Vec<PlacementId> = drawn.iter().map(|drawn| drawn.cell.placement).collect();
        let newest = configurations::newest_of(&mut conn, &placements).await.or_problem(origin)?;
        let next: HashMap<PlacementId, Pair> = newest
            .into_iter()
            .map(|(placement, newest)| (placement, Pair { release: id, configuration: newest.id }))
            .collect();
        let live = store::placements::load_all(&mut conn, &placements).await.or_problem(origin)?;
        let live: HashMap<PlacementId, Pair> =
            live.iter().filter_map(|known| Some((known.id, known.live?.pair))).collect();
        let pairs: Vec<Pair> = next.values().chain(live.values()).copied().collect();
        let parts = store::releases::plan_parts_of(&mut conn, &pairs).await.or_problem(origin)?;
        let part = |pair: Option<&Pair>| {
            pair.and_then(|pair| parts.iter().find(|parts| parts.pair() == *pair))
        };

        let behind = store::builds::pages::behind(&mut conn, id).await.or_problem(origin)?;
        let budget = match &behind {
            Some((_, budget)) => *budget,
            None => store::builds::source(&mut conn, service.id)
                .await
                .or_problem(origin)?
                .map_or(build::SIZE_BUDGET_BYTES, |source| source.size_budget_bytes),
        };
        let listed = Listed {
            id,
            name: known.release.name,
            reference: known.release.reference,
            image: known.release.image,
            by: known.by,
            made_at: known.release.made_at,
        };
        let row = services::release_row(listed, &drawn);
        let against = drawn
            .into_iter()
            .map(|drawn| {
                let placement = drawn.cell.placement;
                let changes = part(next.get(&placement))
                    .map(|next| changes::of_parts(part(live.get(&placement)), next))
                    .unwrap_or_default();
                ReleaseAgainst { cell: drawn.cell, changes }
            })
            .collect();
        Ok(ReleasePage {
            number,
            may: board::may_service(&asked.actor, service.scope()),
            project: service.project_name,
            service: service.name,
            row,
            spec: known.release.spec,
            findings: size_finding(known.facts.size_bytes, budget).into_iter().collect(),
            facts: Some(known.facts),
            built_from: behind.map(|(from, _)| from),
            against,
        })
    }
}

/// An image over the budget is worth knowing, and no reason to stop.
fn size_finding(size: u64, budget: u64) -> Option<Finding> {
    build::is_over(size, budget).then(|| Finding {
        question: "Size within the budget".to_owned(),
        verdict: Verdict::Warn,
        detail: format!("{} MiB, {} MiB are the budget", size >> 20, budget >> 20),
    })
}
