//! What a service is told in one environment: variables in rows, secrets, `.env` files. Each in a view
//! of its own, so that what is typed in one is never lost by saving another.

mod file;
mod rows;
mod secrets;

use crate::{
    api::{
        ApiError, configurations, configurations::ChangeVariables, configurations::ImportVariables,
        configurations::RemoveSecret, configurations::SetSecret, services::ChangeConfiguration,
        typed::escaped,
    },
    components::{
        ask::Actions,
        form::{Changes, Done, Fields},
        loaded::Loaded,
    },
    live::{Topics, live},
};
use domain::{error::Problem, name::Name, view::ConfigurationPage as Page};
use file::File;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};
use rows::Rows;
use secrets::Secrets;

/// What the address asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    project: Name,
    service: Name,
    environment: Option<Name>,
    show: Show,
}

/// The views of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Variables,
    Secrets,
    File,
}

impl Show {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Variables, "", "Variables"),
        (Self::Secrets, "secrets", "Secrets"),
        (Self::File, "file", "As a file"),
    ];
}

impl Wanted {
    fn read(params: &ParamsMap, query: &ParamsMap) -> Option<Self> {
        let name = |part: &str| params.get(part).and_then(|name| name.parse().ok());
        let shown = query.get("show").unwrap_or_default();
        let show = Show::ALL.into_iter().find(|(_, word, _)| *word == shown);
        Some(Self {
            project: name("project")?,
            service: name("service")?,
            environment: query.get("in").and_then(|name| name.parse().ok()),
            show: show.map_or(Show::Variables, |(show, ..)| show),
        })
    }
}

/// The address of a view of this page.
fn address(page: &Page, environment: &Name, show: Show) -> String {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let word = Show::ALL.into_iter().find(|(one, ..)| *one == show).map_or("", |(_, word, _)| word);
    let show = if word.is_empty() { String::new() } else { format!("&show={word}") };
    format!("{home}/configuration?in={}{show}", escaped(environment.as_str()))
}

/// Loads the newest configuration. One that somebody else makes meanwhile is told, and does not take
/// away what is being typed.
#[component]
pub fn ConfigurationPage() -> impl IntoView {
    let (params, query) = (use_params_map(), use_query_map());
    let wanted =
        Memo::new(move |_| params.with(|params| query.with(|query| Wanted::read(params, query))));
    let changes = Changes::new();
    let ask = |wanted: Option<Wanted>| async move {
        let Some(Wanted { project, service, environment, .. }) = wanted else {
            return Err(ApiError::from(Problem::not_found("service")));
        };
        let named = environment.map(|name| name.to_string()).unwrap_or_default();
        configurations::configuration(project, service, named).await
    };
    let page = Resource::new_blocking(
        move || (wanted.get(), changes.count()),
        move |(wanted, _)| ask(wanted),
    );
    let live = live();
    let drawn = RwSignal::new(0);
    let placement = StoredValue::new(None);
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            drawn.set(page.card.configuration.number);
            placement.set_value(Some(page.card.cell.placement));
            live.follow(page.number, Topics::Placements(vec![page.card.cell.placement]));
        }
    });
    let look = Action::new(move |wanted: &Option<Wanted>| ask(wanted.clone()));
    live.on_rows(
        move |row| {
            row.rollout.is_none()
                && row.placement.is_some()
                && row.placement == placement.get_value()
        },
        move || {
            look.dispatch(wanted.get_untracked());
        },
    );
    let newer = move || {
        let newest = look.value().get()?.ok()?.card.configuration.number;
        (newest > drawn.get()).then_some(newest)
    };
    provide_actions(changes);

    view! {
        <Loaded
            page=page
            draw=move |page| {
                match wanted.get_untracked() {
                    Some(wanted) => view! { <Configuration page show=wanted.show changes newer=Signal::derive(newer) /> }
                        .into_any(),
                    None => ().into_any(),
                }
            }
        />
    }
}

