//! Places in the order local, staging, production: where each leads, and how careful it is.

use super::environment::Answers;
use crate::{
    api::environments::{self, AddEnvironment},
    components::{
        field::{Checkbox, Choice, Field, reads},
        form::{Changes, Done, Form, Send},
        loaded::Loaded,
        policy::InWords,
        shared_tabs::SharedTabs,
    },
    format::counted,
};
use domain::{
    name::Name,
    view::{EnvironmentCard, EnvironmentsPage as View},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn EnvironmentsPage() -> impl IntoView {
    let add = ServerAction::<AddEnvironment>::new();
    let changes = Changes::new();
    changes.follow(add, "The environment was added. Place services there on their pages.");
    let page = Resource::new_blocking(move || changes.count(), |_| environments::environments());
    view! {
        <Title text="Environments" />
        <SharedTabs here="/environments" heading="Environments" />
        <p class="lead">
            "Shared by all projects, in the order a release goes through them. A rollout keeps the \
             policy it started with; an edit touches the next one."
        </p>
        <Done changes />
        <Loaded
            page
            headed=true
            draw=move |view: View| {
                let View { environments, targets, .. } = view;
                let order = environments
                    .iter()
                    .map(|card| (card.environment.id.to_string(), card.environment.name.to_string()))
                    .collect();
                let targets = targets.into_iter().map(|(id, name)| (id.to_string(), name)).collect();
                view! {
                    {environments.into_iter().map(|card| view! { <One card /> }).collect_view()}
                    <Add order targets action=add />
                }
                    .into_any()
            }
        />
    }
}

/// A form for those who may: who may not is told no target.
#[component]
fn Add(
    /// Ids and names of those there are, in their order.
    order: Vec<(String, String)>,
    targets: Vec<(String, String)>,
    action: ServerAction<AddEnvironment>,
) -> impl IntoView {
    let last = order.last().map(|(id, _)| id.clone()).unwrap_or_default();
    let first = (String::new(), "it is the first".to_owned());
    let after = order.into_iter().map(|(id, name)| (id, format!("after {name}")));
    let after: Vec<_> = std::iter::once(first).chain(after).collect();
    (!targets.is_empty()).then(|| {
        view! {
            <section aria-labelledby="add">
                <h2 id="add">"Add an environment"</h2>
                <Form action>
                    <Field name="name" label="Name" check={reads::<Name>} required=true />
                    <Choice name="after" label="Place in the order" options=after value=last />
                    <Choice
                        name="target"
                        label="Target"
                        options=targets
                        hint="It stays there: what runs is not moved."
                    />
                    <Checkbox
                        name="protected"
                        label="Protected"
                        hint="Deploying takes a releaser there."
                    />
                    <div class="buttons">
                        <Send label="Add it" sending="Adding it …" class="primary" />
                    </div>
                </Form>
            </section>
        }
    })
}

#[component]
fn One(card: EnvironmentCard) -> impl IntoView {
    let EnvironmentCard { environment, target, target_ok, target_says, placements, live, may_edit } =
        card;
    let name = environment.name.to_string();
    let home = format!("/environments/{name}");
    let heading = format!("environment-{name}");
    let named_by = heading.clone();
    let counts = match placements {
        0 => "no services yet".to_owned(),
        _ => format!("{live} of {} live", counted(u64::from(placements), "service", "services")),
    };
    view! {
        <section
            class="environment"
            class:protected=environment.protected
            aria-labelledby=named_by
        >
            <header>
                <h2 id=heading>
                    <a href=home.clone()>{name.clone()}</a>
                </h2>
                {environment.protected.then(|| view! { <span class="tag">"protected"</span> })}
                <span class="soft">{counts}</span>
                <span class="spacer"></span>
                <a class="button small" href=home aria-label=format!("Open {name}")>
                    {if may_edit { "Open, edit the policy" } else { "Open" }}
                </a>
            </header>
            <div class="halves">
                <dl class="facts-list">
                    <div>
                        <dt>"Target"</dt>
                        <dd>{target} <Answers ok=target_ok says=target_says /></dd>
                    </div>
                    <div>
                        <dt>"Deploying needs"</dt>
                        <dd>{if environment.protected { "releaser" } else { "deployer" }}</dd>
                    </div>
                </dl>
                <InWords policy=environment.policy />
            </div>
        </section>
    }
}
