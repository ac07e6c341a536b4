//! A slot is a colour, a shape and a word: blue is square, green is round, idle is hollow.

use domain::slot::Slot;
use leptos::prelude::*;

/// The word of a slot with its shape.
#[component]
pub fn SlotMark(
    of: Slot,
    /// It has no traffic.
    #[prop(optional)]
    idle: bool,
    /// More to say about it: "live", "warm".
    #[prop(optional)]
    is: &'static str,
) -> impl IntoView {
    let text = if is.is_empty() { of.to_string() } else { format!("{of}, {is}") };
    view! { <span class=class_of(of, idle)>{text}</span> }
}

fn class_of(slot: Slot, idle: bool) -> &'static str {
    match (slot, idle) {
        (Slot::Blue, false) => "slot blue",
        (Slot::Blue, true) => "slot blue idle",
        (Slot::Green, false) => "slot green",
        (Slot::Green, true) => "slot green idle",
    }
}
