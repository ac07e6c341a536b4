//! What a change of somebody's roles would gain and lose, before it is saved.

use domain::access::Difference;
use leptos::prelude::*;

/// Gains and losses, each with where. They differ by word, not by hue.
#[component]
pub fn WouldChange(
    differences: Vec<Difference>,
    /// What is said where nothing would change.
    #[prop(into)]
    nothing: String,
) -> impl IntoView {
    let is_empty = differences.is_empty();
    let (gained, lost): (Vec<_>, Vec<_>) = differences.into_iter().partition(|one| one.gained);
    view! {
        <div class="would">
            {is_empty.then(|| view! { <p class="soft">{nothing}</p> })}
            {(!gained.is_empty()).then(|| view! { <Half word="Gains" differences=gained /> })}
            {(!lost.is_empty()).then(|| view! { <Half word="Loses" differences=lost /> })}
        </div>
    }
}

#[component]
fn Half(word: &'static str, differences: Vec<Difference>) -> impl IntoView {
    view! {
        <h3>{word}</h3>
        <ul>
            {differences
                .into_iter()
                .map(|Difference { actions, places, .. }| {
                    let actions: Vec<_> =
                        actions.into_iter().map(|action| action.as_words()).collect();
                    view! {
                        <li>
                            <b>{places}</b>
                            ": "
                            <span class="soft">{actions.join(", ")}</span>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
}
