//! A quiet bar for a tab that is older than the server: nothing is reloaded under anybody's hands.

use crate::live::live;
use leptos::prelude::*;

/// Offers to load the page again when the server is of another build.
#[component]
pub fn NewBuild() -> impl IntoView {
    let live = live();
    let reload = move |_| {
        let _ = window().location().reload();
    };
    view! {
        <div role="status">
            {move || {
                live.new_build
                    .get()
                    .then(|| {
                        view! {
                            <div class="new-build">
                                <span>"A new version of Pilothouse is here."</span>
                                <button type="button" class="small" on:click=reload>
                                    "Reload"
                                </button>
                            </div>
                        }
                    })
            }}
        </div>
    }
}
