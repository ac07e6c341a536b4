//! All builds that one may see: what runs and waits on top, then what was.

mod filter;

use crate::{
    api::builds,
    clock::clock,
    components::{
        builds::{BuildTable, Outcome, Refs, cached, named, place, took},
        loaded::Loaded,
    },
    format,
    live::{Topics, live},
};
use domain::{
    build::{
        Phase,
        view::{BuildRow, BuildsFilter, BuildsPage as Page},
    },
    name::Name,
};
use filter::Chips;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// Loads the builds that the address asks for, and follows them.
#[component]
pub fn BuildsPage() -> impl IntoView {
    let query = use_query_map();
    let wanted = Memo::new(move |_| query.with(filter::read));
    let page = Resource::new_blocking(
        move || wanted.get(),
        |BuildsFilter { project, service, state, before }| async move {
            let named = |name: Option<Name>| name.map(|name| name.to_string()).unwrap_or_default();
            let before = before.map(|id| id.to_string()).unwrap_or_default();
            let state = state.map(|state| state.as_str().to_owned()).unwrap_or_default();
            builds::builds(named(project), named(service), state, before).await
        },
    );
    let live = live();
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            live.follow(page.number, Topics::Builds);
        }
    });
    live.on_rows(|row| row.build.is_some(), move || page.refetch());
    view! {
        <Title text="Builds" />
        <Loaded page=page draw=|page| view! { <Builds page /> }.into_any() />
    }
}

#[component]
fn Builds(page: Page) -> impl IntoView {
    let (open, ended): (Vec<_>, Vec<_>) =
        page.rows.iter().cloned().partition(|row| !row.phase.is_end());
    let nothing = open.is_empty() && ended.is_empty();
    let filtered = page.filter != BuildsFilter::default();
    let all = page
        .projects
        .iter()
        .filter(|project| project.may_build)
        .filter(|project| page.filter.project.as_ref().is_none_or(|wanted| *wanted == project.name))
        .map(|project| {
            let label = format!("Build all of {}", project.name);
            view! {
                <a class="button small" href=format!("/projects/{}/builds", project.name)>
                    {label}
                </a>
            }
        })
        .collect_view();
    let older = page.older.map(|before| {
        filter::address(&BuildsFilter { before: Some(before), ..page.filter.clone() })
    });
    let of_one = page.filter.service.is_some();
    view! {
        <div class="status">
            <h1>"Builds"</h1>
            <Says running=page.running waiting=page.waiting at_once=page.at_once />
            <span class="spacer"></span>
            {all}
        </div>
        <Chips page=page.clone() />
        {(!open.is_empty()).then(|| view! { <Queue rows=open /> })}
        {if nothing {
            view! { <Nothing filtered can_build=!page.services.is_empty() /> }.into_any()
        } else if ended.is_empty() {
            ().into_any()
        } else {
            view! {
                <section>
                    <h2>"What was built"</h2>
                    <BuildTable rows=ended of_one />
                </section>
            }
                .into_any()
        }}
        <nav class="pager" aria-label="More builds">
            {older
                .map(|href| {
                    view! {
                        <a class="button" href=href>
                            "Older builds"
                        </a>
                    }
                })}
        </nav>
    }
}

/// What runs and waits in the whole installation, as far as one may see it.
#[component]
fn Says(running: u32, waiting: u32, at_once: u32) -> impl IntoView {
    let most = format::counted(at_once.into(), "build at a time", "builds at a time");
    view! {
        {(running > 0)
            .then(|| {
                view! {
                    <span>
                        <b>{running}</b>
                        {if running == 1 { " runs" } else { " run" }}
                    </span>
                }
            })}
        {(waiting > 0)
            .then(|| {
                view! {
                    <span>
                        <b>{waiting}</b>
                        {if waiting == 1 { " waits" } else { " wait" }}
                    </span>
                }
            })}
        <span class="soft">{format!("at most {most}")}</span>
    }
}

/// What runs, and behind it what waits, in its order.
#[component]
fn Queue(rows: Vec<BuildRow>) -> impl IntoView {
    let mut rows = rows;
    rows.sort_by_key(|row| (row.phase == Phase::Queued, row.before_it, row.asked_at));
    view! {
        <section aria-labelledby="now">
            <h2 id="now">"Now"</h2>
            <ol class="queue">
                {rows.into_iter().map(|row| view! { <Open row /> }).collect_view()}
            </ol>
        </section>
    }
}

#[component]
fn Open(row: BuildRow) -> impl IntoView {
    let clock = clock();
    let home = format!("/builds/{}", row.id);
    let count = (row.count.steps > 0).then(|| format!(" · {} steps cached", cached(&row)));
    let waits = row.phase == Phase::Queued;
    let far = {
        let row = row.clone();
        move || match took(&row, clock) {
            None => place(&row),
            Some(taken) => format::seconds(taken),
        }
    };
    view! {
        <li>
            <div class="what">
                <a href=home.clone()>{format!("{} {}", row.service, named(&row))}</a>
                <p>
                    {row.project.to_string()} " · " <Refs row=row.clone() />
                    {format!(" · asked by {}", row.by)}
                </p>
            </div>
            <div class="far">
                <Outcome phase=row.phase />
                <p>
                    {far} {count}
                    {row
                        .cancel_asked_by
                        .clone()
                        .map(|by| format!(" · {by} asked that it stops"))}
                </p>
            </div>
            <div class="act">
                <a class="button small" href=home>
                    {if waits { "Open" } else { "Watch" }}
                </a>
            </div>
        </li>
    }
}

#[component]
fn Nothing(filtered: bool, can_build: bool) -> impl IntoView {
    let (title, said) = if filtered {
        ("No such build", "Nothing that was built fits what is chosen above.")
    } else if can_build {
        (
            "Nothing was built yet",
            "Open a service that has a source and press Build: its image and a release come out of it.",
        )
    } else {
        (
            "No service has a source yet",
            "Say on a service's page where its code is. Then a build makes its image and a release, from any branch, tag or commit.",
        )
    };
    view! {
        <div class="empty">
            <h2>{title}</h2>
            <p>{said}</p>
            <a class="button" href=if filtered { "/builds" } else { "/" }>
                {if filtered { "Show all builds" } else { "To the board" }}
            </a>
        </div>
    }
}
