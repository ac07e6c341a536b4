//! Which builds are shown is the address of the page, so that it can be sent to somebody.

use crate::api::typed::escaped;
use domain::build::view::{BuildsFilter, BuildsPage as Page};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What the address asks for. What can not be read is not asked for.
pub(super) fn read(query: &ParamsMap) -> BuildsFilter {
    let word = |name: &str| query.get(name).filter(|word| !word.is_empty());
    BuildsFilter {
        project: word("project").and_then(|name| name.parse().ok()),
        service: word("service").and_then(|name| name.parse().ok()),
        before: word("before").and_then(|id| id.parse().ok()),
    }
}

/// The address that asks for it.
pub(super) fn address(filter: &BuildsFilter) -> String {
    let said = |value: Option<String>| value.unwrap_or_default();
    let pairs = [
        ("project", said(filter.project.as_ref().map(ToString::to_string))),
        ("service", said(filter.service.as_ref().map(ToString::to_string))),
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
    let mut chips = vec![chip("Everything".to_owned(), BuildsFilter::default())];
    for project in &page.projects {
        let to = BuildsFilter { project: Some(project.name.clone()), ..BuildsFilter::default() };
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
    view! {
        <nav class="shown-filter" aria-label="Which builds are shown">
            {chips} {services}
        </nav>
    }
}
