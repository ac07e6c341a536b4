//! Who may read what instances write. The lines themselves are the engine's to read: what is given out
//! here is where they are.

use crate::{Actor, Asked, Control, OrProblem, places};
use domain::{
    error::Problem,
    id::PlacementId,
    log::LogFound,
    name::Name,
    role::{Action, Protection, Scope},
    target::Place,
    view::LogsPage,
};
use store::board::{Drawn, Which};

impl Control {
    /// The page of a service's logs in an environment, still without a line, and where they are read.
    /// Without an environment: in the first one where the viewer may read them.
    pub async fn logs(
        &self,
        asked: &Asked,
        project: &Name,
        service: &Name,
        environment: Option<&Name>,
    ) -> Result<(LogsPage, Place), Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("service");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::services::by_name(&mut conn, project, service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let drawn = self.visible_cells(&mut conn, asked, Which::Service(id)).await?;
        let chosen = match environment {
            Some(name) => drawn.iter().find(|drawn| drawn.cell.environment_name == *name),
            None => drawn.iter().find(|drawn| may(&asked.actor, drawn)).or(drawn.first()),
        };
        let Some(chosen) = chosen else { return Err(missing()) };
        let found = store::placements::load(&mut conn, chosen.cell.placement)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        drop(conn);
        self.permit(asked, Action::LogsView, &places::of_placement(&found, "service")).await?;

        let page = LogsPage {
            number,
            project: project.clone(),
            service: service.clone(),
            environment: found.place.environment.clone(),
            protected: found.protected,
            placement: found.id,
            live: chosen.cell.live.as_ref().map(|live| live.slot),
            environments: drawn
                .iter()
                .filter(|drawn| may(&asked.actor, drawn))
                .map(|drawn| drawn.cell.environment_name.clone())
                .collect(),
            found: LogFound::default(),
        };
        Ok((page, found.place))
    }

    /// Where the logs of a placement are read, for one who takes them away.
    pub async fn logs_of(&self, asked: &Asked, placement: PlacementId) -> Result<Place, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let found = store::placements::load(&mut conn, placement)
            .await
            .or_problem(origin)?
            .ok_or_else(|| Problem::not_found("service"))?;
        drop(conn);
        self.permit(asked, Action::LogsView, &places::of_placement(&found, "service")).await?;
        Ok(found.place)
    }

    /// The same for a stream, which then tells of no lines. Its page was refused already, with a row;
    /// a stream that opens itself again and again shall not write one each time.
    pub async fn logs_to_follow(
        &self,
        actor: &Actor,
        placement: PlacementId,
    ) -> store::Result<Option<Place>> {
        let mut conn = self.pool.acquire().await?;
        let found = store::placements::load(&mut conn, placement).await?;
        let may = |found: &store::placements::Placement| {
            actor.may(Action::LogsView, found.scope(), found.protection())
        };
        Ok(found.filter(may).map(|found| found.place))
    }
}

fn may(actor: &Actor, drawn: &Drawn) -> bool {
    let scope = Scope::Both { project: drawn.project, environment: drawn.cell.environment };
    actor.may(Action::LogsView, scope, Protection::from(drawn.cell.protected))
}
