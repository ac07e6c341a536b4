//! The switch of a feature flag: a yes/no variable, turned with a rollout of what is live.

use crate::{
    api::configurations::SwitchFlag,
    components::{ask::Actions, ask_form::AskForm, moves::reason_field},
};
use domain::view::PlacementCard;
use leptos::prelude::*;

/// Asks once, and says what is rolled out. Nothing for those who may not.
#[component]
pub fn Switch(card: PlacementCard, name: String, on: bool) -> impl IntoView {
    let cell = card.cell;
    if !cell.may.configure || (cell.live.is_some() && !cell.may.start) {
        return ().into_any();
    }
    let to = if on { "off" } else { "on" };
    let number = card.configuration.number;
    let mut effect = match &cell.live {
        None => format!(
            "It becomes configuration {}. Nothing is deployed here, so nothing is rolled out.",
            number + 1
        ),
        Some(live) => format!(
            "It becomes configuration {}, and {} is rolled out again with it: started in {}, \
             checked, then all new requests move in one switch.",
            number + 1,
            live.release.name,
            live.slot.other(),
        ),
    };
    if let Some(live) = cell.live.as_ref().filter(|live| live.configuration != number) {
        effect.push_str(&format!(
            " Number {} runs now: what was changed since comes live with it.",
            live.configuration
        ));
    }
    if cell.active.is_some() {
        effect.push_str(" A rollout is under way; this one waits for its end.");
    }
    let yes = match &cell.live {
        Some(_) => format!("Turn {to} and roll out"),
        None => format!("Turn {to}"),
    };
    let id = format!("switch-{}-{name}", cell.placement);
    let hidden = vec![
        ("placement", cell.placement.to_string()),
        ("name", name.clone()),
        ("on", if on { "no" } else { "yes" }.to_owned()),
    ];
    let newest = cell.newest.map(|rollout| rollout.to_string()).unwrap_or_default();
    let action = Actions::<SwitchFlag>::of(&id);
    view! {
        <AskForm
            action
            hidden
            id
            trigger=format!("Turn {to}")
            title=format!("Turn {name} {to} in {}", cell.environment_name)
            effect
            yes
            protected=cell.protected
        >
            <input type="hidden" name="based_on" value=number.to_string() />
            <input type="hidden" name="newest" value=newest />
            {reason_field("why now")}
        </AskForm>
    }
    .into_any()
}
