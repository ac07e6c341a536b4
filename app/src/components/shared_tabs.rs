//! The pages about what all projects share, beside each other: environments, targets and
//! registries.

use leptos::prelude::*;

/// The heading of these pages, with the ways to the others. `here` is the address of this one.
#[component]
pub fn SharedTabs(here: &'static str, heading: &'static str) -> impl IntoView {
    let pages =
        [("/environments", "Environments"), ("/targets", "Targets"), ("/registries", "Registries")];
    view! {
        <div class="head tabbed">
            <h1>{heading}</h1>
            <nav class="tabs" aria-label="Shared by all projects">
                {pages
                    .map(|(path, word)| {
                        view! {
                            <a href=path aria-current=(path == here).then_some("page")>
                                {word}
                            </a>
                        }
                    })
                    .collect_view()}
            </nav>
        </div>
    }
}
