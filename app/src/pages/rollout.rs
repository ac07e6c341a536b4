//! One rollout, live: the product's centre. What, where, who and why; the line of its phases; one
//! action always in the same place; both slots; what happened to the traffic.

mod actions;
mod columns;
mod ending;
mod evidence;
mod push;

use crate::{
    api::{ApiError, rollouts},
    components::{
        address::AddressText,
        chart::{Chart, Figures, Mark, failures, p95_ms, requests},
        diff::Diff,
        gates::{self, Gates},
        loaded::Loaded,
        moves,
        past::PastOfRollout,
        phase_line::{PhaseLine, state_of},
        rows::Events,
        warmth,
        when::At,
    },
    format,
    live::{Seconds, Topics, live},
    session::session,
};
use actions::Actions;
use columns::Columns;
use domain::{
    error::Problem,
    history::Change,
    id::RolloutId,
    rollout::{Kind, State},
    slot::Slot,
    view::{RolloutCard, RolloutPage as Page},
};
use ending::{Ending, Stuck};
use evidence::EvidenceCard;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use push::PushFirst;

/// Loads a rollout and follows its placement.
#[component]
pub fn RolloutPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let page = Resource::new_blocking(
        move || id.get(),
        |id| async move {
            match id.parse::<RolloutId>() {
                Ok(id) => rollouts::rollout(id).await,
                Err(_) => Err(ApiError::from(Problem::not_found("rollout"))),
            }
        },
    );
    let live = live();
    let shown = StoredValue::new(None);
    Effect::new(move |_| {
        if let Some(Ok(page)) = page.get() {
            shown.set_value(Some((page.card.id, page.placement)));
            live.follow(page.number, Topics::Placements(vec![page.placement]));
        }
    });
    live.on_rows(
        move |row| {
            shown.get_value().is_some_and(|(rollout, placement)| {
                row.rollout == Some(rollout) || row.placement == Some(placement)
            })
        },
        move || page.refetch(),
    );
    moves::provide();
    warmth::provide();

    view! {
        <Loaded page=page draw=|page| view! { <Rollout page /> }.into_any() />
        <PastOfRollout />
    }
}

#[component]
fn Rollout(page: Page) -> impl IntoView {
    let state = state_of(&page.card);
    let title = title(&page);
    let seconds = live().samples(page.placement);
    let is_newest = page.cell.newest.is_none_or(|newest| newest == page.card.id);
    // Announced when it changes, not each second.
    let announced = {
        let release = page.card.release.name.clone();
        let phase = Memo::new(move |_| state.with(|state| (state.phase, state.trouble.is_some())));
        move || {
            let (phase, stuck) = phase.get();
            if stuck {
                format!("{release} needs a person while {phase}")
            } else {
                format!("{release} is {phase}")
            }
        }
    };
    let old_and_new = order(&page, state);
    view! {
        <Title text=title.clone() />
        <article class="rollout" class:protected-page=page.protected>
            <Head page=page.clone() state />
            <p class="unseen" role="status">
                {announced}
            </p>
            <PhaseLine
                card=page.card.clone()
                placement=page.placement
                entered=page.phases.clone()
                state
            />
            <Stuck state />
            <Ending page=page.clone() state />
            <div class="grid2">
                <div class="middle">
                    {is_newest
                        .then(|| {
                            view! {
                                <Columns page=page.clone() state order=old_and_new />
                                <Charts card=page.card.clone() state seconds />
                            }
                        })}
                    <Changes changes=page.changes.clone() />
                    <section>
                        <div class="headline">
                            <h2>"Events"</h2>
                            <HistoryLink rollout=page.card.id />
                        </div>
                        <Events rows=page.rows.clone() />
                    </section>
                </div>
                <aside>
                    <EvidenceCard state />
                    <Gates card=page.card.clone() state />
                    <PushFirst release=page.card.release.id may=page.may.release state />
                </aside>
            </div>
        </article>
    }
}

/// "backend 1.8.1 → 1.8.2 in production".
fn title(page: &Page) -> String {
    if page.card.kind == Kind::Remove {
        return format!("Removal of {} from {}", page.service, page.environment);
    }
    format!("{} {} in {}", page.service, names(&page.card), page.environment)
}

fn names(card: &RolloutCard) -> String {
    match &card.from {
        Some(from) if from.id != card.release.id => {
            format!("{} → {}", from.name, card.release.name)
        }
        _ => card.release.name.clone(),
    }
}

/// The old slot stands at the left and the new one at the right, as in "1.8.1 → 1.8.2".
fn order(page: &Page, state: Memo<State>) -> Signal<[Slot; 2]> {
    let ended = page.card.state.phase.is_end();
    let live = page.cell.live.as_ref().map(|live| live.slot);
    Memo::new(move |_| {
        let pinned = state.with(|state| state.pinned.map(|pinned| pinned.new));
        let expected = if ended { live } else { live.map(Slot::other) };
        let new = pinned.or(expected).unwrap_or(Slot::Blue);
        [new.other(), new]
    })
    .into()
}

