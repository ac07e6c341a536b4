//! The keyboard, and whoever listens instead of looking, go along when a link leads to another page:
//! what had the focus is gone with the page before, and without this one would begin at the top.

use leptos::{html::Main, prelude::*};
use leptos_router::hooks::use_location;

/// Gives `main` the focus when the page is another one, not when only its filter is.
#[component]
pub fn FollowFocus(main: NodeRef<Main>) -> impl IntoView {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let now = path.get();
        if before.is_some_and(|before| before != now)
            && let Some(main) = main.get_untracked()
        {
            let _ = main.focus();
        }
        now
    });
}
