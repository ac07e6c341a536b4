//! What one can do with a build, and what came of it: the one place on top.

use crate::{
    api::builds::{CancelBuild, StartBuild},
    components::{
        ask::Actions,
        ask_form::AskForm,
        builds::named,
        form::{Form, Send},
    },
    format,
};
use domain::build::{Phase, view::BuildRow};
use leptos::prelude::*;

/// The one action: cancel while it goes on; deploy what it made; build again what it did not.
#[component]
pub(super) fn Act(now: Memo<BuildRow>, phase: Memo<Phase>) -> impl IntoView {
    // Changes seldom, so a dialog that is open stays open.
    let offer = Memo::new(move |_| {
        let release = now.with(|row| row.release.clone());
        (phase.get(), release, now.with(|row| row.may))
    });
    view! {
        <div class="actions">
            {move || {
                let (phase, release, may) = offer.get();
                let row = now.get_untracked();
                match (phase, release) {
                    (Phase::Succeeded, Some(release)) => {
                        view! {
                            <a class="button primary" href=format!("/releases/{}", release.id)>
                                {format!("Deploy {} …", release.name)}
                            </a>
                        }
                            .into_any()
                    }
                    (phase, _) if phase.is_end() && may.start => {
                        view! { <Again row /> }.into_any()
                    }
                    (phase, _) if !phase.is_end() && may.cancel => {
                        view! { <Cancel row now /> }.into_any()
                    }
                    _ => ().into_any(),
                }
            }}
        </div>
    }
}

#[component]
fn Cancel(row: BuildRow, now: Memo<BuildRow>) -> impl IntoView {
    let hidden = vec![("build", row.id.to_string())];
    let name = format!("cancel-{}", row.id);
    let action = Actions::<CancelBuild>::of(&name);
    let dark = Signal::derive(move || {
        now.with(|row| row.cancel_asked_by.as_ref().map(|by| format!("{by} asked already.")))
    });
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger="Cancel"
            title=format!("Cancel {} of {}?", named(&row), row.service)
            effect="What it runs is ended now, and no release is made. What it has written is kept, and so is what the next build can take from its cache."
            yes="Cancel the build"
            class=""
            dark
        />
    }
}

/// The same branch, tag or commit, as it is there now.
#[component]
fn Again(row: BuildRow) -> impl IntoView {
    let hidden = vec![("service", row.service_id.to_string()), ("git_ref", row.asked.clone())];
    let action = Actions::<StartBuild>::of(&format!("again-{}", row.id));
    view! {
        <Form action hidden class="inline">
            <Send label=format!("Build {} again", row.asked) sending="Asking …" />
        </Form>
    }
}

/// Why it did not succeed, and what it was at; or what it made.
#[component]
pub(super) fn Came(row: BuildRow, phase: Phase) -> impl IntoView {
    let ending = row.ending.clone();
    let why = ending.as_ref().map(|ending| ending.why.clone());
    match phase {
        Phase::Failed => {
            let step = ending.and_then(|ending| ending.step);
            view! {
                <section class="why-card" aria-labelledby="why">
                    <h2 id="why">
                        {if step.is_some() { "This step failed" } else { "It failed" }}
                    </h2>
                    {step.map(|step| view! { <p class="step-name">{step}</p> })}
                    <p>{why}</p>
                    <p>"No release was made. What runs was not touched."</p>
                </section>
            }
            .into_any()
        }
        Phase::Interrupted => view! {
            <section class="why-card lost" aria-labelledby="why">
                <h2 id="why">"It was interrupted"</h2>
                <p>{why}</p>
                <p>
                    "The control plane that carried it out ended, and no finished image of it was found. No release was made; what runs was not touched. Build it again: what was finished is in the cache."
                </p>
            </section>
        }
        .into_any(),
        Phase::Cancelled => view! {
            <section class="end-card aborted" aria-labelledby="why">
                <div>
                    <h2 id="why">"It was cancelled"</h2>
                    <p>{why}</p>
                </div>
            </section>
        }
        .into_any(),
        Phase::Succeeded => view! { <Made row /> }.into_any(),
        Phase::Queued | Phase::Fetching | Phase::Building | Phase::Pushing => ().into_any(),
    }
}

#[component]
fn Made(row: BuildRow) -> impl IntoView {
    let over = row.is_over();
    let budget = format::bytes(row.size_budget_bytes);
    let size = row.size_bytes.map(format::bytes);
    view! {
        <section class="end-card" aria-labelledby="made">
            <div>
                <h2 id="made">
                    {match row.release {
                        Some(release) => {
                            view! {
                                "Release "
                                <a class="mono link" href=format!("/releases/{}", release.id)>
                                    {release.name}
                                </a>
                            }
                                .into_any()
                        }
                        None => "It succeeded".into_any(),
                    }}
                </h2>
                <p>
                    {size.map(|size| format!("{size} · "))}
                    {format!("{} of {} steps were there already", row.count.cached, row.count.steps)}
                </p>
                {over
                    .then(|| {
                        view! {
                            <p class="amber">
                                {format!(
                                    "▲ Larger than the budget of {budget}. It can be rolled out all the same.",
                                )}
                            </p>
                        }
                    })}
            </div>
        </section>
    }
}
