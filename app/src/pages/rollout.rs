//! The page rollout.

use leptos::prelude::*;
use leptos_meta::Title;

/// The page rollout.
#[component]
pub fn RolloutPage() -> impl IntoView {
    view! {
        <Title text="RolloutPage" />
        <h1>"RolloutPage"</h1>
    }
}
