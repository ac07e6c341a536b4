//! What the board's cell and the service's card say of a placement: its figures, what rolls, what
//! failed last.

use super::{
    ask::held,
    moves::AskOf,
    phase_line::{PhaseTicks, state_of},
    slot::SlotMark,
    sparkline::{Sparkline, cpu_percent},
    when::Ago,
};
use crate::{
    clock::clock,
    format,
    live::{Seconds, live},
};
use domain::{
    rollout::{self, Ask, Phase, State},
    slot::Slot,
    view::{Cell, ReleaseName, RolloutCard, Running},
};
use leptos::prelude::*;
use time::OffsetDateTime;

/// Which slot has the traffic: as the target said a second ago, else as it must be by what the page
/// knows of the rollout.
#[must_use]
pub fn live_slot(cell: &Cell) -> Signal<Option<Slot>> {
    let seconds = live().samples(cell.placement);
    let settled = cell.live.as_ref().map(|live| live.slot);
    let drawn = match &cell.active {
        Some(active) => by_state(&active.state, settled),
        None => settled,
    };
    Memo::new(move |_| seconds.with(|seconds| seconds.back().map_or(drawn, |last| last.live)))
        .into()
}

/// A confirmed switch holds until the traffic is confirmed to be back.
#[must_use]
pub fn by_state(state: &State, settled: Option<Slot>) -> Option<Slot> {
    let evidence = &state.evidence;
    match state.pinned {
        Some(pinned)
            if !state.phase.is_end()
                && evidence.confirmed_at.is_some()
                && evidence.back_confirmed_at.is_none() =>
        {
            Some(pinned.new)
        }
        _ => settled,
    }
}

/// The release that has the traffic though its rollout has not ended, and since when.
#[must_use]
pub fn observed(cell: &Cell) -> Signal<Option<(ReleaseName, OffsetDateTime)>> {
    let Some(active) = &cell.active else { return Signal::from(None) };
    let (state, release) = (state_of(active), active.release.clone());
    let confirmed = move || {
        state.with(|state| {
            let new = state.pinned.map(|pinned| pinned.new);
            let at = state.evidence.confirmed_at?;
            (new.is_some() && by_state(state, None) == new).then_some(at)
        })
    };
    Memo::new(move |_| confirmed().map(|at| (release.clone(), at))).into()
}

/// The slot that has the traffic, as a mark.
#[component]
pub fn LiveMark(cell: Cell, #[prop(optional)] is: &'static str) -> impl IntoView {
    let slot = live_slot(&cell);
    move || slot.get().map(|slot| view! { <SlotMark of=slot is /> })
}

/// The line, the sentence, and the two things one may want.
#[component]
pub fn Rolls(service: String, cell: Cell, active: RolloutCard) -> impl IntoView {
    let home = format!("/rollouts/{}", active.id);
    let state = state_of(&active);
    let title = format!("{} {} in {}", service, active.release.name, cell.environment_name);
    let (id, card) = (active.id, active.clone());
    let after = Memo::new(move |_| state.with(|state| state.phase.is_after_switch()));
    let refused = Memo::new(move |_| {
        let refused = state.with(|state| rollout::accept(state, None, Ask::Abort)).err();
        refused.map(|why| why.to_string())
    });
    // One dialog from the first phase to the last: what it asks changes under its reader's eyes, and
    // it goes only when nobody looks.
    let offered = held(Memo::new(move |_| refused.with(Option::is_none)));
    let label = Memo::new(move |_| (if after.get() { "Roll back" } else { "Abort" }).to_owned());
    let title = StoredValue::new(title);
    let way_out = move || {
        (offered.get() && cell.may.abort).then(|| {
            let title = Signal::derive(move || format!("{} {}", label.get(), title.get_value()));
            let effect = Signal::derive(move || {
                let effect = if after.get() {
                    "All new requests go back to the slot that was live, in one switch. What this rollout made is removed."
                } else {
                    "What this rollout made is removed. The traffic has not moved and does not move."
                };
                effect.to_owned()
            });
            view! {
                <AskOf
                    rollout=id
                    what=Ask::Abort
                    label
                    title
                    effect
                    protected=cell.protected
                    class="small"
                    dark=refused
                />
            }
        })
    };
    view! {
        <div class="run">
            <PhaseTicks card placement=cell.placement />
            <div class="act">
                <a class="button small" href=home>
                    "Open"
                </a>
                {way_out}
            </div>
        </div>
    }
}

/// The line and the figures of the live slot, as of the last second.
#[component]
pub fn Facts(cell: Cell, running: Running) -> impl IntoView {
    let seconds = live().samples(cell.placement);
    let (size, clock) = (cell.size.count(), clock());
    // While a switch is observed the figures are those of the slot that has the traffic.
    let (live, was) = (live_slot(&cell), running.slot);
    let figures = {
        let seconds = seconds.clone();
        move || seconds.with(|seconds| figures(seconds, live.get().unwrap_or(was), size))
    };
    let observed = observed(&cell);
    let since =
        Memo::new(move |_| observed.get().map_or(running.since, |(_, confirmed)| confirmed));
    let trouble = {
        let seconds = seconds.clone();
        move || seconds.with(|seconds| seconds.back().and_then(|last| last.trouble.clone()))
    };
    // What was deployed a moment ago has no figures to be missed yet.
    let fresh = move || clock.since_ms(since.get()) < 3_000;
    view! {
        <div class="facts">
            <Sparkline seconds />
            <span class="figures">{figures}</span>
            <span class="faint">{move || view! { <Ago at=since.get() /> }}</span>
            {move || {
                trouble()
                    .filter(|_| !fresh())
                    .map(|why| {
                        view! {
                            <span class="flag" title=why>
                                "no figures"
                            </span>
                        }
                    })
            }}
        </div>
    }
}

/// "2/2 · 22 % · 310 MiB", with dashes of the same width while nothing is known.
fn figures(seconds: &Seconds, slot: Slot, size: u16) -> String {
    let Some(last) = seconds.back() else {
        return format!("–/{size} · – % · – MiB");
    };
    let slot = last.slots.of(slot);
    let ready = slot.instances.iter().filter(|instance| instance.health.is_ready()).count();
    let memory = slot.instances.iter().map(|instance| instance.memory_bytes).sum();
    format!("{ready}/{size} · {} · {}", format::load(cpu_percent(slot)), format::bytes(memory))
}

/// The last rollout, where it did not succeed, with its reason.
#[component]
pub fn Failed(failed: RolloutCard) -> impl IntoView {
    let (class, word) = match failed.state.phase {
        Phase::Failed => ("bad", "failed"),
        Phase::RolledBack => ("bad", "was rolled back"),
        Phase::Aborted => ("flag", "was aborted"),
        other => ("flag", other.as_words()),
    };
    let why = failed.state.ending.map(|ending| ending.why).unwrap_or_default();
    view! {
        <div class="facts">
            <a class=class href=format!("/rollouts/{}", failed.id)>
                {failed.release.name}
                " "
                {word}
            </a>
            {failed.ended_at.map(|at| view! { <span class="faint"><Ago at /></span> })}
        </div>
        <p class="why">{why}</p>
    }
}
