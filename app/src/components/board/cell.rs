//! A cell of the board: what is live, how it is, what rolls, and the next thing to do.

use crate::components::{
    daily::{Standing, Start},
    moves::{Deploy, GoBack, way_back},
    placement::{Facts, Failed, LiveMark, Rolls},
    warmth::Warmth,
};
use domain::view::Cell;
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
            <LiveMark cell=cell.clone() />
            <Standing cell=cell.clone() />
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

/// Nothing rolls: how it is, what failed last, what could come next.
#[component]
fn Settled(service: String, cell: Cell) -> impl IntoView {
    let warm = cell.warm.clone();
    let deploys = cell.next.clone().filter(|_| cell.may.start && cell.waiting.is_none());
    let goes_back = way_back(&cell).filter(|_| cell.may.roll_back && cell.waiting.is_none());
    let starts = cell.stopped.is_some() && cell.may.restart && cell.waiting.is_none();
    let has_act = deploys.is_some() || goes_back.is_some() || starts;
    let running = cell.live.clone().filter(|_| cell.stopped.is_none());
    view! {
        {running.map(|running| view! { <Facts cell=cell.clone() running /> })}
        {cell.failed.clone().map(|failed| view! { <Failed failed /> })}
        {warm.map(|warm| view! { <div class="facts"><Warmth warm /></div> })}
        {has_act
            .then(|| {
                view! {
                    <div class="act">
                        {starts
                            .then(|| {
                                view! {
                                    <Start service=service.clone() cell=cell.clone() class="small" />
                                }
                            })}
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
                            .map(|to| {
                                view! {
                                    <GoBack
                                        service=service.clone()
                                        cell=cell.clone()
                                        to
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
