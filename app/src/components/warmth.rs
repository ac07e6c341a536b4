//! The old slot stays up for a while after a switch: what could take the traffic back in one write,
//! and for how long still.

use super::slot::SlotMark;
use crate::{clock::clock, format};
use domain::view::Warm;
use leptos::prelude::*;

/// "green stays warm 14:32": the slot, its release, the time that is left.
#[component]
pub fn Warmth(warm: Warm) -> impl IntoView {
    let left = countdown(&warm);
    view! {
        <span class="warmth" title=format!("until {}", format::exact(warm.until))>
            <SlotMark of=warm.slot idle=true is="warm" />
            <span class="mono">{warm.release.name}</span>
            <span class="left">{left}</span>
        </span>
    }
}

/// The time that is left, ticking.
pub fn countdown(warm: &Warm) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    let clock = clock();
    let until = warm.until;
    move || format::countdown(-clock.since_ms(until))
}
