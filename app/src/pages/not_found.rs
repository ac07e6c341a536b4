//! No page has this address.

use crate::components::failure::FailedPage;
use domain::error::Problem;
use leptos::prelude::*;
use leptos_meta::Title;

/// Says so, with the status that says so.
#[component]
pub fn NotFound() -> impl IntoView {
    let problem = Problem::not_found("page");
    #[cfg(feature = "ssr")]
    crate::api::context::answer_with(&problem);
    view! {
        <Title text="Not found" />
        <FailedPage problem />
    }
}
