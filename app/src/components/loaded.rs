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
            <Kept of draw />
        </Transition>
    }
}

/// What was drawn last. It is shown until what is newer takes its place, and what it is made of lives
/// as long: that belongs to a child of the whole, not to the run that drew it, which ends as soon as
/// something newer is on its way.
#[component]
fn Kept<T, Draw>(of: Resource<T>, draw: Draw) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    Draw: Fn(T) -> AnyView + Clone + Send + Sync + 'static,
{
    let whole = Owner::new();
    move || {
        let (draw, whole) = (draw.clone(), whole.clone());
        Suspend::new(async move {
            let found = of.await;
            kept(move || untrack(|| draw(found.clone())), &whole)
        })
    }
}

#[cfg(feature = "hydrate")]
fn kept<V>(view: V, whole: &Owner) -> OwnedView<V> {
    OwnedView::new_with_owner(view, whole.child())
}

/// A server draws a page once, under the owner of the whole request.
#[cfg(not(feature = "hydrate"))]
fn kept<V>(view: V, _whole: &Owner) -> V {
    view
}
