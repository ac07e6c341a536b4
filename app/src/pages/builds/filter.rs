//! Which builds are shown is the address of the page, so that it can be sent to somebody.

use crate::api::typed::escaped;
use domain::build::view::{BuildsFilter, BuildsPage as Page, State};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What the address asks for. What can not be read is not asked for.
pub(super) fn read(query: &ParamsMap) -> BuildsFilter {
    let word = |name: &str| query.get(name).filter(|word| !word.is_empty());
    BuildsFilter {
        project: word("project").and_then(|name| name.parse().ok()),
        service: word("service").and_then(|name| name.parse().ok()),
        state: word("state").and_then(|state| state.parse().ok()),
        before: word("before").and_then(|id| id.parse().ok()),
    }
}

/// The address that asks for it.
pub(super) fn address(filter: &BuildsFilter) -> String {
    let said = |value: Option<String>| value.unwrap_or_default();
    let pairs = [
        ("project", said(filter.project.as_ref().map(ToString::to_string))),
        ("service", said(filter.service.as_ref().map(ToString::to_string))),
        ("state", said(filter.state.map(|state| state.as_str().to_owned()))),
        ("before", said(filter.before.map(|id| id.to_string()))),
    ];
    let said: Vec<String> = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", escaped(&value)))
        .collect();
    if said.is_empty() { "/builds".to_owned() } else { format!("/builds?{}", said.join("&")) }
}

/// Projects, the services of the one that is chosen, and how builds stand.
#[component]
pub(super) fn Chips(page: Page) -> impl IntoView {
    let now = BuildsFilter { before: None, ..page.filter.clone() };
    let chip = |said: String, to: BuildsFilter| {
        let current = (to == now).then_some("true");
        view! {
            <a class="chip" href=address(&to) aria-current=current>
                {said}
            </a>
        }
    };
    let everything = BuildsFilter { state: now.state, ..BuildsFilter::default() };
    let mut chips = vec![chip("Everything".to_owned(), everything.clone())];
    for project in &page.projects {
        let to = BuildsFilter { project: Some(project.name.clone()), ..everything.clone() };
        chips.push(chip(project.name.to_string(), to));
    }
    let of_project =
        page.services.iter().filter(|service| Some(&service.project) == now.project.as_ref());
    let services = of_project
        .map(|service| {
            let to = BuildsFilter { service: Some(service.name.clone()), ..now.clone() };
            chip(service.name.to_string(), to)
        })
        .collect_view();
    let states = std::iter::once(None).chain(State::ALL.into_iter().map(Some)).map(|state| {
        let said = state.map_or("however they stand", |state| match state {
            State::Open => "under way",
            other => other.as_str(),
        });
        chip(said.to_owned(), BuildsFilter { state, ..now.clone() })
    });
    let states = states.collect_view();
    view! {
        <nav class="shown-filter" aria-label="Which builds are shown">
            {chips} {services}
        </nav>
        <nav class="shown-filter" aria-label="How they stand">
            {states}
        </nav>
    }
}
