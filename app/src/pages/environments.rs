//! Places in the order local, staging, production: where each leads, and how careful it is.

use super::environment::{Answers, InWords};
use crate::{
    api::environments,
    components::{loaded::Loaded, shared_tabs::SharedTabs},
    format::counted,
};
use domain::view::{EnvironmentCard, EnvironmentsPage as View};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page.
#[component]
pub fn EnvironmentsPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| environments::environments());
    view! {
        <Title text="Environments" />
        <SharedTabs here="/environments" heading="Environments" />
        <p class="lead">
            "Shared by all projects, in the order a release goes through them. A rollout keeps the \
             policy it started with; an edit touches the next one."
        </p>
        <Loaded
            page
            headed=true
            draw=move |view: View| {
                view
                    .environments
                    .into_iter()
                    .map(|card| view! { <One card /> })
                    .collect_view()
                    .into_any()
            }
        />
    }
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
