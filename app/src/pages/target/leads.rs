//! Where a pattern of namespaces leads, while it is typed: for each environment, whether that is there
//! and what is granted in it.

use crate::{api::Answer, components::loaded::Awaited};
use domain::{
    namespace::NamespacePattern,
    target::cluster::{ClusterSeen, Hit},
    view::{InquiryAnswer, InquiryPage},
};
use leptos::prelude::*;

/// The id of the list of patterns that are offered.
pub const OFFERED: &str = "offered-namespaces";

/// Where the pattern leads by what the cluster said last; nothing before it was asked.
#[component]
pub fn Leads(
    inquiry: Resource<Answer<Option<InquiryPage>>>,
    /// As it is typed.
    pattern: RwSignal<String>,
) -> impl IntoView {
    let draw = move |found: Answer<Option<InquiryPage>>| match found
        .ok()
        .flatten()
        .map(|found| found.answer)
    {
        Some(InquiryAnswer::Cluster(seen)) => {
            let seen = StoredValue::new(*seen);
            view! { <Told seen pattern /> }.into_any()
        }
        _ => ().into_any(),
    };
    view! { <Awaited of=inquiry draw /> }
}

#[component]
fn Told(seen: StoredValue<ClusterSeen>, pattern: RwSignal<String>) -> impl IntoView {
    let offered = seen.with_value(ClusterSeen::patterns);
    let hits = move || {
        let pattern = pattern.read().parse::<NamespacePattern>().ok()?;
        Some(seen.with_value(|seen| seen.hits(&pattern)))
    };
    view! {
        <datalist id=OFFERED>
            {offered
                .into_iter()
                .map(|pattern| view! { <option value=pattern.to_string()></option> })
                .collect_view()}
        </datalist>
        {move || {
            let hits = hits().filter(|hits| !hits.is_empty())?;
            Some(
                view! {
                    <ul class="leads" aria-label="Where the pattern leads">
                        {hits.into_iter().map(|hit| view! { <One hit /> }).collect_view()}
                    </ul>
                },
            )
        }}
    }
}

#[component]
fn One(hit: Hit) -> impl IntoView {
    let (environment, is_here) = (hit.environment.to_string(), hit.is_here);
    let (good, said) = said(&hit);
    let name = hit.namespace.unwrap_or_default();
    view! {
        <li class:faint=!is_here>
            <span>{if is_here { "for " } else { "it would be, for " }} <b>{environment}</b> ": "</span>
            <span class="mono wrap">{name}</span>
            <span class:amber=is_here && !good>{said}</span>
        </li>
    }
}

/// Whether a rollout could go there, as far as that is known, and the words for it.
fn said(hit: &Hit) -> (bool, String) {
    if let Err(wrong) = &hit.namespace {
        return (false, format!("✕ {wrong}"));
    }
    let granted = match hit.not_granted {
        None => String::new(),
        Some(0) => ", all that is needed is granted".to_owned(),
        Some(1) => ", one thing is not granted".to_owned(),
        Some(missing) => format!(", {missing} things are not granted"),
    };
    match hit.is_there {
        Some(true) => (hit.not_granted.unwrap_or(0) == 0, format!(" ✓ exists{granted}")),
        Some(false) => (false, " ✕ does not exist".to_owned()),
        None => (true, format!(" ? may not be listed{granted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_told_as_there_missing_or_unknown() {
        let hit = |is_there, not_granted| Hit {
            environment: "rehearsal".parse().expect("a name"),
            is_here: true,
            namespace: Ok("e2e-rehearsal".to_owned()),
            is_there,
            not_granted,
        };

        let told = [
            (hit(Some(true), Some(0)), true, " ✓ exists, all that is needed is granted"),
            (hit(Some(true), Some(2)), false, " ✓ exists, 2 things are not granted"),
            (hit(Some(true), None), true, " ✓ exists"),
            (hit(Some(false), Some(0)), false, " ✕ does not exist"),
            (hit(None, None), true, " ? may not be listed"),
        ];
        for (hit, good, words) in told {
            assert_eq!(said(&hit), (good, words.to_owned()));
        }
    }
}