#[component]
fn Head(page: Page, state: Memo<State>) -> impl IntoView {
    let home = format!("/projects/{}/services/{}", page.project, page.service);
    let card = page.card.clone();
    let logs = format!("{home}/logs?in={}&of=rollout.{}", page.environment, card.id);
    let asked = match card.kind {
        Kind::Rollback => " asked to go back at ",
        Kind::Remove => " asked to remove it at ",
        Kind::Deploy => " asked at ",
    };
    view! {
        <div class="title">
            <div>
                <nav class="crumb" aria-label="Where this is">
                    <a href=format!("/projects/{}", page.project)>{page.project.to_string()}</a>
                    " / "
                    <a href=home>{page.service.to_string()}</a>
                    " / "
                    <span>{page.environment.to_string()}</span>
                </nav>
                <h1>
                    {match card.kind {
                        Kind::Remove => title(&page).into_any(),
                        Kind::Deploy | Kind::Rollback => {
                            view! {
                                {page.service.to_string()} " "
                                <span class="mono">{names(&card)}</span> " in "
                                {page.environment.to_string()}
                            }
                                .into_any()
                        }
                    }}
                </h1>
                <p class="by">
                    <b>{card.by.clone()}</b>
                    {asked}
                    <At at=card.asked_at />
                    {card.reason.clone().map(|reason| format!(" · “{reason}”"))}
                    " · image "
                    <a
                        class="mono"
                        href=format!("/releases/{}", card.release.id)
                        title=page.image.clone()
                    >
                        {format::image(&page.image)}
                    </a>
                    {page
                        .address
                        .clone()
                        .map(|address| {
                            view! {
                                " · "
                                <AddressText address word="open it" />
                            }
                        })}
                    {page
                        .may
                        .logs
                        .then(|| {
                            view! {
                                " · "
                                <a href=logs>"what its instances wrote"</a>
                            }
                        })}
                </p>
            </div>
            <Actions page state />
        </div>
    }
}

#[component]
fn Charts(card: RolloutCard, state: Memo<State>, seconds: ArcRwSignal<Seconds>) -> impl IntoView {
    let marks = Memo::new(move |_| {
        state.with(|state| {
            let evidence = &state.evidence;
            let there = evidence.confirmed_at.map(|at| Mark { at, what: "switched" });
            let back = evidence.back_confirmed_at.map(|at| Mark { at, what: "back" });
            there.into_iter().chain(back).collect::<Vec<_>>()
        })
    });
    let of_last = |seconds: &ArcRwSignal<Seconds>, say: fn(&domain::live::Sample) -> String| {
        let seconds = seconds.clone();
        Signal::derive(move || {
            seconds.with(|seconds| seconds.back().map_or_else(|| "– now".to_owned(), say))
        })
    };
    let requests_now = of_last(&seconds, |last| {
        let both = last.slots.blue.requests + last.slots.green.requests;
        format!("{} now", format::count(both.into()))
    });
    let failures_now = {
        let seconds = seconds.clone();
        Signal::derive(move || {
            let all: u64 = seconds.with(|seconds| {
                let both = seconds.iter().map(|s| s.slots.blue.failures + s.slots.green.failures);
                both.map(u64::from).sum()
            });
            format!("{} in two minutes", format::count(all))
        })
    };
    let p95_now = {
        let seconds = seconds.clone();
        Signal::derive(move || {
            let now = seconds.with(|seconds| {
                let last = seconds.back()?;
                last.slots.of(last.live?).p95_us
            });
            let now = now.map_or_else(|| "–".to_owned(), format::latency);
            let limit = state.with(|state| gates::p95_limit_us(state, &card.policy));
            match limit {
                Some(limit) => format!("{now} now, limit {}", format::latency(limit)),
                None => format!("{now} now"),
            }
        })
    };
    view! {
        <div class="charts">
            <Chart
                title="Requests"
                unit="per second, by slot"
                seconds=seconds.clone()
                figure=requests
                least_top=10.0
                now=requests_now
                marks
            />
            <Chart
                title="Errors"
                unit="per second, by slot"
                seconds=seconds.clone()
                figure=failures
                least_top=4.0
                now=failures_now
                marks
            />
            <Chart
                title="p95"
                unit="milliseconds, by slot"
                seconds=seconds.clone()
                figure=p95_ms
                least_top=10.0
                now=p95_now
                marks
            />
        </div>
        <Figures seconds />
    }
}

/// What differs between what was live and this.
#[component]
fn Changes(changes: Vec<Change>) -> impl IntoView {
    let nothing = changes.is_empty();
    // The first one here differs in everything from nothing: that is no news.
    let first = changes.len() > 3 && changes.iter().all(|change| change.before.is_none());
    view! {
        <section>
            <h2>"What changed"</h2>
            {nothing.then(|| view! { <p class="soft">"Nothing: the same pair as before."</p> })}
            {if first {
                view! {
                    <details>
                        <summary>"Everything: nothing was live here before"</summary>
                        <Diff changes />
                    </details>
                }
                    .into_any()
            } else {
                view! { <Diff changes /> }.into_any()
            }}
        </section>
    }
}

/// To the same rows in the history, for those who may read it.
#[component]
fn HistoryLink(rollout: RolloutId) -> impl IntoView {
    let session = session();
    view! {
        <Transition>
            {move || {
                session
                    .viewer()
                    .filter(|viewer| viewer.history)
                    .map(|_| {
                        view! {
                            <a class="link soft" href=format!("/history?rollout={rollout}")>
                                "Rows in the history"
                            </a>
                        }
                    })
            }}
        </Transition>
    }
}
