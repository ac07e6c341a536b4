//! What the instances of each placement are told, and what they may use. A change makes the next
//! number; it is rolled out like any release.

use crate::{
    api::{rollouts::StartRollout, service_form::LimitsForm, services::ChangeConfiguration},
    components::{
        ask::Actions,
        ask_form::AskForm,
        field::TextField,
        form::{Form, Send},
        spec_fields::LimitFields,
    },
    format,
};
use domain::{configuration::Variables, view::PlacementCard};
use leptos::prelude::*;

/// Lays the action of this form ready for a page.
pub fn provide() {
    Actions::<ChangeConfiguration>::provide();
}

/// A block for each placement.
#[component]
pub fn Configurations(placements: Vec<PlacementCard>) -> impl IntoView {
    view! {
        <section>
            <h2>"Configuration"</h2>
            <div class="configurations">
                {placements
                    .into_iter()
                    .map(|card| view! { <One card /> })
                    .collect_view()}
            </div>
        </section>
    }
}

#[component]
fn One(card: PlacementCard) -> impl IntoView {
    let configuration = card.configuration.clone();
    let limits = configuration.limits;
    let none = configuration.variables.0.is_empty();
    let runs = card.cell.live.as_ref().map(|live| live.configuration);
    let ahead = runs.filter(|runs| *runs != configuration.number);
    view! {
        <div class="configuration">
            <header>
                <h3>{card.cell.environment_name.to_string()}</h3>
                <span class="faint">{format!("number {}", configuration.number)}</span>
                <span class="spacer"></span>
                {card.cell.may.configure.then(|| view! { <Change card=card.clone() /> })}
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
            <dl class="variables mono">
                {configuration
                    .variables
                    .0
                    .into_iter()
                    .map(|(name, value)| {
                        view! {
                            <dt>{name.to_string()}</dt>
                            <dd>{value.shown()}</dd>
                        }
                    })
                    .collect_view()}
            </dl>
        </div>
    }
}

#[component]
fn Change(card: PlacementCard) -> impl IntoView {
    let placement = card.cell.placement.to_string();
    let action = Actions::<ChangeConfiguration>::of(&placement);
    let configuration = card.configuration;
    view! {
        <AskForm
            action
            hidden=vec![
                ("placement", placement.clone()),
                ("based_on", configuration.number.to_string()),
            ]
            id=format!("configure-{placement}")
            trigger="Change"
            title=format!("Configuration in {}", card.cell.environment_name)
            effect=format!(
                "It becomes number {}. What runs keeps its own until the next rollout.",
                configuration.number + 1,
            )
            yes="Save"
            protected=card.cell.protected
        >
            <TextField
                name="variables"
                label="Variables"
                value=configuration.variables.to_lines()
                hint="One a line, NAME=value. Lines that begin with # are passed over. No secrets: everybody who sees the service reads this."
                rows=10
                mono=true
                check=|typed: &str| {
                    Variables::parse(typed, &Variables::default())
                        .err()
                        .map(|wrong| wrong.to_string())
                }
            />
            <LimitFields limits=LimitsForm::of(&configuration.limits) />
        </AskForm>
    }
}

/// The live release once more, with the newest configuration.
#[component]
fn RollOutAgain(card: PlacementCard) -> impl IntoView {
    let cell = card.cell;
    let Some(live) = cell.live.filter(|_| cell.may.start && cell.active.is_none()) else {
        return ().into_any();
    };
    let name = format!("again-{}", cell.placement);
    let action = Actions::<StartRollout>::of(&name);
    let hidden = vec![
        ("placement", cell.placement.to_string()),
        ("release", live.release.id.to_string()),
        ("newest", cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default()),
        ("reason", format!("configuration {}", card.configuration.number)),
    ];
    let label = format!("Roll out {} again", live.release.name);
    if !cell.protected {
        return view! {
            <Form action hidden class="inline">
                <Send label sending="Asking …" class="small" />
            </Form>
        }
        .into_any();
    }
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger=label.clone()
            title=format!("{label} in {}", cell.environment_name)
            effect=format!(
                "The same release with configuration {} is started in the idle slot and checked; then all new requests move in one switch.",
                card.configuration.number,
            )
            yes=label
            protected=true
        />
    }
    .into_any()
}
