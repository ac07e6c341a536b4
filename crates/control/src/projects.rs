//! Projects as pages: the board of one of them, and the list of all.

use crate::{Asked, Control, OrProblem, board};
use domain::{
    error::Problem,
    name::Name,
    role::{Action, Protection, Scope},
    view::{BoardProject, HistoryFilter, ProjectPage, ProjectsPage},
};
use store::board::Which;

impl Control {
    /// The projects of which the person may see anything.
    pub async fn projects(&self, asked: &Asked) -> Result<ProjectsPage, Problem> {
        let origin = &asked.origin;
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        Ok(ProjectsPage {
            number,
            projects: board::grouped(self.visible_cells(&mut conn, asked, Which::All).await?),
            may_add_service: asked.actor.may_somewhere(Action::ServiceEdit),
        })
    }

    /// One project. One of which nothing may be seen is not there.
    pub async fn project(&self, asked: &Asked, name: &Name) -> Result<ProjectPage, Problem> {
        let origin = &asked.origin;
        let actor = &asked.actor;
        let missing = || Problem::not_found("project");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::projects::by_name(&mut conn, name)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let scope = Scope::Project { project: id };
        if !actor.may(Action::View, scope, Protection::Open) {
            return Err(missing());
        }

        let environments = self.columns(&mut conn, asked).await?;
        let cells = self.visible_cells(&mut conn, asked, Which::Project(id)).await?;
        let none_yet = || BoardProject { id, name: name.clone(), services: Vec::new() };
        let project = board::grouped(cells).pop().unwrap_or_else(none_yet);
        let about = HistoryFilter { project: Some(name.to_string()), ..HistoryFilter::default() };
        Ok(ProjectPage {
            number,
            environments,
            project,
            happening: self.happening(&mut conn, asked, &about).await?,
            may_add_service: actor.may(Action::ServiceEdit, scope, Protection::Open),
            may_see_access: actor.may(Action::PeopleManage, Scope::Everything, Protection::Open),
        })
    }
}
