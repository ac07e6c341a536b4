//! The filter of the history is its address, so that a view can be sent to somebody. Chips take a
//! part away, a plain form adds one, and the export takes what is shown.

use crate::api::typed::escaped;
use domain::view::{HistoryFilter, HistoryPage as View};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

/// What a row can be about: the word in the address and the word on screen.
const ABOUT: [(&str, &str); 6] = [
    ("rollouts", "rollouts"),
    ("builds", "builds"),
    ("changes", "changes"),
    ("people", "people and roles"),
    ("sign_ins", "sign-ins"),
    ("refusals", "refusals"),
];

/// How far back: days and the words for it.
const DAYS: [(&str, &str); 4] =
    [("1", "24 hours"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days")];

/// Reads the filter out of an address. What can not be read is not asked for.
pub(super) fn read(query: &ParamsMap) -> HistoryFilter {
    let word = |name: &str| query.get(name).filter(|word| !word.trim().is_empty());
    HistoryFilter {
        person: word("person"),
        project: word("project"),
        service: word("service"),
        environment: word("environment"),
        rollout: word("rollout").and_then(|id| id.parse().ok()),
        about: word("about").filter(|about| ABOUT.iter().any(|(word, _)| word == about)),
        days: word("days").and_then(|days| days.parse().ok()),
        before: word("before").and_then(|number| number.parse().ok()),
    }
}

/// The same filter as the query of an address, empty or with its `?`.
pub(super) fn query_of(filter: &HistoryFilter) -> String {
    let pairs = [
        ("person", filter.person.clone()),
        ("project", filter.project.clone()),
        ("service", filter.service.clone()),
        ("environment", filter.environment.clone()),
        ("rollout", filter.rollout.map(|id| id.to_string())),
        ("about", filter.about.clone()),
        ("days", filter.days.map(|days| days.to_string())),
        ("before", filter.before.map(|number| number.to_string())),
    ];
    let said: Vec<String> = pairs
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))))
        .collect();
    if said.is_empty() { String::new() } else { format!("?{}", said.join("&")) }
}

/// Where the download of exactly this filter is. It is the whole of it, not the page of 50.
pub(super) fn export(format: &str, filter: &HistoryFilter) -> String {
    let whole = HistoryFilter { before: None, ..filter.clone() };
    format!("/history/export.{format}{}", query_of(&whole))
}

/// The parts of the filter, each a link to the view without it.
#[component]
pub(super) fn Chips(filter: HistoryFilter) -> impl IntoView {
    let without = |change: fn(&mut HistoryFilter)| {
        let mut rest = HistoryFilter { before: None, ..filter.clone() };
        change(&mut rest);
        format!("/history{}", query_of(&rest))
    };
    let about = filter.about.as_deref().map(|about| said(&ABOUT, about));
    let days = filter.days.map(|days| said(&DAYS, &days.to_string()));
    let chips: Vec<(&'static str, Option<String>, String)> = vec![
        ("person", filter.person.clone(), without(|rest| rest.person = None)),
        ("project", filter.project.clone(), without(|rest| rest.project = None)),
        ("service", filter.service.clone(), without(|rest| rest.service = None)),
        ("environment", filter.environment.clone(), without(|rest| rest.environment = None)),
        ("rollout", filter.rollout.map(|id| id.short()), without(|rest| rest.rollout = None)),
        ("about", about, without(|rest| rest.about = None)),
        ("last", days, without(|rest| rest.days = None)),
    ];
    chips
        .into_iter()
        .filter_map(|(name, value, href)| {
            let value = value?;
            let label = format!("Take the filter {name} {value} away");
            Some(view! {
                <a class="chip" href=href aria-label=label>
                    <span>{name}</span>
                    " "
                    <b>{value}</b>
                    <span aria-hidden="true">"✕"</span>
                </a>
            })
        })
        .collect_view()
}

/// The words for what is in the address; an odd number of days stands for itself.
fn said(table: &[(&str, &str)], word: &str) -> String {
    let known = table.iter().find(|(known, _)| *known == word);
    known.map_or_else(|| format!("{word} days"), |(_, words)| (*words).to_owned())
}

/// The form that adds to the filter. It only reads, so it is a plain GET.
#[component]
pub(super) fn Wanted(view: View) -> impl IntoView {
    let View { filter, people, services, environments, .. } = view;
    let plain = |words: Vec<String>| -> Vec<(String, String)> {
        words.into_iter().map(|word| (word.clone(), word)).collect()
    };
    let table = |table: &[(&str, &str)]| -> Vec<(String, String)> {
        table.iter().map(|(word, said)| ((*word).to_owned(), (*said).to_owned())).collect()
    };
    let kept: Vec<(&'static str, String)> =
        [("project", filter.project), ("rollout", filter.rollout.map(|id| id.to_string()))]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
    view! {
        <details class="wanted">
            <summary class="chip" data-filter>"+ person, service, environment, about, time"</summary>
            <form method="get" action="/history" class="form wide">
                {kept
                    .into_iter()
                    .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
                    .collect_view()}
                <div class="row">
                    <Pick name="person" label="Person" options=plain(people) chosen=filter.person />
                    <Pick
                        name="service"
                        label="Service"
                        options=plain(services)
                        chosen=filter.service
                    />
                    <Pick
                        name="environment"
                        label="Environment"
                        options=plain(environments)
                        chosen=filter.environment
                    />
                    <Pick name="about" label="About" options=table(&ABOUT) chosen=filter.about />
                    <Pick
                        name="days"
                        label="In the last"
                        options=table(&DAYS)
                        chosen=filter.days.map(|days| days.to_string())
                    />
                </div>
                <div class="buttons">
                    <button type="submit" class="primary">
                        "Show"
                    </button>
                </div>
            </form>
        </details>
    }
}

#[component]
fn Pick(
    name: &'static str,
    label: &'static str,
    mut options: Vec<(String, String)>,
    chosen: Option<String>,
) -> impl IntoView {
    let id = format!("filter-{name}");
    // Somebody who was renamed, or an odd number of days: the address may say what no list has.
    if let Some(chosen) = &chosen
        && !options.iter().any(|(word, _)| word == chosen)
    {
        options.push((chosen.clone(), chosen.clone()));
    }
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name>
                <option value="">"any"</option>
                {options
                    .into_iter()
                    .map(|(word, said)| {
                        let selected = chosen.as_ref() == Some(&word);
                        view! {
                            <option value=word selected=selected>
                                {said}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_its_address() {
        let filter = HistoryFilter {
            person: Some("Ana & Bo".to_owned()),
            environment: Some("production".to_owned()),
            about: Some("sign_ins".to_owned()),
            days: Some(7),
            before: Some(51),
            ..HistoryFilter::default()
        };
        let query = query_of(&filter);

        assert_eq!(
            query,
            "?person=Ana%20%26%20Bo&environment=production&about=sign_ins&days=7&before=51"
        );
        assert_eq!(query_of(&HistoryFilter::default()), "");
    }

    #[test]
    fn an_export_is_all_that_is_filtered_and_not_one_page_of_it() {
        let filter = HistoryFilter { days: Some(7), before: Some(51), ..HistoryFilter::default() };
        assert_eq!(export("csv", &filter), "/history/export.csv?days=7");
    }

    #[test]
    fn what_can_not_be_read_is_not_asked_for() {
        let mut query = ParamsMap::new();
        query.insert("days", "soon".to_owned());
        query.insert("about", "everything".to_owned());
        query.insert("rollout", "1".to_owned());
        query.insert("person", " ".to_owned());

        assert_eq!(read(&query), HistoryFilter::default());
    }
}
