//! What the instances of each placement are told, the environments side by side: what differs, what
//! is missing, which secrets are due. A change makes the next number; it is rolled out like any
//! release.

use super::flag::Switch;
use crate::{
    api::{configurations::SwitchFlag, typed::escaped},
    components::{ask::Actions, roll_out_again::RollOutAgain, when::LongAgo},
    format,
};
use domain::{
    configuration::{
        differences::{Line, Told, side_by_side},
        secret::SecretCard,
    },
    view::{PlacementCard, ServicePage as Page},
};
use leptos::prelude::*;

/// Lays the actions of these forms ready for a page.
pub fn provide() {
    Actions::<SwitchFlag>::provide();
}

/// A head for each placement, then a row for each name.
#[component]
pub fn Configurations(page: Page) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.name);
    let columns: Vec<_> = page.placements.iter().map(|card| &card.configuration).collect();
    let lines = side_by_side(&columns);
    let (differ, alike): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.differs);
    let one = columns.len() < 2;
    let cards = StoredValue::new(page.placements.clone());
    view! {
        <section id="configuration">
            <h2>"Configuration"</h2>
            <div class="configurations">
                {page
                    .placements
                    .into_iter()
                    .map(|card| view! { <Head home=home.clone() card /> })
                    .collect_view()}
            </div>
            {(!differ.is_empty())
                .then(|| {
                    let count = differ.len() as u64;
                    view! {
                        <h3 class="side">
                            {format!(
                                "{} between environments",
                                format::counted(count, "difference", "differences"),
                            )}
                        </h3>
                        <SideBySide lines=differ cards />
                    }
                })}
            {(!alike.is_empty())
                .then(|| {
                    let title = if one { "Variables" } else { "The same everywhere" };
                    view! {
                        <h3 class="side">{title}</h3>
                        <SideBySide lines=alike cards />
                    }
                })}
        </section>
    }
}

#[component]
fn Head(home: String, card: PlacementCard) -> impl IntoView {
    let configuration = &card.configuration;
    let limits = configuration.limits;
    let number = configuration.number;
    let environment = card.cell.environment_name.to_string();
    let none = configuration.variables.0.is_empty() && configuration.secrets.0.is_empty();
    let runs = card.cell.live.as_ref().map(|live| live.configuration);
    let ahead = runs.filter(|runs| *runs != number);
    let href = format!("{home}/configuration?in={}", escaped(&environment));
    let word = if card.cell.may.configure { "Change" } else { "Look" };
    let lost = listed(&card.secrets, |secret| secret.lost);
    let due = listed(&card.secrets, |secret| secret.due && !secret.lost);
    view! {
        <div class="configuration">
            <header>
                <h3>{environment.clone()}</h3>
                <span class="faint">{format!("number {number}")}</span>
                <span class="spacer"></span>
                <a
                    class="button small"
                    href=href.clone()
                    aria-label=format!("{word} the configuration in {environment}")
                >
                    {word}
                </a>
            </header>
            {ahead
                .map(|runs| {
                    view! {
                        <div class="held">
                            <p class="flag">
                                {format!("number {runs} runs: roll out again to take this one")}
                            </p>
                            <RollOutAgain card=card.clone() />
                        </div>
                    }
                })}
            <p class="soft">
                {format!(
                    "{}, {}, {} processes, for each instance",
                    format::cores(limits.cpu_millis),
                    format::bytes(limits.memory_bytes),
                    format::count(limits.pids.into()),
                )}
            </p>
            {none.then(|| view! { <p class="faint">"no variables"</p> })}
            {(!lost.is_empty())
                .then(|| {
                    view! {
                        <p class="bad">
                            {format!("lost with their key, to be set anew: {lost} ")}
                            <a href=format!("{href}&show=secrets")>"secrets"</a>
                        </p>
                    }
                })}
            {(!due.is_empty())
                .then(|| {
                    view! {
                        <p class="flag">
                            {format!("older than 90 days, due to be set anew: {due} ")}
                            <a href=format!("{href}&show=secrets")>"secrets"</a>
                        </p>
                    }
                })}
        </div>
    }
}

fn listed(secrets: &[SecretCard], which: impl Fn(&SecretCard) -> bool) -> String {
    let names = secrets.iter().filter(|secret| which(secret)).map(|secret| secret.name.to_string());
    names.collect::<Vec<_>>().join(", ")
}

#[component]
fn SideBySide(lines: Vec<Line>, cards: StoredValue<Vec<PlacementCard>>) -> impl IntoView {
    let heads = cards.with_value(|cards| {
        let heads = cards.iter().map(|card| {
            let name = card.cell.environment_name.to_string();
            view! {
                <th scope="col" class:prod=card.cell.protected>
                    <b>{name}</b>
                </th>
            }
        });
        heads.collect_view()
    });
    view! {
        <table class="matrix told-table">
            <thead>
                <tr>
                    <th scope="col">"Name"</th>
                    {heads}
                </tr>
            </thead>
            <tbody>
                {lines
                    .into_iter()
                    .map(|line| {
                        let Line { name, description, cells, .. } = line;
                        view! {
                            <tr>
                                <th scope="row" class="name">
                                    <span class="mono">{name.to_string()}</span>
                                    <p class="faint">{description}</p>
                                </th>
                                {cells
                                    .into_iter()
                                    .zip(cards.get_value())
                                    .map(|(told, card)| {
                                        let label = card.cell.environment_name.to_string();
                                        let prod = card.cell.protected;
                                        view! {
                                            <td data-label=label class:prod=prod>
                                                <One name=name.to_string() told card />
                                            </td>
                                        }
                                    })
                                    .collect_view()}
                            </tr>
                        }
                    })
                    .collect_view()}
            </tbody>
        </table>
    }
}

#[component]
fn One(name: String, told: Told, card: PlacementCard) -> impl IntoView {
    match told {
        Told::Missing => view! { <span class="flag">"missing"</span> }.into_any(),
        Told::Secret { version } => {
            let known = card.secrets.iter().find(|secret| secret.name.as_str() == name).cloned();
            view! {
                <div>
                    <span>{format!("secret, version {version}")}</span>
                    {known
                        .map(|secret| {
                            view! {
                                <p class="faint">
                                    {format!("set by {} ", secret.set_by)}
                                    <LongAgo at=secret.set_at />
                                </p>
                            }
                        })}
                </div>
            }
            .into_any()
        }
        Told::Variable(variable) => {
            let on = variable.is_on();
            view! {
                <div class="told-value">
                    <span class="mono">{variable.shown()}</span>
                    {on.map(|on| view! { <Switch card name on /> })}
                </div>
            }
            .into_any()
        }
    }
}
