//! What one does to a placement from day to day: restart it one by one, stop it, start it again, take
//! it away; and how far that is.

use super::{ask::Actions, ask_form::AskForm, field::Field, moves::reason_field, when::LongAgo};
use crate::api::acts::{RemovePlacement, RestartPlacement, StartPlacement, StopPlacement};
use domain::view::{Cell, Restarting};
use leptos::prelude::*;

/// Lays the actions of these forms ready for a page.
pub fn provide() {
    Actions::<RestartPlacement>::provide();
    Actions::<StopPlacement>::provide();
    Actions::<StartPlacement>::provide();
    Actions::<RemovePlacement>::provide();
}

/// Whether it is stopped, and how far a restart is.
#[component]
pub fn Standing(cell: Cell) -> impl IntoView {
    view! {
        {cell
            .stopped
            .map(|stopped| {
                view! {
                    <span class="flag standing">
                        "stopped by "
                        {stopped.by}
                        ", "
                        <LongAgo at=stopped.at />
                    </span>
                }
            })}
        {cell.restart.map(|restart| view! { <Progress restart /> })}
    }
}

#[component]
fn Progress(restart: Restarting) -> impl IntoView {
    let Restarting { by, done, of, failed } = restart;
    match failed {
        Some(why) => {
            let said = format!("restart stopped at {done} of {of}: {why}");
            view! { <span class="flag standing">{said}</span> }.into_any()
        }
        None if of == 0 => {
            view! { <span class="soft standing">{format!("{by} restarts it")}</span> }.into_any()
        }
        None => view! {
            <span class="soft standing">
                <progress max=of.to_string() value=done.to_string() aria-label="Restarted"></progress>
                " "
                {format!("{done} of {of} restarted, by {by}")}
            </span>
        }
        .into_any(),
    }
}

/// Starts what is stopped.
#[component]
pub fn Start(service: String, cell: Cell, #[prop(optional)] class: &'static str) -> impl IntoView {
    let release = cell.live.as_ref().map(|live| live.release.name.clone()).unwrap_or_default();
    let newest = cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default();
    let placement = cell.placement.to_string();
    let action = Actions::<StartPlacement>::of(&placement);
    view! {
        <AskForm
            action
            hidden=vec![("placement", placement.clone()), ("newest", newest)]
            id=format!("start-{placement}")
            trigger="Start"
            class
            title=format!("Start {service} in {}", cell.environment_name)
            effect=format!(
                "{release} is started with the configuration it had and checked. Then it gets the \
                 requests again. If it does not get ready, it stays stopped.",
            )
            yes="Start"
            protected=cell.protected
        >
            {reason_field("why it may run again")}
        </AskForm>
    }
}

/// The acts on what is settled: restart, stop, start, remove.
#[component]
pub fn Acts(
    service: String,
    cell: Cell,
    /// The page of the service.
    home: String,
) -> impl IntoView {
    if cell.active.is_some() || cell.waiting.is_some() {
        return ().into_any();
    }
    let stopped = cell.stopped.is_some();
    let runs = cell.live.is_some() && !stopped;
    let restarting = cell.restart.as_ref().is_some_and(|restart| restart.failed.is_none());
    let may = cell.may;
    view! {
        <div class="acts">
            {(runs && may.restart && !restarting)
                .then(|| view! { <Restart service=service.clone() cell=cell.clone() /> })}
            {(runs && may.restart)
                .then(|| view! { <Stop service=service.clone() cell=cell.clone() /> })}
            {(stopped && may.restart)
                .then(|| {
                    view! { <Start service=service.clone() cell=cell.clone() class="small" /> }
                })}
            {may.remove.then(|| view! { <Remove service cell home /> })}
        </div>
    }
    .into_any()
}

#[component]
fn Restart(service: String, cell: Cell) -> impl IntoView {
    let size = cell.size.count();
    let placement = cell.placement.to_string();
    let action = Actions::<RestartPlacement>::of(&placement);
    let effect = if size == 1 {
        "One more instance is started first and answers meanwhile, so for a moment it needs the room \
         of two. Open event streams and WebSockets end once and come back."
            .to_owned()
    } else {
        format!(
            "Each of the {size} instances in its turn: it leaves the route, finishes what it has, \
             ends, starts, and comes back once it is ready; the other {} answer meanwhile. Should \
             one not come up, the restart stops there. Open event streams and WebSockets end once \
             and come back.",
            size - 1
        )
    };
    view! {
        <AskForm
            action
            hidden=vec![("placement", placement.clone())]
            id=format!("restart-{placement}")
            trigger="Restart"
            class="small plain"
            title=format!("Restart {service} in {}, one by one", cell.environment_name)
            effect
            yes="Restart"
            protected=cell.protected
        >
            {reason_field("what a restart shall cure")}
        </AskForm>
    }
}

#[component]
fn Stop(service: String, cell: Cell) -> impl IntoView {
    let placement = cell.placement.to_string();
    let action = Actions::<StopPlacement>::of(&placement);
    let mut effect = "Requests are answered 503 with a page that says so, until somebody starts it \
                      again or deploys. What is in flight is finished first, then the instances end."
        .to_owned();
    if let Some(warm) = &cell.warm {
        effect.push_str(&format!(" The instant way back to {} ends.", warm.release.name));
    }
    view! {
        <AskForm
            action
            hidden=vec![("placement", placement.clone())]
            id=format!("stop-{placement}")
            trigger="Stop"
            class="small plain"
            title=format!("Stop {service} in {}", cell.environment_name)
            effect
            yes="Stop"
            protected=cell.protected
        >
            {reason_field("why nobody shall be served")}
        </AskForm>
    }
}

#[component]
fn Remove(service: String, cell: Cell, home: String) -> impl IntoView {
    let placement = cell.placement.to_string();
    let newest = cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default();
    let action = Actions::<RemovePlacement>::of(&placement);
    let environment = cell.environment_name.to_string();
    let protected = cell.protected;
    let label = format!("Type {service} to remove it");
    view! {
        <AskForm
            action
            hidden=vec![("placement", placement.clone()), ("newest", newest), ("back", home)]
            id=format!("remove-{placement}")
            trigger="Remove"
            class="small plain"
            title=format!("Remove {service} from {environment}")
            effect=format!(
                "Its route in {environment} is withdrawn, what is in flight is finished, then all \
                 its instances are removed, and its host names are free again. It \
                 leaves the board. History, rollouts and releases stay, and it can be placed there \
                 again.",
            )
            yes="Remove"
            protected
        >
            {protected
                .then(|| {
                    view! { <Field name="typed" label required=true autocomplete="off" /> }
                })} {reason_field("why it is not needed there")}
        </AskForm>
    }
}
