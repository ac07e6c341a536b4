//! A page that waits for its view, draws it, and says what is wrong where there is none.

use super::failure::FailedPage;
use crate::api::Answer;
use leptos::prelude::*;

/// Draws `page` with `draw` as soon as it is there, and again each time it is loaded again; until
/// then what was there stays.
#[component]
pub fn Loaded<T, Draw>(
    page: Resource<Answer<T>>,
    draw: Draw,
    /// The page has its heading outside of this.
    #[prop(optional)]
    headed: bool,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    Draw: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    view! {
        <Transition fallback=|| {
            view! { <p class="soft">"Loading …"</p> }
        }>
            {move || {
                let draw = draw.clone();
                Suspend::new(async move {
                    match page.await {
                        // Drawn when it is put in its place, not before: what is asked for anew in between
                        // ends this run and disposes of all that it made, which then would be shown.
                        Ok(view) => (move || untrack(|| draw(view.clone()))).into_any(),
                        Err(error) => view! { <FailedPage problem=error.0 headed /> }.into_any(),
                    }
                })
            }}
        </Transition>
    }
}
