//! The pages about builds.

use super::logs::{self, LogWish};
use crate::{Actor, Asked, Control, OrProblem, Place, places};
use domain::{
    build::{
        PROJECT_BUDGET, TREND,
        view::{
            BuildMay, BuildPage, BuildRow, BuildableService, BuildsFilter, BuildsPage,
            BuildsProject, DeployTo, ProjectBuild, ProjectBuildsPage, Pushes, SourcePage,
        },
    },
    error::Problem,
    id::{BatchId, BuildId, ProjectId},
    name::Name,
    role::{Action, Protection, Scope},
};
use store::{
    Conn,
    board::Which as Cells,
    builds::{self, Buildable, pages},
    projects::Project,
};

/// A page of a list, and the list on a service's page.
const MOST: i64 = 50;
const FEW: i64 = 10;

fn may(actor: &Actor, action: Action, project: ProjectId) -> bool {
    actor.may(action, Scope::Project { project }, Protection::Open)
}

/// What the viewer may do with each.
fn shown(actor: &Actor, rows: Vec<(ProjectId, BuildRow)>) -> Vec<BuildRow> {
    rows.into_iter()
        .map(|(project, row)| BuildRow {
            may: BuildMay {
                start: may(actor, Action::BuildStart, project),
                cancel: may(actor, Action::BuildCancel, project),
                logs: may(actor, Action::LogsView, project),
            },
            ..row
        })
        .collect()
}

impl Control {
    /// `/builds`: of all projects that the viewer may see.
    pub async fn builds(&self, asked: &Asked, filter: BuildsFilter) -> Result<BuildsPage, Problem> {
        let (origin, actor) = (&asked.origin, &asked.actor);
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let projects = self.visible_projects(&mut conn, asked).await?;
        let ids: Vec<ProjectId> = projects.iter().map(|project| project.id).collect();
        let all = builds::buildable(&mut conn, &ids).await.or_problem(origin)?;
        // A name that is not there, or not for these eyes, finds nothing.
        let wanted: Vec<ProjectId> = match &filter.project {
            Some(name) => projects.iter().filter(|p| p.name == *name).map(|p| p.id).collect(),
            None => ids.clone(),
        };
        let service = filter
            .service
            .as_ref()
            .map(|name| all.iter().find(|one| one.name == *name && wanted.contains(&one.project)));
        let rows = match service {
            Some(None) => Vec::new(),
            service => {
                let which = pages::Which {
                    service: service.flatten().map(|one| one.service),
                    projects: Some(wanted),
                    before: filter.before,
                    state: filter.state,
                    ..pages::Which::default()
                };
                pages::rows(&mut conn, &which, MOST + 1).await.or_problem(origin)?
            }
        };
        let mut rows = shown(actor, rows);
        let more = rows.len() as i64 > MOST;
        rows.truncate(MOST as usize);
        let (running, waiting) = pages::counts(&mut conn, &ids).await.or_problem(origin)?;
        Ok(BuildsPage {
            number,
            older: rows.last().filter(|_| more).map(|row| row.id),
            rows,
            running,
            waiting,
            at_once: self.settings.builds_at_once,
            projects: projects
                .into_iter()
                .map(|project| BuildsProject {
                    may_build: may(actor, Action::BuildStart, project.id),
                    id: project.id,
                    name: project.name,
                })
                .collect(),
            services: all
                .into_iter()
                .filter(|one| may(actor, Action::BuildStart, one.project))
                .filter_map(|one| {
                    Some(BuildableService {
                        id: one.service,
                        project: one.project_name,
                        name: one.name,
                        default_ref: one.source?.default_ref.to_string(),
                    })
                })
                .collect(),
            filter,
        })
    }

    /// One build. Whoever may not read logs sees it without its lines.
    pub async fn build(&self, asked: &Asked, id: BuildId) -> Result<BuildPage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("build");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let which = pages::Which { build: Some(id), ..pages::Which::default() };
        let mut rows = pages::rows(&mut conn, &which, 1).await.or_problem(origin)?;
        let row = rows.first().ok_or_else(missing)?;
        let (service, name, asked_at) = (row.1.service_id, row.1.service.clone(), row.1.asked_at);
        let known = store::services::load(&mut conn, service)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        self.permit(asked, Action::View, &places::of_service(&known, "build")).await?;

