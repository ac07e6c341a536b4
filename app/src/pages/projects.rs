//! The projects, each with how its services are.

use crate::{
    api::projects,
    components::loaded::Loaded,
    format::counted,
    live::{Topics, live},
};
use domain::view::{BoardProject, Cell, ProjectsPage as View};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn ProjectsPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| projects::projects());
    let live = live();
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            live.follow(page.number, Topics::Rows);
        }
    });
    live.on_rows(|_| true, move || page.refetch());
    view! {
        <Title text="Projects" />
        <Loaded page draw=|view| view! { <Projects view /> }.into_any() />
    }
}

#[component]
fn Projects(view: View) -> impl IntoView {
    let View { projects, may_add_service, .. } = view;
    let none = projects.is_empty();
    view! {
        <div class="head">
            <h1>"Projects"</h1>
            {(may_add_service && !none)
                .then(|| {
                    view! {
                        <a class="button small" href="/services/new">
                            "New service"
                        </a>
                    }
                })}
        </div>
        {none
            .then(|| {
                view! {
                    <div class="empty">
                        <h2>"There is no project here for you yet"</h2>
                        <p>
                            "A project is a team's services, and a scope of roles. It comes into being with its first service."
                        </p>
                        {may_add_service
                            .then(|| {
                                view! {
                                    <a class="button primary" href="/services/new">
                                        "Add a service"
                                    </a>
                                }
                            })}
                    </div>
                }
            })}
        <ul class="projects">
            {projects.into_iter().map(|project| view! { <One project /> }).collect_view()}
        </ul>
    }
}

/// How many placements of a project are what.
fn count(project: &BoardProject, is: impl Fn(&Cell) -> bool) -> usize {
    project.services.iter().flat_map(|service| &service.cells).filter(|cell| is(cell)).count()
}

#[component]
fn One(project: BoardProject) -> impl IntoView {
    let said = |number: usize, words: &str, class: &'static str| {
        let text = format!("{number} {words}");
        (number > 0).then(|| view! { <span class=class>{text}</span> })
    };
    let name = project.name.to_string();
    let services = counted(project.services.len() as u64, "service", "services");
    view! {
        <li>
            <h2>
                <a href=format!("/projects/{name}")>{name.clone()}</a>
            </h2>
            <p class="counts">
                <span>{services}</span>
                {said(count(&project, |cell| cell.live.is_some()), "live", "")}
                {said(count(&project, |cell| cell.active.is_some()), "rolling", "")}
                {said(count(&project, |cell| cell.failed.is_some()), "failed last", "red")}
                {said(count(&project, |cell| cell.drift.is_some()), "differ", "amber")}
            </p>
            <p class="soft names">
                {project
                    .services
                    .iter()
                    .take(12)
                    .map(|service| {
                        let to = format!("/projects/{name}/services/{}", service.name);
                        view! { <a href=to>{service.name.to_string()}</a> }
                    })
                    .collect_view()}
            </p>
        </li>
    }
}
