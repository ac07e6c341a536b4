//! What waits for something of the server, draws it, and says what is wrong where there is none.

use super::failure::FailedPage;
use crate::api::Answer;
#[cfg(feature = "hydrate")]
use leptos::tachys::reactive_graph::OwnedView;
use leptos::{children::ViewFnOnce, prelude::*};

/// A whole page: `draw` draws its view, and a failure is a page of its own.
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
    let draw = move |answer: Answer<T>| match answer {
        Ok(view) => draw(view),
        Err(error) => view! { <FailedPage problem=error.0 headed /> }.into_any(),
    };
    let loading = || view! { <p class="soft">"Loading …"</p> };
    view! { <Awaited of=page draw fallback=loading /> }
}

/// Draws `of` with `draw` as soon as it is there, and again each time it is loaded again; until
/// then what was there stays.
#[component]
pub fn Awaited<T, Draw>(
    of: Resource<T>,
    draw: Draw,
    #[prop(optional, into)] fallback: ViewFnOnce,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    Draw: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    view! {
        <Transition fallback>
            {
                #[cfg(feature = "hydrate")]
                let whole = Owner::new();
                move || {
                    let draw = draw.clone();
                    #[cfg(feature = "hydrate")]
                    let whole = whole.clone();
                    Suspend::new(async move {
                        let found = of.await;
                        let view = move || untrack(|| draw(found.clone()));
                        // What is shown stays until what is newer takes its place, and what it is made of lives
                        // as long: it belongs to a child of the whole, not to this run, which ends as soon as
                        // something newer is on its way. On a server there is one run.
                        #[cfg(feature = "hydrate")]
                        let view = OwnedView::new_with_owner(view, whole.child());
                        view
                    })
                }
            }
        </Transition>
    }
}
