//! One project: its services across environments, what happened last, who may do what.

use crate::{
    api::projects,
    components::{
        board::{BoardTable, Group},
        loaded::Loaded,
        moves,
        rows::Feed,
    },
    live::{Topics, live},
};
use domain::{error::Problem, id::PlacementId, name::Name, view::ProjectPage as View};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;

/// Loads it and follows its placements.
#[component]
pub fn ProjectPage() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| {
        params.with(|params| params.get_str("project").and_then(|name| name.parse::<Name>().ok()))
    });
    let page = Resource::new_blocking(
        move || name.get(),
        |name| async move {
            match name {
                Some(name) => projects::project(name).await,
                None => Err(Problem::not_found("project").into()),
            }
        },
    );
    let live = live();
    let placements = StoredValue::new(Vec::<PlacementId>::new());
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            let cells = page.project.services.iter().flat_map(|service| &service.cells);
            let shown: Vec<_> = cells.map(|cell| cell.placement).collect();
            placements.set_value(shown.clone());
            live.follow(page.number, Topics::Placements(shown));
        }
    });
    live.on_rows(
        // A row without a placement may be a release, or a new service.
        move |row| {
            row.placement.is_none_or(|placement| {
                placements.with_value(|placements| placements.contains(&placement))
            })
        },
        move || page.refetch(),
    );
    moves::provide();

    view! { <Loaded page draw=|view| view! { <Project view /> }.into_any() /> }
}

#[component]
fn Project(view: View) -> impl IntoView {
    let View { environments, project, happening, may_add_service, may_see_access, .. } = view;
    let (id, name) = (project.id, project.name.to_string());
    let add = format!("/services/new?project={name}");
    let none = project.services.is_empty();
    view! {
        <Title text=name.clone() />
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href="/projects">"Projects"</a>
                    " / "
                    <span>{name.clone()}</span>
                </nav>
                <h1>{name.clone()}</h1>
                <p class="by">
                    <a href=format!("/history?project={name}")>"History"</a>
                    {may_see_access
                        .then(|| {
                            view! {
                                " · "
                                <a href=format!("/access?project={id}")>"Who may do what here"</a>
                            }
                        })}
                </p>
            </div>
            <div class="actions">
                {(may_add_service && !none)
                    .then(|| {
                        view! {
                            <a class="button" href=add.clone()>
                                "Add a service"
                            </a>
                        }
                    })}
            </div>
        </div>
        <div class="layout">
            {if none {
                view! {
                    <div class="empty">
                        <h2>"No service is shown here"</h2>
                        <p>
                            "Either the project has none yet, or there is none in the environments that you may see."
                        </p>
                        {may_add_service
                            .then(|| {
                                view! {
                                    <a class="button primary" href=add>
                                        "Add a service"
                                    </a>
                                }
                            })}
                    </div>
                }
                    .into_any()
            } else {
                view! {
                    <BoardTable
                        caption=format!(
                            "Services of {name} and what runs of them in each environment",
                        )
                        columns=environments.clone()
                    >
                        <Group project columns=environments alone=true />
                    </BoardTable>
                }
                    .into_any()
            }}
            <aside aria-labelledby="happening">
                <h2 id="happening">"Happened here"</h2>
                <Feed rows=happening />
            </aside>
        </div>
    }
}
