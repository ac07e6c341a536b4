//! What a search found, and how far it looked.

use super::{
    filter::Wanted,
    line::{Whose, drawn},
};
use crate::format;
use domain::log::{LogFound, find::Needle};
use leptos::prelude::*;
use time::OffsetDateTime;

#[component]
pub(super) fn Found(found: LogFound, wanted: Wanted) -> impl IntoView {
    let needle = Needle::new(&wanted.words);
    let said = sentence(&found);
    let more = (found.matched > found.lines.len() as u64)
        .then(|| format!(" The newest {} are shown.", format::count(found.lines.len() as u64)));
    let lines = found
        .lines
        .iter()
        .filter_map(|(index, line)| {
            let instance = found.instances.get(usize::from(*index))?;
            let whose = Whose { name: instance.name.clone(), slot: instance.slot };
            Some(drawn(&whose, line, needle.as_ref()))
        })
        .collect_view();
    view! {
        <div class="said-of">
            <p role="status">
                {said} {more}
                {found
                    .cut_short
                    .then_some(" Not everything was looked at: the download has all of it.")}
            </p>
            <a class="button small" href=wanted.followed()>
                "Back to following"
            </a>
        </div>
        {found.trouble.map(|trouble| view! { <p class="notice warn">{trouble}</p> })}
        <div
            class="lines"
            tabindex="0"
            role="region"
            aria-label="Lines that were found, oldest first"
        >
            <ol>{lines}</ol>
        </div>
    }
}

/// "12 lines of 34,567 in 3 instances, back to 21 Nov 07:04:24 UTC."
fn sentence(found: &LogFound) -> String {
    let back_to = found
        .back_to_ns
        .and_then(|ns| OffsetDateTime::from_unix_timestamp_nanos(ns.into()).ok())
        .map(|at| format!(", back to {}", format::exact(at)))
        .unwrap_or_default();
    format!(
        "Found {} among {} of {}{back_to}.",
        format::counted(found.matched, "line", "lines"),
        format::count(found.searched),
        format::counted(found.instances.len() as u64, "instance", "instances"),
    )
}
