//! The pages about people, beside each other: who there is, who may do what, who is invited.

use leptos::prelude::*;

/// The heading of these pages, with the ways to the others. `here` is the address of this one.
#[component]
pub fn PeopleTabs(here: &'static str) -> impl IntoView {
    let pages =
        [("/people", "Everybody"), ("/access", "Access"), ("/people/invitations", "Invitations")];
    view! {
        <div class="head tabbed">
            <h1>"People"</h1>
            <nav class="tabs" aria-label="About people">
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
