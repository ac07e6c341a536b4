//! What was before and what is after, line by line.

use domain::history::Change;
use leptos::prelude::*;

/// What was before and what is after. A line that goes and a line that comes differ by sign and by
/// stroke, not by hue.
#[component]
pub fn Diff(changes: Vec<Change>) -> impl IntoView {
    let line = |what: &str, value: String| {
        if what.is_empty() { value } else { format!("{what} {value}") }
    };
    view! {
        <ul class="diff">
            {changes
                .into_iter()
                .map(|Change { what, before, after }| {
                    let gone = before
                        .map(|value| view! { <li class="d"><del>{line(&what, value)}</del></li> });
                    let come = after
                        .map(|value| view! { <li class="a"><ins>{line(&what, value)}</ins></li> });
                    view! {
                        {gone}
                        {come}
                    }
                })
                .collect_view()}
        </ul>
    }
}
