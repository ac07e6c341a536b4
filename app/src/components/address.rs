//! Where something is reached: a link, or where to ask inside its cluster.

use domain::view::Address;
use leptos::prelude::*;

/// The address, to be followed or read.
#[component]
pub fn AddressText(
    address: Address,
    /// In place of the address itself.
    #[prop(optional)]
    word: Option<&'static str>,
) -> impl IntoView {
    let shown = address.shown().to_owned();
    match address.href().map(ToOwned::to_owned) {
        Some(href) => view! {
            <a href=href target="_blank" rel="noreferrer">
                {word.map_or(shown, ToOwned::to_owned)}
            </a>
        }
        .into_any(),
        None => view! {
            <span class="mono wrap">{shown}</span>
            <span class="faint">" inside its cluster"</span>
        }
        .into_any(),
    }
}
