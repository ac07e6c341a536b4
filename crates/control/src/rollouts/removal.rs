//! Taking a service from an environment, and placing it there again.
//!
//! What ran is ended by a rollout of kind `remove`; a placement in which nothing was ever rolled out
//! has nothing to end and is archived at once. History, rollouts and configurations stay.

use super::{Turn, checked_reason};
use crate::{Asked, Control, OrProblem, places};
use domain::{
    configuration::{Configuration, secret::Secrets},
    error::Problem,
    history::{Deed, Subject},
    id::{ConfigurationId, EnvironmentId, PlacementId, RolloutId, ServiceId},
    role::{Action, Protection, Scope},
    rollout::Kind,
    service::{Limits, Size},
};
use store::{placements::hosts::Named, services::NewPlacement};
use uuid::Uuid;

impl Control {
    /// Begins to remove a placement. In a protected environment `typed` must be the service's name.
    /// `None`: nothing ever ran there, and it is gone already.
    pub async fn remove_placement(
        &self,
        asked: &Asked,
        placement: PlacementId,
        newest: Option<RolloutId>,
        typed: &str,
        reason: Option<String>,
    ) -> Result<Option<RolloutId>, Problem> {
        let origin = &asked.origin;
        checked_reason(reason.as_deref())?;
        let tx = self.begin(origin).await?;
        let (tx, placement) = self.lock_placement(tx, asked, placement).await?;
        let place = places::of_placement(&placement, "service");
        let (mut tx, permit) = self.permit_in(tx, asked, Action::PlacementRemove, &place).await?;
        let name = placement.place.service.as_str();
        if placement.protected && typed.trim() != name {
            let sentence = format!("Type {name}, the name of the service, to remove it.");
            return Err(Problem::invalid("typed", sentence));
        }
        places::expect_settled(&placement)?;
        let queue = self.queue_of(&mut tx, asked, &placement).await?;
        queue.expect_newest(newest)?;

        let Some(last) = &queue.newest else {
            store::placements::archive(&mut tx, placement.id).await.or_problem(origin)?;
            let row = asked.entry(&permit, placement.subject(None), Deed::PlacementRemoved);
            self.commit(tx, origin, &[row.with_reason(reason.as_deref().unwrap_or_default())])
                .await?;
            return Ok(None);
        };
        let pair = placement.live.map_or(last.pair, |live| live.pair);
        let mut turn = Turn {
            asked,
            permit: &permit,
            placement: &placement,
            reason: reason.as_deref(),
            rows: Vec::new(),
        };
        let id = turn.queue(&mut tx, Kind::Remove, pair, &queue).await?;
        let rows = turn.rows;
        self.wake(&mut tx, origin, placement.id).await?;
        self.commit(tx, origin, &rows).await?;
        Ok(Some(id))
    }

    /// Places a service in an environment where it is not. What it was told and might use there
    /// before, it is told and may use again.
    pub async fn place_service(
        &self,
        asked: &Asked,
        service: ServiceId,
        environment: EnvironmentId,
    ) -> Result<PlacementId, Problem> {
        let origin = &asked.origin;
        let mut tx = self.begin(origin).await?;
        // Of two who place it at once the second sees what the first did.
        store::services::lock(&mut tx, service).await.or_problem(origin)?;
        let known = store::services::load(&mut tx, service)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        store::environments::hold_order(&mut tx).await.or_problem(origin)?;
        let environments = store::environments::all(&mut tx).await.or_problem(origin)?;
        let there = environments
            .into_iter()
            .find(|known| known.environment.id == environment)
            .ok_or_else(|| Problem::not_found("environment"))?;
        let subject = Subject {
            environment: Some(there.environment.name.clone()),
            ..places::subject_of(&known)
        };
        let place = crate::Place {
            scope: Scope::Both { project: known.project, environment },
            protection: Protection::from(there.environment.protected),
            subject,
            noun: "service",
        };
        let (mut tx, permit) = self.permit_in(tx, asked, Action::PlacementScale, &place).await?;
        let name = &there.environment.name;
        if store::services::is_placed(&mut tx, service, environment).await.or_problem(origin)? {
            let sentence = format!("{} is in {name} already.", known.name);
            return Err(Problem::conflict(sentence));
        }

        let before = store::services::placed_before(&mut tx, service, environment)
            .await
            .or_problem(origin)?;
        let (mut size, mut last) = (Size::ONE, None);
        if let Some(before) = before {
            let was = store::placements::load_ever(&mut tx, before).await.or_problem(origin)?;
            size = was.map_or(size, |was| was.size);
            last = store::configurations::newest(&mut tx, before).await.or_problem(origin)?;
        }
        let limits = last.as_ref().map_or(Limits::DEFAULT, |last| last.limits);
        let new = NewPlacement {
            id: PlacementId(Uuid::now_v7()),
            service,
            environment,
            size,
            configuration: ConfigurationId(Uuid::now_v7()),
            limits: &limits,
            by: asked.actor.id,
            by_name: &asked.actor.name,
        };
        store::services::add_placement(&mut tx, &new).await.or_problem(origin)?;
        if let Some(last) = last.filter(|last| !last.variables.0.is_empty()) {
            let again = Configuration {
                id: ConfigurationId(Uuid::now_v7()),
                number: 2,
                // A secret belongs to its placement: it is set anew.
                secrets: Secrets::default(),
                ..last
            };
            let (by, by_name) = (asked.actor.id, &asked.actor.name);
            store::configurations::add(&mut tx, new.id, &again, by, by_name)
                .await
                .or_problem(origin)?;
        }
        let named = Named {
            placement: new.id,
            service: known.name.clone(),
            project: known.project_name.clone(),
            environment: name.clone(),
        };
        self.give_names(&mut tx, origin, there.target, &named, "environment").await?;
        let subject = Subject { placement: Some(new.id), ..place.subject.clone() };
        let row = asked.entry(&permit, subject, Deed::PlacementAdded);
        store::wake::work(&mut tx, "").await.or_problem(origin)?;
        self.commit(tx, origin, &[row]).await?;
        Ok(new.id)
    }
}
