//! The page of one service: what runs where, releases, configuration, ways back.

use crate::{Asked, Control, OrProblem, board, places};
use domain::{
    error::Problem,
    id::{PlacementId, ReleaseId},
    name::Name,
    role::{Action, Scope},
    view::{Earlier, PlacementCard, ReleaseRow, ServicePage},
};
use std::collections::HashMap;
use store::{
    board::{Drawn, Which},
    configurations, placements, releases, rollouts,
    targets::Reach,
};

/// A page of a list.
const MOST: i64 = 50;

/// A release of a list, and where of what may be seen it is live.
pub(crate) fn release_row(listed: releases::Listed, drawn: &[Drawn]) -> ReleaseRow {
    ReleaseRow {
        live_in: live_in(listed.id, drawn),
        release: domain::view::ReleaseName { id: listed.id, name: listed.name.to_string() },
        reference: listed.reference.to_string(),
        image: listed.image.to_string(),
        by: listed.by,
        made_at: listed.made_at,
    }
}

/// The environments where a release is live.
fn live_in(release: ReleaseId, drawn: &[Drawn]) -> Vec<String> {
    drawn
        .iter()
        .filter(|drawn| drawn.cell.live.as_ref().is_some_and(|live| live.release.id == release))
        .map(|drawn| drawn.cell.environment_name.to_string())
        .collect()
}

impl Control {
    /// The page of one service.
    pub async fn service(
        &self,
        asked: &Asked,
        project: &Name,
        name: &Name,
    ) -> Result<ServicePage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("service");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::services::by_name(&mut conn, project, name)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let service =
            store::services::load(&mut conn, id).await.or_problem(origin)?.ok_or_else(missing)?;
        let place = places::of_service(&service, "service");
        self.permit(asked, Action::View, &place).await?;

        let drawn = self.visible_cells(&mut conn, asked, Which::Service(id)).await?;
        let mut elsewhere = Vec::new();
        for known in store::environments::all(&mut conn).await.or_problem(origin)? {
            let environment = known.environment;
            let scope = Scope::Both { project: service.project, environment: environment.id };
            let here = drawn.iter().any(|drawn| drawn.cell.environment == environment.id);
            if !here && asked.actor.may(Action::PlacementScale, scope, environment.protection()) {
                elsewhere.push((environment.id, environment.name));
            }
        }
        let ids: Vec<PlacementId> = drawn.iter().map(|drawn| drawn.cell.placement).collect();
        let listed = releases::newest(&mut conn, id, MOST).await.or_problem(origin)?;
        let releases = listed.into_iter().map(|listed| release_row(listed, &drawn)).collect();
        let rollouts =
            rollouts::pages::newest(&mut conn, id, &ids, MOST).await.or_problem(origin)?;

        let known = placements::load_all(&mut conn, &ids).await.or_problem(origin)?;
        let mut known: HashMap<_, _> = known.into_iter().map(|known| (known.id, known)).collect();
        let newest = configurations::newest_of(&mut conn, &ids).await.or_problem(origin)?;
        let mut newest: HashMap<_, _> = newest.into_iter().collect();
        let mut earlier: HashMap<PlacementId, Vec<Earlier>> = HashMap::new();
        for (placement, one) in
            rollouts::pages::earlier(&mut conn, &ids).await.or_problem(origin)?
        {
            earlier.entry(placement).or_default().push(one);
        }

        let mut placements: Vec<_> = drawn
            .into_iter()
            .filter_map(|drawn| {
                let id = drawn.cell.placement;
                // Archived between two queries: not there any more.
                let (known, configuration) = known.remove(&id).zip(newest.remove(&id))?;
                let addresses = self.addresses(&known);
                Some(PlacementCard {
                    cell: drawn.cell,
                    address: addresses.live,
                    preview_address: addresses.preview,
                    names_follow: matches!(known.reach, Reach::Cluster { .. }),
                    host_names: known.place.host_names,
                    configuration,
                    secrets: Vec::new(),
                    policy: known.policy,
                    earlier: earlier.remove(&id).unwrap_or_default(),
                })
            })
            .collect();
        self.with_secrets(&mut conn, origin, &mut placements).await?;
        Ok(ServicePage {
            number,
            id,
            may: board::may_service(&asked.actor, service.scope()),
            project: service.project_name,
            name: service.name,
            spec: service.spec,
            placements,
            releases,
            rollouts,
            elsewhere,
        })
    }
}
