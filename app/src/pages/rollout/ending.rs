//! How it ended and what one can still do; and, while the machinery failed, what a person must choose.

use crate::{
    clock::ms,
    components::{warmth::StillWarm, when::At},
    format,
};
use domain::{
    rollout::{Phase, State},
    view::RolloutPage as Page,
};
use leptos::prelude::*;

/// Errored is not failed: it says that nobody could tell, and what can be chosen.
#[component]
pub fn Stuck(state: Memo<State>) -> impl IntoView {
    let trouble = Memo::new(move |_| state.with(|state| state.trouble.clone()));
    view! {
        <div role="alert">
            {move || {
                trouble
                    .get()
                    .map(|trouble| {
                        view! {
                            <div class="stuck-card">
                                <h2>"This needs a person"</h2>
                                <p class="why-big">{trouble.to_string()}</p>
                                <p>
                                    "It says nothing about the release: the machinery could not go on. The traffic is where the slots below show it. Retry goes on from here; aborting puts things back."
                                </p>
                            </div>
                        }
                    })
            }}
        </div>
    }
}

/// The end card.
#[component]
pub fn Ending(page: Page, state: Memo<State>) -> impl IntoView {
    let ended = Memo::new(move |_| state.with(|state| state.phase.is_end().then_some(state.phase)));
    view! { {move || ended.get().map(|phase| state.with(|state| card(&page, state, phase)))} }
}

/// A reason, with the full stop that parts it from what follows.
fn sentence(why: &str) -> String {
    if why.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | '%')) {
        format!("{why}.")
    } else {
        why.to_owned()
    }
}

fn card(page: &Page, state: &State, phase: Phase) -> impl IntoView + use<> {
    let release = page.card.release.name.clone();
    let evidence = &state.evidence;
    let live_now = page.cell.live.as_ref().map(|live| live.release.name.clone());
    // Only a page that was drawn after the end knows what came after it.
    let is_past = page.card.state.phase.is_end() && live_now.as_deref() != Some(release.as_str());
    let (class, headline) = match phase {
        Phase::Succeeded if is_past => {
            ("end-card", format!("{release} was live in {}", page.environment))
        }
        Phase::Succeeded => ("end-card", format!("{release} is live in {}", page.environment)),
        Phase::RolledBack => ("end-card broken", format!("{release} was rolled back")),
        Phase::Failed => ("end-card broken", format!("{release} failed")),
        Phase::Aborted => ("end-card aborted", format!("{release} was aborted")),
        _ => ("end-card aborted", format!("{release} gave way to a newer one")),
    };
    let says = match phase {
        Phase::Succeeded if is_past => match live_now {
            Some(now) => format!("Now {now} is."),
            None => "Now nothing is.".to_owned(),
        },
        Phase::Succeeded => String::new(),
        _ => state.ending.as_ref().map(|ending| sentence(&ending.why)).unwrap_or_default(),
    };
    let switched = evidence.switched_in_ms.map(|ms| {
        let switched = format::duration(i64::from(ms));
        if evidence.requests == 0 {
            return format!("Switched in {switched}; no requests came meanwhile.");
        }
        format!(
            "Switched in {switched}, {} of {} failed.",
            format::count(evidence.failures),
            format::counted(evidence.requests, "request", "requests")
        )
    });
    let moved = evidence.written_at.is_some();
    let traffic = match phase {
        Phase::Failed | Phase::Aborted if !moved => "It never got traffic.".to_owned(),
        Phase::RolledBack => match (evidence.back_decided_at, evidence.back_confirmed_at) {
            (Some(decided), Some(back)) => format!(
                "The traffic was back {} after it was decided.",
                format::duration(ms(back) - ms(decided))
            ),
            _ => "The traffic is back where it was.".to_owned(),
        },
        _ => switched.unwrap_or_default(),
    };
    let took = page.card.ended_at.map(|at| (at, format::duration(ms(at) - ms(page.card.asked_at))));
    let warm = page.cell.warm.clone().filter(|_| phase == Phase::Succeeded);
    let may_extend = page.cell.may.roll_back;
    let placement = page.placement;
    view! {
        <section class=class>
            <div>
                <h2>{headline}</h2>
                <p>
                    {says} " " {traffic} " "
                    {took
                        .map(|(at, took)| {
                            view! {
                                <span class="faint">
                                    "Ended at " <At at /> " after " {took} "."
                                </span>
                            }
                        })}
                </p>
            </div>
            {warm.map(|warm| view! { <StillWarm placement warm may_extend /> })}
        </section>
    }
}
