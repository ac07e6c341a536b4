//! The badge: up to which row the history was proven, and the button that proves it now.

use crate::{
    api::history::VerifyHistory,
    components::{
        form::{Form, Send},
        when::LongAgo,
    },
    format,
};
use domain::view::Proven;
use leptos::prelude::*;

/// What was proven last, or just now.
#[component]
pub(super) fn Seal(
    proven: Proven,
    protected_by_grants: bool,
    /// Proving reads all of it, so it is for those who may.
    may_prove: bool,
) -> impl IntoView {
    let verify = ServerAction::<VerifyHistory>::new();
    let now = Signal::derive(move || {
        let just_proven = verify.value().get().and_then(Result::ok);
        just_proven.unwrap_or_else(|| proven.clone())
    });
    view! {
        <div class="seal" class:broken=move || matches!(now.get(), Proven::Broken { .. })>
            <p role="status">{move || view! { <Said proven=now.get() /> }}</p>
            {may_prove
                .then(|| {
                    view! {
                        <Form action=verify class="inline">
                            <Send label="Verify now" sending="Verifying …" class="small" />
                        </Form>
                    }
                })}
            {(!protected_by_grants)
                .then(|| {
                    view! {
                        <p class="amber">
                            "▲ The program owns the database, so only the chain protects the \
                             history, not its rights."
                        </p>
                    }
                })}
        </div>
    }
}

#[component]
fn Said(proven: Proven) -> impl IntoView {
    match proven {
        Proven::Whole { number, at } => view! {
            <span aria-hidden="true">"✓ "</span>
            <b>{format!("Whole up to row {}", format::count(number.unsigned_abs()))}</b>
            " "
            <span class="soft">"proven " <LongAgo at /></span>
        }
        .into_any(),
        Proven::Broken { why } => view! {
            <span aria-hidden="true">"✕ "</span>
            <b class="red">"Broken: "</b>
            {why}
        }
        .into_any(),
        Proven::NotYet => view! {
            <b>"Not proven yet"</b>
            " "
            <span class="soft">"since this server started"</span>
        }
        .into_any(),
    }
}
