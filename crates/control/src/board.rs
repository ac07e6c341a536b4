//! The board: services down, environments across. What one may not see is not there.

use crate::{Actor, Asked, Control, OrProblem};
use domain::{
    error::Problem,
    history::sentence::Tone,
    live::Row,
    role::{Action, Protection, Scope},
    rollout::Phase,
    service::Exposure,
    view::{Allowed, Board, BoardEnvironment, BoardProject, BoardService, HistoryFilter},
};
use store::{
    Conn,
    board::{Drawn, Which},
    history::Selection,
};

/// How many rows the board tells, …
const HAPPENING: usize = 12;
/// … of so many of the newest.
const LOOKED_AT: i64 = 100;

/// Which buttons are lit on a placement. A view of its own, because the table is asked, never a
/// role.
pub(crate) fn may_placement(actor: &Actor, scope: Scope, protection: Protection) -> Allowed {
    let may = |action| actor.may(action, scope, protection);
    Allowed {
        start: may(Action::RolloutStart),
        abort: may(Action::RolloutAbort),
        roll_back: may(Action::RolloutRollBack),
        promote: may(Action::RolloutPromote),
        configure: may(Action::ConfigurationEdit),
        secrets: may(Action::SecretSet),
        release: may(Action::ReleaseCreate),
        edit: may(Action::PlacementScale),
        logs: may(Action::LogsView),
        restart: may(Action::PlacementRestart),
        remove: may(Action::PlacementRemove),
    }
}

/// Which buttons are lit on a service: those that need no environment.
pub(crate) fn may_service(actor: &Actor, scope: Scope) -> Allowed {
    Allowed {
        release: actor.may(Action::ReleaseCreate, scope, Protection::Open),
        edit: actor.may(Action::ServiceEdit, scope, Protection::Open),
        ..Allowed::default()
    }
}

/// "port 8080".
fn note(exposure: Exposure) -> String {
    match exposure {
        Exposure::Http { port } => format!("port {port}"),
        Exposure::None => "no port".to_owned(),
    }
}

/// Cells, which come by project and service, in their rows and groups.
pub(crate) fn grouped(cells: Vec<Drawn>) -> Vec<BoardProject> {
    let mut projects: Vec<BoardProject> = Vec::new();
    for drawn in cells {
        if projects.last().is_none_or(|project| project.id != drawn.project) {
            let (id, name) = (drawn.project, drawn.project_name.clone());
            projects.push(BoardProject { id, name, services: Vec::new() });
        }
        let services = &mut projects.last_mut().expect("one was just pushed").services;
        if services.last().is_none_or(|service| service.id != drawn.service) {
            services.push(BoardService {
                id: drawn.service,
                name: drawn.service_name,
                note: note(drawn.exposure),
                cells: Vec::new(),
            });
        }
        services.last_mut().expect("one was just pushed").cells.push(drawn.cell);
    }
    projects
}

impl Control {
    /// The cells of `which` that the person may see, with their cards and buttons.
    pub(crate) async fn visible_cells(
        &self,
        conn: &mut Conn,
        asked: &Asked,
        which: Which,
    ) -> Result<Vec<Drawn>, Problem> {
        let origin = &asked.origin;
        let mut drawn = store::board::cells(conn, which).await.or_problem(origin)?;
        let place = |drawn: &Drawn| {
            let scope = Scope::Both { project: drawn.project, environment: drawn.cell.environment };
            (scope, Protection::from(drawn.cell.protected))
        };
        drawn.retain(|drawn| {
            let (scope, protection) = place(drawn);
            asked.actor.may(Action::View, scope, protection)
        });
        store::board::with_cards(conn, &mut drawn).await.or_problem(origin)?;
        for drawn in &mut drawn {
            let (scope, protection) = place(drawn);
            drawn.cell.may = may_placement(&asked.actor, scope, protection);
        }
        Ok(drawn)
    }

    /// The environments that the person may see, in their order.
    pub(crate) async fn columns(
        &self,
        conn: &mut Conn,
        asked: &Asked,
    ) -> Result<Vec<BoardEnvironment>, Problem> {
        let known = store::environments::all(conn).await.or_problem(&asked.origin)?;
        let may_see = |known: &store::environments::Known| {
            let scope = Scope::Environment { environment: known.environment.id };
            asked.actor.may(Action::View, scope, known.environment.protection())
        };
        let columns = known.into_iter().filter(may_see).map(|known| BoardEnvironment {
            id: known.environment.id,
            name: known.environment.name,
            protected: known.environment.protected,
            target: known.target_name,
            trouble: (known.target_answers == Some(false)).then_some(known.target_says),
        });
        Ok(columns.collect())
    }

    /// What happened last of what a filter lets through and the person may see.
    pub(crate) async fn happening(
        &self,
        conn: &mut Conn,
        asked: &Asked,
        about: &HistoryFilter,
    ) -> Result<Vec<Row>, Problem> {
        let origin = &asked.origin;
        let now = store::now(conn).await.or_problem(origin)?;
        let newest = Selection::new(&asked.actor.windows(), about, now);
        let rows = store::history::page(conn, &newest, LOOKED_AT).await.or_problem(origin)?;
        // A rollout tells of seven phases: here it is enough how it ended, or that it needs somebody.
        let told = rows
            .iter()
            .map(store::history::Stored::shown)
            .filter(|row| row.phase.is_none_or(Phase::is_end) || row.tone != Tone::Quiet)
            .take(HAPPENING)
            .collect();
        Ok(told)
    }

    /// The first page.
    pub async fn board(&self, asked: &Asked) -> Result<Board, Problem> {
        let origin = &asked.origin;
        let actor = &asked.actor;
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;

        let environments = self.columns(&mut conn, asked).await?;
        let projects = grouped(self.visible_cells(&mut conn, asked, Which::All).await?);
        let happening = self.happening(&mut conn, asked, &HistoryFilter::default()).await?;
        Ok(Board {
            number,
            environments,
            projects,
            happening,
            may_add_service: actor.may_somewhere(Action::ServiceEdit),
        })
    }
}
