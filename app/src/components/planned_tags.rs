//! Under which tags an image goes to its registry, before it does.

use domain::registry::tags::Planned;
use leptos::prelude::*;

/// What each line of a pattern comes to.
#[component]
pub fn PlannedTags(planned: Vec<Planned>) -> impl IntoView {
    let tags: Vec<_> =
        planned.iter().filter_map(|one| one.tag.as_ref().ok()).map(ToString::to_string).collect();
    let without = planned.into_iter().filter_map(|one| {
        let why = one.tag.err()?;
        Some(view! {
            <p class="faint">
                <span class="mono">{one.pattern.to_string()}</span>
                {format!(": {why}")}
            </p>
        })
    });
    view! {
        <span class="mono wrap">
            {if tags.is_empty() { "no tag".to_owned() } else { tags.join(", ") }}
        </span>
        {without.collect_view()}
    }
}