        let row = shown(&asked.actor, std::mem::take(&mut rows)).pop().ok_or_else(missing)?;
        let detail = pages::detail(&mut conn, id).await.or_problem(origin)?.ok_or_else(missing)?;
        let told = store::history::of_build(&mut conn, id, name.as_str(), asked_at)
            .await
            .or_problem(origin)?;
        let log = match row.may.logs {
            true => Some(logs::read(&mut conn, id, &LogWish::default(), origin).await?),
            false => None,
        };
        Ok(BuildPage {
            number,
            row,
            source: detail.source,
            steps: detail.steps,
            log,
            rows: told.iter().map(store::history::Stored::shown).collect(),
            phases: detail.phases,
            deploys: builds::deploys::of(&mut conn, id).await.or_problem(origin)?,
            trend: pages::trend(&mut conn, service, TREND).await.or_problem(origin)?,
        })
    }

    /// "Build all" of a project: one click of it, the newest without `batch`.
    pub async fn project_builds(
        &self,
        asked: &Asked,
        project: &Name,
        batch: Option<BatchId>,
    ) -> Result<ProjectBuildsPage, Problem> {
        let (origin, actor) = (&asked.origin, &asked.actor);
        let missing = || Problem::not_found("project");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::projects::by_name(&mut conn, project)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let place = places::of_project(&Project { id, name: project.clone() });
        self.permit(asked, Action::View, &place).await?;

        let batch = pages::batch(&mut conn, id, batch).await.or_problem(origin)?;
        let mut of_batch = match &batch {
            Some(batch) => {
                let which = pages::Which { batch: Some(batch.id), ..pages::Which::default() };
                shown(actor, pages::rows(&mut conn, &which, 1000).await.or_problem(origin)?)
            }
            None => Vec::new(),
        };
        let mut services = Vec::new();
        let mut without_source = Vec::new();
        for one in builds::buildable(&mut conn, &[id]).await.or_problem(origin)? {
            let Buildable { service, name, source: Some(source), .. } = one else {
                without_source.push(one.name);
                continue;
            };
            let at = of_batch.iter().position(|row| row.service_id == service);
            services.push(ProjectBuild {
                service: name,
                service_id: service,
                default_ref: source.default_ref.to_string(),
                build: at.map(|at| of_batch.swap_remove(at)),
            });
        }
        Ok(ProjectBuildsPage {
            number,
            project: project.clone(),
            project_id: id,
            batch,
            services,
            without_source,
            budget_ms: u64::try_from(PROJECT_BUDGET.as_millis()).unwrap_or(u64::MAX),
            may_build: may(actor, Action::BuildStart, id),
        })
    }

    /// Where a service's code is, and its last builds.
    pub async fn source(
        &self,
        asked: &Asked,
        project: &Name,
        service: &Name,
    ) -> Result<SourcePage, Problem> {
        let (origin, actor) = (&asked.origin, &asked.actor);
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::services::by_name(&mut conn, project, service)
            .await
            .or_problem(origin)?
            .ok_or_else(super::missing)?;
        let known = store::services::load(&mut conn, id)
            .await
            .or_problem(origin)?
            .ok_or_else(super::missing)?;
        let place = places::of_service(&known, "service");
        // Whoever sees one of its placements sees this, too: the page of the service has both.
        let cells = self.visible_cells(&mut conn, asked, Cells::Service(id)).await?;
        if cells.is_empty() {
            self.permit(asked, Action::View, &place).await?;
        }

        let which = pages::Which { service: Some(id), ..pages::Which::default() };
        let rows = pages::rows(&mut conn, &which, FEW).await.or_problem(origin)?;
        let rule = store::registries::rule(&mut conn, id).await.or_problem(origin)?;
        let pushes = rule
            .filter(|rule| rule.after_build)
            .map(|rule| Pushes { repository: rule.repository, tags: rule.tags });
        let allowed = |action, place: &Place| actor.may(action, place.scope, place.protection);
        Ok(SourcePage {
            number,
            service_id: id,
            source: builds::source(&mut conn, id).await.or_problem(origin)?,
            builds: shown(actor, rows),
            trend: pages::trend(&mut conn, id, TREND).await.or_problem(origin)?,
            pushes,
            deploy_to: cells
                .into_iter()
                .filter(|drawn| drawn.cell.may.start)
                .map(|drawn| DeployTo {
                    placement: drawn.cell.placement,
                    environment: drawn.cell.environment_name,
                    environment_id: drawn.cell.environment,
                    protected: drawn.cell.protected,
                })
                .collect(),
            may_edit: allowed(Action::ServiceEdit, &place),
            may_build: allowed(Action::BuildStart, &place),
            project: known.project_name,
            service: known.name,
        })
    }

    async fn visible_projects(
        &self,
        conn: &mut Conn,
        asked: &Asked,
    ) -> Result<Vec<Project>, Problem> {
        let all = store::projects::all(conn).await.or_problem(&asked.origin)?;
        Ok(all.into_iter().filter(|project| may(&asked.actor, Action::View, project.id)).collect())
    }
}
