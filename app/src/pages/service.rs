//! The page service.

use leptos::prelude::*;
use leptos_meta::Title;

/// The page service.
#[component]
pub fn ServicePage() -> impl IntoView {
    view! {
        <Title text="ServicePage" />
        <h1>"ServicePage"</h1>
    }
}
