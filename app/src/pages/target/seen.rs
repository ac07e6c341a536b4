//! What a cluster said when it was asked: what is there, what is granted, and the role that would do.

use crate::{
    api::Answer,
    components::{gates::Findings, loaded::Awaited},
};
use domain::{
    target::cluster::{ClusterSeen, Need},
    view::{InquiryAnswer, InquiryPage},
};
use leptos::prelude::*;

/// The answer, the refusal, or that it still waits; nothing where nothing was asked.
#[component]
pub fn There(inquiry: Resource<Answer<Option<InquiryPage>>>) -> impl IntoView {
    // An inquiry that is not there is one that has expired.
    let draw = |found: Answer<Option<InquiryPage>>| match found.ok().flatten().map(|it| it.answer) {
        None => ().into_any(),
        Some(InquiryAnswer::Cluster(seen)) => view! { <Seen seen=*seen /> }.into_any(),
        Some(InquiryAnswer::Refused { why }) => {
            view! { <p class="amber" role="alert">{why}</p> }.into_any()
        }
        Some(InquiryAnswer::Waiting) => view! {
            <p class="soft" role="status">
                "The cluster is asked … " <a href="">"Look again"</a>
            </p>
        }
        .into_any(),
        Some(_) => view! { <p class="soft">"The answer is too old: ask again."</p> }.into_any(),
    };
    view! { <Awaited of=inquiry draw /> }
}

#[component]
fn Seen(seen: ClusterSeen) -> impl IntoView {
    let ClusterSeen { summary, namespaces, findings, needs, role, .. } = seen;
    let missing = needs.iter().filter(|need| !need.missing.is_empty()).count();
    let namespaces = match namespaces {
        None => "they may not be listed with these credentials".to_owned(),
        Some(names) => names.join(", "),
    };
    let granted = match (needs.len(), missing) {
        (0, _) => None,
        (_, 0) => Some("✓ All that is needed is granted.".to_owned()),
        (all, missing) => Some(format!(
            "{missing} of {all} things are not granted. The rest works; the table says what does \
             not."
        )),
    };
    let role = (!role.is_empty()).then(|| {
        view! {
            <details open=missing != 0>
                <summary>"The smallest role that would do"</summary>
                <pre class="mono" tabindex="0" aria-label="Role and binding">
                    {role}
                </pre>
            </details>
        }
    });
    view! {
        <p>{summary}</p>
        <p class="soft">"Namespaces: " <span class="mono wrap">{namespaces}</span></p>
        <Findings findings />
        {granted.map(|granted| view! { <p class:amber=missing != 0>{granted}</p> })}
        {(!needs.is_empty()).then(|| view! { <Needs needs /> })}
        {role}
    }
}

#[component]
fn Needs(needs: Vec<Need>) -> impl IntoView {
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="What is needed and granted">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Namespace"</th>
                        <th scope="col">"What"</th>
                        <th scope="col">"Granted"</th>
                    </tr>
                </thead>
                <tbody>
                    {needs.into_iter().map(|need| view! { <One need /> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
}

#[component]
fn One(need: Need) -> impl IntoView {
    let Need { namespace, on, verbs, missing, what_for, without, optional } = need;
    let said = if missing.is_empty() {
        view! { "✓ yes" }.into_any()
    } else {
        let sign = if optional { "! not " } else { "✕ not " };
        view! {
            <span class="amber">{sign} {missing.join(", ")} ": " {without}</span>
        }
        .into_any()
    };
    view! {
        <tr>
            <td class="mono">{namespace.unwrap_or_else(|| "the whole cluster".to_owned())}</td>
            <td>
                <span class="mono">{on}</span> " " <span class="soft">{verbs.join(", ")}</span>
                <p class="faint">{what_for}</p>
            </td>
            <td>{said}</td>
        </tr>
    }
}
