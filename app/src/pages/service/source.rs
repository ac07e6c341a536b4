//! Where the code of a service is, and its last builds: on its page.

use crate::{
    api::builds,
    components::{
        build_form::{self, BuildForms, OFFERED},
        builds::{BuildTable, Outcome, Refs, named, place},
        loaded::Awaited,
    },
    live::live,
};
use domain::{
    build::{
        Phase,
        view::{BuildRow, SourcePage as Page},
    },
    name::Name,
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use std::collections::BTreeSet;

/// How many builds the service's page shows; the others are a click away.
const SHOWN: usize = 3;

/// What is loaded once for a page, however often that is drawn.
#[derive(Clone, Copy)]
struct Loaded(Resource<Option<Page>>);

/// Loads it, and again when builds say something new.
pub fn provide() {
    build_form::provide();
    let params = use_params_map();
    let names = Memo::new(move |_| {
        params.with(|params| {
            let named = |part: &str| params.get_str(part)?.parse::<Name>().ok();
            named("project").zip(named("service"))
        })
    });
    let page = Resource::new_blocking(
        move || names.get(),
        |names| async move {
            let (project, service) = names?;
            builds::source(project, service).await.ok()
        },
    );
    live().on_rows(|row| row.build.is_some(), move || page.refetch());
    provide_context(Loaded(page));
}

/// The section. Nothing where it can not be seen.
#[component]
pub fn Source() -> impl IntoView {
    let Some(Loaded(page)) = use_context::<Loaded>() else { return ().into_any() };
    let draw = |page: Option<Page>| page.map(|page| view! { <Section page /> }).into_any();
    view! { <Awaited of=page draw /> }.into_any()
}

#[component]
fn Section(page: Page) -> impl IntoView {
    let home = format!("/projects/{}/services/{}/source", page.project, page.service);
    if page.source.is_none() && page.builds.is_empty() && !page.may_edit {
        return ().into_any();
    }
    let (open, ended): (Vec<_>, Vec<_>) =
        page.builds.iter().cloned().partition(|row| !row.phase.is_end());
    let all = format!("/builds?project={}&service={}", page.project, page.service);
    let more = !page.builds.is_empty();
    let words = match &page.source {
        Some(source) => view! {
            <p>
                <span class="mono">{source.url.to_string()}</span>
                " at "
                <span class="mono">{source.default_ref.to_string()}</span>
                " · "
                <a class="link" href=home>
                    "source and recipe"
                </a>
                {more
                    .then(|| {
                        view! {
                            " · "
                            <a class="link" href=all>
                                "all builds"
                            </a>
                        }
                    })}
            </p>
        }
        .into_any(),
        None => view! {
            <p class="soft">
                "Say where the code is, and images and releases are built from any branch, tag or commit of it."
            </p>
            {page
                .may_edit
                .then(|| {
                    view! {
                        <div class="act">
                            <a class="button" href=home>
                                "Give it a source"
                            </a>
                        </div>
                    }
                })}
        }
        .into_any(),
    };
    // What was built before is likely to be built again.
    let asked: BTreeSet<String> = page.builds.iter().map(|row| row.asked.clone()).collect();
    let ended: Vec<_> = ended.into_iter().take(SHOWN).collect();
    view! {
        <section aria-labelledby="source">
            <h2 id="source">"Source and builds"</h2>
            <div class="source-of">
                {words} <div class="act">
                    <BuildForms page />
                </div>
                {(!open.is_empty())
                    .then(|| {
                        view! {
                            <ul class="queue">
                                {open.into_iter().map(|row| view! { <Open row /> }).collect_view()}
                            </ul>
                        }
                    })}
                {(!ended.is_empty()).then(|| view! { <BuildTable rows=ended of_one=true /> })}
            </div>
        <datalist id=OFFERED>
            {asked.into_iter().map(|name| view! { <option value=name></option> }).collect_view()}
        </datalist>
        </section>
    }
    .into_any()
}

/// A build that runs or waits.
#[component]
fn Open(row: BuildRow) -> impl IntoView {
    let home = format!("/builds/{}", row.id);
    let waits = (row.phase == Phase::Queued).then(|| place(&row));
    view! {
        <li>
            <div class="what">
                <a href=home.clone()>{named(&row)}</a>
                " "
                <Refs row=row.clone() />
            </div>
            <div class="far">
                <Outcome phase=row.phase />
                <p>{waits}</p>
            </div>
            <div class="act">
                <a class="button small" href=home>
                    "Watch"
                </a>
            </div>
        </li>
    }
}
