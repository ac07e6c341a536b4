//! The phases of a rollout as a line: on its page with words and times, in a cell of the board as
//! bare ticks.

use crate::{
    clock::clock,
    live::{Seconds, live, newer},
    phases::{Seen, Standing, Step, sentence, steps},
};
use domain::{
    id::PlacementId,
    live::Health,
    rollout::State,
    view::{PhaseTime, RolloutCard},
};
use leptos::prelude::*;

/// Where a rollout stands: as the page was drawn, and as the stream said since.
#[must_use]
pub fn state_of(card: &RolloutCard) -> Memo<State> {
    let heard = live().rollout(card.id);
    let drawn = card.state.clone();
    Memo::new(move |_| heard.with(|heard| newer(&drawn, heard.as_ref())))
}

/// Instances of the new slot that run, as of the last second.
fn started(state: &State, seconds: &Seconds) -> Option<usize> {
    let slot = state.pinned?.new;
    let instances = &seconds.back()?.slots.of(slot).instances;
    let runs = |health: &Health| !matches!(health, Health::Starting | Health::Exited { .. });
    Some(instances.iter().filter(|instance| runs(&instance.health)).count())
}

/// Hands `tell` what is known of the rollout now. Reactive.
fn with_seen<T>(
    card: &RolloutCard,
    entered: &[PhaseTime],
    state: Memo<State>,
    seconds: &ArcRwSignal<Seconds>,
    tell: impl Fn(&Seen) -> T,
) -> T {
    let now_ms = clock().now_ms();
    state.with(|state| {
        let started = seconds.with(|seconds| started(state, seconds));
        let (kind, policy) = (card.kind, &card.policy);
        tell(&Seen { kind, policy, state, entered, now_ms, started })
    })
}

/// The line of the rollout's page.
#[component]
pub fn PhaseLine(
    card: RolloutCard,
    placement: PlacementId,
    entered: Vec<PhaseTime>,
    state: Memo<State>,
) -> impl IntoView {
    let seconds = live().samples(placement);
    let line = move || with_seen(&card, &entered, state, &seconds, steps);
    view! {
        <ol class="phases">
            {move || {
                line()
                    .into_iter()
                    .map(|step| {
                        let now = matches!(step.is, Standing::Now | Standing::Stuck);
                        view! {
                            <li class=class_of(step.is) aria-current=now.then_some("step")>
                                <Rail done=step.done />
                                <b>{step.phase.as_words()}</b>
                                <span>{step.note}</span>
                            </li>
                        }
                    })
                    .collect_view()
            }}
        </ol>
    }
}

/// The ticks and the sentence of a cell.
#[component]
pub fn PhaseTicks(card: RolloutCard, placement: PlacementId) -> impl IntoView {
    let seconds = live().samples(placement);
    let state = state_of(&card);
    let told = move || with_seen(&card, &[], state, &seconds, |seen| (steps(seen), sentence(seen)));
    view! {
        {move || {
            let (line, said) = told();
            let phase = state.with(|state| state.phase.as_words());
            let stuck = line.iter().any(|step| step.is == Standing::Stuck);
            view! {
                <div class="ticks" aria-hidden="true">
                    {line
                        .iter()
                        .map(|step: &Step| {
                            view! {
                                <i class=class_of(step.is)>
                                    <Rail done=step.done />
                                </i>
                            }
                        })
                        .collect_view()}
                </div>
                <p class="said" class:bad=stuck>
                    <b>{phase}</b>
                    " "
                    {said}
                </p>
            }
        }}
    }
}

/// How far a step is, as a bar. The words beside it say the same.
#[component]
pub fn Rail(done: f64) -> impl IntoView {
    let width = format!("{:.1}", done * 100.0);
    view! {
        <svg class="rail" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            <rect class="whole" width="100" height="4" />
            <rect class="fill" width=width height="4" />
        </svg>
    }
}

/// The classes of a step of the line.
#[must_use]
pub const fn class_of(is: Standing) -> &'static str {
    match is {
        Standing::Done => "gone",
        Standing::Now => "now",
        Standing::Stuck => "now stuck",
        Standing::Broken => "gone broken",
        Standing::Ahead => "",
    }
}
