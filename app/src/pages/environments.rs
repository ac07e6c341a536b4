//! Places in the order local, staging, production: where each leads, and how careful it is.

mod policy;

use crate::{
    api::environments::{self, EditPolicy, SetProtected},
    components::{
        ask_form::AskForm,
        form::{Changes, Done},
        loaded::Loaded,
        shared_tabs::SharedTabs,
    },
    format::counted,
};
use domain::view::{EnvironmentCard, EnvironmentsPage as View};
use leptos::prelude::*;
use leptos_meta::Title;
use policy::{EditForm, InWords};

/// What the forms of this page do.
#[derive(Clone, Copy)]
struct Acts {
    policy: ServerAction<EditPolicy>,
    protect: ServerAction<SetProtected>,
}

/// The page.
#[component]
pub fn EnvironmentsPage() -> impl IntoView {
    let acts = Acts { policy: ServerAction::new(), protect: ServerAction::new() };
    let changes = Changes::new();
    changes
        .follow(acts.policy, "The policy was saved. It holds for rollouts that start from now on.");
    changes.follow(acts.protect, "The protection was changed.");
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
                view
                    .environments
                    .into_iter()
                    .map(|card| view! { <One card acts /> })
                    .collect_view()
                    .into_any()
            }
        />
    }
}

#[component]
fn One(card: EnvironmentCard, acts: Acts) -> impl IntoView {
    let EnvironmentCard { environment, target, target_ok, target_says, placements, live, may_edit } =
        card;
    let heading = format!("environment-{}", environment.name);
    let counts = match placements {
        0 => "no services yet".to_owned(),
        _ => format!("{live} of {} live", counted(u64::from(placements), "service", "services")),
    };
    let policy = environment.policy.clone();
    view! {
        <section
            class="environment"
            class:protected=environment.protected
            aria-labelledby=heading
        >
            <header>
                <h2 id=heading.clone()>{environment.name.to_string()}</h2>
                {environment.protected.then(|| view! { <span class="tag">"protected"</span> })}
                <span class="soft">{counts}</span>
            </header>
            <div class="halves">
                <div>
                    <dl class="facts-list">
                        <div>
                            <dt>"Target"</dt>
                            <dd>
                                {target}
                                <Answers ok=target_ok says=target_says />
                            </dd>
                        </div>
                        <div>
                            <dt>"Deploying needs"</dt>
                            <dd>{if environment.protected { "releaser" } else { "deployer" }}</dd>
                        </div>
                    </dl>
                    {may_edit
                        .then(|| {
                            view! {
                                <Protect
                                    id=environment.id.to_string()
                                    name=environment.name.to_string()
                                    protected=environment.protected
                                    acts
                                />
                            }
                        })}
                </div>
                <InWords policy=policy.clone() />
            </div>
            {may_edit
                .then(|| {
                    let id = environment.id;
                    view! { <EditForm id policy action=acts.policy /> }
                })}
        </section>
    }
}

/// Whether the target answered, in a word, a sign and what it said.
#[component]
fn Answers(ok: Option<bool>, says: String) -> impl IntoView {
    match ok {
        Some(true) => view! { <p class="soft">"✓ answers: " {says}</p> }.into_any(),
        Some(false) => view! { <p class="red">"✕ does not answer: " {says}</p> }.into_any(),
        None => view! { <p class="faint">"not asked yet"</p> }.into_any(),
    }
}

/// The switch between open and protected.
#[component]
fn Protect(id: String, name: String, protected: bool, acts: Acts) -> impl IntoView {
    let (word, title, effect, yes) = if protected {
        (
            "no",
            format!("Lift the protection of {name}"),
            format!(
                "Whoever is a deployer may then roll out in {name}, promote, abort and change the \
                 configuration. Now it takes a releaser."
            ),
            "Lift the protection",
        )
    } else {
        (
            "yes",
            format!("Protect {name}"),
            format!(
                "Rolling out in {name}, rolling back and changing the configuration then takes a \
                 releaser. A deployer sees it and may not touch it."
            ),
            "Protect it",
        )
    };
    let trigger = if protected { "Lift the protection" } else { "Protect" };
    view! {
        <AskForm
            action=acts.protect
            hidden=vec![("environment", id), ("protected", word.to_owned())]
            id=format!("protect-{name}")
            trigger
            title
            effect
            protected
            yes
        />
    }
}
