//! Who did what: rows as sentences, filtered by the address, proven, taken away.

mod filter;
mod row;
mod seal;

use crate::{api::history, components::loaded::Loaded};
use domain::view::{HistoryFilter, HistoryPage as View};
use filter::{Chips, Wanted, export, query_of, read};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Redirect, hooks::use_query_map};
use row::OneRow;
use seal::Seal;

/// The page.
#[component]
pub fn HistoryPage() -> impl IntoView {
    let query = use_query_map();
    // A form sends its empty fields too. The address that is sent on, and bookmarked, is without.
    let asked = query.get_untracked();
    if asked.into_iter().any(|(_, word)| word.is_empty()) {
        let path = format!("/history{}", query_of(&read(&query.get_untracked())));
        return view! { <Redirect path /> }.into_any();
    }
    let page = Resource::new_blocking(move || read(&query.read()), history::history);
    view! {
        <Title text="History" />
        <Loaded page draw=|view: View| view! { <Draw view /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Draw(view: View) -> impl IntoView {
    let View { filter, rows, older, proven, protected_by_grants, may_prove, .. } = view.clone();
    let is_filtered = filter != HistoryFilter { before: filter.before, ..HistoryFilter::default() };
    let back = (filter.before.is_some())
        .then(|| query_of(&HistoryFilter { before: None, ..filter.clone() }));
    let onward =
        older.map(|older| query_of(&HistoryFilter { before: Some(older), ..filter.clone() }));
    view! {
        <div class="head">
            <h1>"History"</h1>
            <Seal proven protected_by_grants may_prove />
        </div>
        <div class="filters">
            <Chips filter=filter.clone() />
            <Wanted view />
            {may_prove
                .then(|| {
                    view! {
                        <span class="take">
                            <a
                                class="button small"
                                href=export("csv", &filter)
                                download=""
                                rel="external"
                            >
                                "CSV"
                            </a>
                            <a
                                class="button small"
                                href=export("jsonl", &filter)
                                download=""
                                rel="external"
                            >
                                "JSON Lines"
                            </a>
                        </span>
                    }
                })}
        </div>
        {if rows.is_empty() {
            view! {
                <div class="empty">
                    <h2>"No rows"</h2>
                    <p>
                        {if is_filtered {
                            "Nothing in the history is like this. Take one of the filters away."
                        } else {
                            "Nothing has happened yet that you may read."
                        }}
                    </p>
                    {is_filtered
                        .then(|| {
                            view! {
                                <a class="button" href="/history">
                                    "Show everything"
                                </a>
                            }
                        })}
                </div>
            }
                .into_any()
        } else {
            view! {
                <div class="heads" aria-hidden="true">
                    <span>"When"</span>
                    <span>"What"</span>
                    <span>"Where"</span>
                    <span>"Result"</span>
                    <span class="n">"Row"</span>
                </div>
                <ol class="history" aria-label="Rows, newest first">
                    {rows.into_iter().map(|row| view! { <OneRow row /> }).collect_view()}
                </ol>
            }
                .into_any()
        }}
        <nav class="pager" aria-label="Older and newer rows">
            {back
                .map(|query| {
                    view! {
                        <a class="button small" href=format!("/history{query}")>
                            "Newest"
                        </a>
                    }
                })}
            {onward
                .map(|query| {
                    view! {
                        <a class="button small" rel="next" href=format!("/history{query}")>
                            "Older rows"
                        </a>
                    }
                })}
        </nav>
    }
}
