//! Icons of one set (Lucide), drawn inline. They go with a word or a label, so nobody reads them out.

use icondata::Icon as Drawing;
use leptos::prelude::*;

/// Draws `of`, 16 px wide, in the colour of the text around it.
#[component]
pub fn Icon(of: Drawing) -> impl IntoView {
    view! {
        <svg
            class="icon"
            viewBox=of.view_box.unwrap_or("0 0 24 24")
            fill="none"
            stroke="currentColor"
            stroke-width="1.75"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            inner_html=of.data
        ></svg>
    }
}