/// Lays the actions of all forms ready, and loads the page again after each that went well.
fn provide_actions(changes: Changes) {
    let (change, write) =
        (ServerAction::<ChangeVariables>::new(), ServerAction::<ChangeConfiguration>::new());
    let (import, set) = (ServerAction::<ImportVariables>::new(), ServerAction::<SetSecret>::new());
    let remove = ServerAction::<RemoveSecret>::new();
    changes.follow(change, "The next configuration is made.");
    changes.follow(write, "The next configuration is made.");
    changes.follow(import, "The next configuration is made.");
    changes.follow(set, "The secret is set, and the next configuration names it.");
    changes.follow(remove, "The next configuration is without the secret.");
    provide_context(change);
    provide_context(write);
    provide_context(import);
    provide_context(set);
    provide_context(remove);
    crate::components::ask::Sent::provide();
    Actions::<crate::api::rollouts::StartRollout>::provide();
}

#[component]
fn Configuration(
    page: Page,
    show: Show,
    changes: Changes,
    newer: Signal<Option<i32>>,
) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let environment = page.card.cell.environment_name.clone();
    let title = format!("What {} is told in {environment}", page.service);
    let number = page.card.configuration.number;
    let runs = page.card.cell.live.as_ref().map(|live| live.configuration);
    let here = address(&page, &environment, show);
    view! {
        <Title text=title.clone() />
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href=format!("/?project={}", page.project)>{page.project.to_string()}</a>
                    " / "
                    <a href=home.clone()>{page.service.to_string()}</a>
                    " / "
                    <span>"configuration"</span>
                </nav>
                <h1>{title}</h1>
                <p class="by">
                    {format!("configuration {number}")}
                    {match runs {
                        Some(runs) if runs == number => ", which runs".to_owned(),
                        Some(runs) => format!("; number {runs} runs until the next rollout"),
                        None => "; nothing is deployed here yet".to_owned(),
                    }}
                </p>
            </div>
            <div class="actions">
                {(runs.is_some_and(|runs| runs != number))
                    .then(|| {
                        view! {
                            <crate::components::roll_out_again::RollOutAgain card=page.card.clone() />
                        }
                    })}
            </div>
        </div>
        <div class="told-where">
            <nav class="chips" aria-label="Environments">
                {page
                    .environments
                    .iter()
                    .map(|name| {
                        view! {
                            <a
                                class="chip"
                                href=address(&page, name, show)
                                aria-current=(*name == environment).then_some("page")
                            >
                                {name.to_string()}
                            </a>
                        }
                    })
                    .collect_view()}
            </nav>
            <nav class="tabs" aria-label="What is shown">
                {Show::ALL
                    .map(|(one, _, word)| {
                        view! {
                            <a
                                href=address(&page, &environment, one)
                                aria-current=(one == show).then_some("page")
                            >
                                {word}
                            </a>
                        }
                    })
                    .collect_view()}
            </nav>
        </div>
        <Done changes />
        <div role="status">
            {move || {
                let here = here.clone();
                newer
                    .get()
                    .map(|newest| {
                        view! {
                            <div class="notice warn">
                                <p>
                                    {format!(
                                        "Configuration {newest} was made since this page was drawn. What you typed is still here, and can not be saved over it. ",
                                    )}
                                    <a href=here rel="external">
                                        "Load the newest"
                                    </a>
                                </p>
                            </div>
                        }
                    })
            }}
        </div>
        {match show {
            Show::Variables => view! { <Rows page /> }.into_any(),
            Show::Secrets => view! { <Secrets page /> }.into_any(),
            Show::File => view! { <File page /> }.into_any(),
        }}
    }
}

/// What the form is based on. A form that came back keeps what it was based on, so that sending it
/// once more does not take away what somebody else did meanwhile.
#[component]
fn BasedOn(number: i32) -> impl IntoView {
    let value = Fields::here().first("based_on", number.to_string());
    view! { <input type="hidden" name="based_on" value=value /> }
}
