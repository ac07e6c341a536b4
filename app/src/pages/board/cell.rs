//! A cell of the board: what is live, how it is, what rolls, and the next thing to do.

use crate::{
    clock::clock,
    components::{
        moves::{AskOf, Deploy, GoBack},
        phase_line::{PhaseTicks, state_of},
        slot::SlotMark,
        sparkline::{Sparkline, cpu_percent},
        warmth::Warmth,
        when::Ago,
    },
    format,
    live::Seconds,
};
use domain::{
    rollout::{self, Ask, Phase},
    view::{Cell, RolloutCard, Running},
};
use leptos::prelude::*;

/// One placement.
#[component]
pub fn BoardCell(service: String, cell: Cell) -> impl IntoView {
    let rolls = cell.active.is_some();
    let environment = cell.environment_name.to_string();
    view! {
        <td class="cell" class:prod=cell.protected class:rolls=rolls data-env=environment>
            <div class="inside">
                <Top cell=cell.clone() />
                {match cell.active.clone() {
                    Some(active) => {
                        view! { <Rolls service=service.clone() cell=cell.clone() active /> }
                            .into_any()
                    }
                    None => view! { <Settled service=service.clone() cell=cell.clone() /> }.into_any(),
                }}
                {cell
                    .waiting
                    .map(|waiting| {
                        view! {
                            <p class="said">
                                <a href=format!("/rollouts/{}", waiting.id)>
                                    <b>{waiting.release.name}</b>
                                    " waits for its turn"
                                </a>
                            </p>
                        }
                    })}
            </div>
        </td>
    }
}

/// Release and slot, and what is odd about them.
#[component]
fn Top(cell: Cell) -> impl IntoView {
    let name = match (&cell.live, &cell.active) {
        (Some(live), Some(active)) if live.release.id != active.release.id => {
            Some(format!("{} → {}", live.release.name, active.release.name))
        }
        (Some(live), _) => Some(live.release.name.clone()),
        (None, Some(active)) => Some(active.release.name.clone()),
        (None, None) => None,
    };
    let to = match (&cell.active, &cell.live) {
        (Some(active), _) => Some(format!("/rollouts/{}", active.id)),
        (None, Some(live)) => Some(format!("/releases/{}", live.release.id)),
        (None, None) => None,
    };
    view! {
        <div class="top">
            {match (name, to) {
                (Some(name), Some(to)) => {
                    view! {
                        <a class="mono v" href=to>
                            {name}
                        </a>
                    }
                        .into_any()
                }
                _ => view! { <span class="faint">"not deployed"</span> }.into_any(),
            }}
            {cell.live.map(|live| view! { <SlotMark of=live.slot /> })}
            {cell.drift.map(|drift| view! { <span class="flag">{drift}</span> })}
            {cell
                .held
                .then(|| {
                    view! {
                        <span
                            class="flag"
                            title="After a rollback nothing deploys here by itself until somebody lifts the hold."
                        >
                            "held"
                        </span>
                    }
                })}
        </div>
    }
}

/// The line, the sentence, and the two things one may want.
#[component]
fn Rolls(service: String, cell: Cell, active: RolloutCard) -> impl IntoView {
    let home = format!("/rollouts/{}", active.id);
    let state = state_of(&active);
    let title = format!("{} {} in {}", service, active.release.name, cell.environment_name);
    let (id, card) = (active.id, active.clone());
    // Changes seldom, so a dialog that is open stays open.
    let way = Memo::new(move |_| {
        state.with(|state| {
            (state.phase.is_after_switch(), rollout::accept(state, None, Ask::Abort).is_ok())
        })
    });
    let way_out = move || {
        let (after, open) = way.get();
        (open && cell.may.abort).then(|| {
            let (label, effect) = if after {
                ("Roll back", "All new requests go back to the slot that was live, in one switch. What this rollout made is removed.")
            } else {
                ("Abort", "What this rollout made is removed. The traffic has not moved and does not move.")
            };
            view! {
                <AskOf
                    rollout=id
                    what=Ask::Abort
                    label
                    title=format!("{label} {title}")
                    effect
                    protected=cell.protected
                    class="small"
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

/// Nothing rolls: how it is, what failed last, what could come next.
#[component]
fn Settled(service: String, cell: Cell) -> impl IntoView {
    let warm = cell.warm.clone();
    let deploys = cell.next.clone().filter(|_| cell.may.start && cell.waiting.is_none());
    let goes_back = warm.clone().filter(|_| cell.may.roll_back && cell.waiting.is_none());
    let has_act = deploys.is_some() || goes_back.is_some();
    view! {
        {cell.live.clone().map(|live| view! { <Facts cell=cell.clone() live /> })}
        {cell.failed.clone().map(|failed| view! { <Failed failed /> })}
        {warm.map(|warm| view! { <div class="facts"><Warmth warm /></div> })}
        {has_act
            .then(|| {
                view! {
                    <div class="act">
                        {deploys
                            .map(|release| {
                                view! {
                                    <Deploy
                                        service=service.clone()
                                        cell=cell.clone()
                                        release
                                        class="small"
                                    />
                                }
                            })}
                        {goes_back
                            .map(|warm| {
                                view! {
                                    <GoBack
                                        service=service.clone()
                                        cell=cell.clone()
                                        to=warm.release
                                        warm=true
                                        trigger="Roll back"
                                        class="small"
                                    />
                                }
                            })}
                    </div>
                }
            })}
    }
}

/// The line and the figures of the live slot, as of the last second.
#[component]
fn Facts(cell: Cell, live: Running) -> impl IntoView {
    let seconds = crate::live::live().samples(cell.placement);
    let (size, slot, clock) = (cell.size.count(), live.slot, clock());
    let figures = {
        let seconds = seconds.clone();
        move || seconds.with(|seconds| figures(seconds, slot, size))
    };
    let trouble = {
        let seconds = seconds.clone();
        move || seconds.with(|seconds| seconds.back().and_then(|last| last.trouble.clone()))
    };
    // What was deployed a moment ago has no figures to be missed yet.
    let fresh = move || clock.since_ms(live.since) < 3_000;
    view! {
        <div class="facts">
            <Sparkline seconds />
            <span class="figures">{figures}</span>
            <span class="faint">
                <Ago at=live.since />
            </span>
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
fn figures(seconds: &Seconds, slot: domain::slot::Slot, size: u16) -> String {
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
fn Failed(failed: RolloutCard) -> impl IntoView {
    let (class, word) = match failed.state.phase {
        Phase::Failed => ("bad", "failed"),
        Phase::RolledBack => ("bad", "was taken back"),
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
