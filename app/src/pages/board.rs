//! The page board.

use leptos::prelude::*;
use leptos_meta::Title;

/// The page board.
#[component]
pub fn BoardPage() -> impl IntoView {
    view! {
        <Title text="BoardPage" />
        <h1>"BoardPage"</h1>
    }
}
