//! Projects.

use super::Answer;
use domain::{
    name::Name,
    view::{ProjectPage, ProjectsPage},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::context::{asked, control};

/// All projects of which the viewer may see anything.
#[server(name = SeeProjects, prefix = "/api", endpoint = "projects/all")]
pub async fn projects() -> Answer<ProjectsPage> {
    Ok(control().projects(&asked()?).await?)
}

/// The page of one project.
#[server(name = SeeProject, prefix = "/api", endpoint = "projects/page")]
pub async fn project(project: Name) -> Answer<ProjectPage> {
    Ok(control().project(&asked()?, &project).await?)
}
