//! The old slot stays up for a while after a switch: what could take the traffic back in one write,
//! and for how long still.

use super::{
    ask::Actions,
    form::{Form, Send},
    slot::SlotMark,
};
use crate::{
    api::rollouts::{EndWarmth, ExtendWarmth},
    clock::clock,
    format,
};
use domain::{id::PlacementId, view::Warm};
use leptos::prelude::*;

/// How long one click keeps a warm slot up.
const KEEP_MINUTES: u32 = 15;

/// Lays the actions of warm slots ready for a page.
pub fn provide() {
    Actions::<ExtendWarmth>::provide();
    Actions::<EndWarmth>::provide();
}

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

/// The countdown, and the two things one may want of it.
#[component]
pub fn StillWarm(placement: PlacementId, warm: Warm, may_extend: bool) -> impl IntoView {
    let hidden = vec![("placement", placement.to_string())];
    let longer = {
        let mut hidden = hidden.clone();
        hidden.push(("minutes", KEEP_MINUTES.to_string()));
        hidden
    };
    let extend = Actions::<ExtendWarmth>::of(&placement.to_string());
    let end = Actions::<EndWarmth>::of(&placement.to_string());
    view! {
        <div class="still-warm">
            <Warmth warm />
            {may_extend
                .then(|| {
                    view! {
                        <div class="act">
                            <Form action=extend hidden=longer class="inline">
                                <Send
                                    label=format!("Keep {KEEP_MINUTES} min longer")
                                    sending="Asking …"
                                    class="small"
                                />
                            </Form>
                            <Form action=end hidden class="inline">
                                <Send label="Let it go now" sending="Asking …" class="small plain" />
                            </Form>
                        </div>
                    }
                })}
        </div>
    }
}
