//! The live release once more, with the newest configuration: how a change of the configuration comes
//! live.

use super::{
    ask::Actions,
    ask_form::AskForm,
    form::{Form, Send},
};
use crate::api::rollouts::StartRollout;
use domain::view::PlacementCard;
use leptos::prelude::*;

/// One click where the environment is open, else asked. Nothing where it may or can not be done.
#[component]
pub fn RollOutAgain(card: PlacementCard) -> impl IntoView {
    let cell = card.cell;
    let Some(live) = cell.live.filter(|_| cell.may.start && cell.active.is_none()) else {
        return ().into_any();
    };
    let name = format!("again-{}", cell.placement);
    let action = Actions::<StartRollout>::of(&name);
    let hidden = vec![
        ("placement", cell.placement.to_string()),
        ("release", live.release.id.to_string()),
        ("newest", cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default()),
        ("reason", format!("configuration {}", card.configuration.number)),
    ];
    let label = format!("Roll out {} again", live.release.name);
    if !cell.protected {
        return view! {
            <Form action hidden class="inline">
                <Send label sending="Asking …" class="small" />
            </Form>
        }
        .into_any();
    }
    view! {
        <AskForm
            action
            hidden
            id=name
            trigger=label.clone()
            title=format!("{label} in {}", cell.environment_name)
            effect=format!(
                "The same release with configuration {} is started in the idle slot and checked; then all new requests move in one switch.",
                card.configuration.number,
            )
            yes=label
            protected=true
        />
    }
    .into_any()
}
