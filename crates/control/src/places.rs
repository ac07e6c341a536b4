//! Where things are, for the check; and the lock that every verb on a placement begins with.

use crate::{Asked, Control, OrProblem, Place};
use domain::{
    environment::Environment,
    error::Problem,
    history::{Origin, Subject},
    id::PlacementId,
    name::Name,
    role::{Protection, Scope},
};
use store::{Tx, placements::Placement, services::Service};

/// Where a placement is. `noun` is what one is told does not exist.
pub(crate) fn of_placement(placement: &Placement, noun: &'static str) -> Place {
    Place {
        scope: placement.scope(),
        protection: placement.protection(),
        subject: placement.subject(None),
        noun,
    }
}

/// Where a service is: in its project, in no environment.
pub(crate) fn of_service(service: &Service, noun: &'static str) -> Place {
    Place {
        scope: service.scope(),
        protection: Protection::Open,
        subject: subject_of(service),
        noun,
    }
}

/// What a row about a service is about.
pub(crate) fn subject_of(service: &Service) -> Subject {
    Subject {
        project: Some(service.project_name.clone()),
        service: Some(service.name.clone()),
        ..Subject::default()
    }
}

/// Where a project is.
pub(crate) fn of_project(project: &store::projects::Project) -> Place {
    Place {
        scope: Scope::Project { project: project.id },
        protection: Protection::Open,
        subject: subject_of_project(&project.name),
        noun: "project",
    }
}

/// What a row about a project is about.
pub(crate) fn subject_of_project(name: &Name) -> Subject {
    Subject { project: Some(name.clone()), ..Subject::default() }
}

/// Where an environment is.
pub(crate) fn of_environment(environment: &Environment) -> Place {
    Place {
        scope: Scope::Environment { environment: environment.id },
        protection: environment.protection(),
        subject: Subject { environment: Some(environment.name.clone()), ..Subject::default() },
        noun: "environment",
    }
}

/// What is wanted of a placement outside of a rollout is refused during one.
pub(crate) fn expect_settled(placement: &Placement) -> Result<(), Problem> {
    if placement.busy_with.is_empty() {
        Ok(())
    } else {
        Err(Problem::conflict(
            "A rollout is under way here. Wait until it has ended; nothing was changed.",
        ))
    }
}

impl Control {
    /// Locks a placement before anything else is locked, and reads it.
    pub(crate) async fn lock_placement(
        &self,
        mut tx: Tx,
        asked: &Asked,
        id: PlacementId,
    ) -> Result<(Tx, Placement), Problem> {
        let origin = &asked.origin;
        let found = store::placements::lock(&mut tx, id).await.or_problem(origin)?;
        let placement = match found {
            true => store::placements::load(&mut tx, id).await.or_problem(origin)?,
            false => None,
        };
        placement.map(|placement| (tx, placement)).ok_or_else(|| Problem::not_found("service"))
    }

    /// Wakes the engines once the transaction commits.
    pub(crate) async fn wake(
        &self,
        tx: &mut Tx,
        origin: &Origin,
        placement: PlacementId,
    ) -> Result<(), Problem> {
        store::wake::work(tx, &placement.to_string()).await.or_problem(origin)
    }
}
