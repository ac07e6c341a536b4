//! What a search in a build's log found.

use super::{address::Wanted, log::Find};
use crate::{
    components::written::{Cut, LONG, of_text},
    format,
};
use domain::{
    build::{BuildStep, log::BuildLog},
    log::find::Needle,
};
use leptos::prelude::*;

#[component]
pub(super) fn Found(log: BuildLog, steps: Vec<BuildStep>, wanted: Wanted) -> impl IntoView {
    let needle = Needle::new(&wanted.words);
    let followed = wanted.home();
    let matched = log.matched.unwrap_or(log.lines.len() as u64);
    let more = (matched > log.lines.len() as u64)
        .then(|| format!(" The newest {} are shown.", format::count(log.lines.len() as u64)));
    let said = format!(
        "Found {} among {}.",
        format::counted(matched, "line", "lines"),
        format::count(log.written.saturating_sub(log.left_out)),
    );
    let lines = log
        .lines
        .iter()
        .map(|line| {
            let at = line.line.at();
            let step = steps.iter().find(|step| Some(step.number) == line.step);
            let of = step.map(|step| step.name.clone()).unwrap_or_default();
            let is_long = line.line.text.len() > LONG;
            view! {
                <li>
                    <time datetime=format::machine(at) title=format::exact(at)>
                        {format::clock_ms(at)}
                    </time>
                    <span class="of-step" title=of.clone()>
                        {of.clone()}
                    </span>
                    <p class:long=is_long tabindex=is_long.then_some("0")>
                        {(line.line.left_out > 0)
                            .then(|| view! { <Cut bytes=line.line.left_out /> })}
                        {of_text(&line.line.text, needle.as_ref())}
                    </p>
                </li>
            }
        })
        .collect_view();
    view! {
        <div class="said-of">
            <p role="status">{said} {more}</p>
            <a class="button small" href=followed>
                "Back to the whole log"
            </a>
            <span class="spacer"></span>
            <Find wanted />
        </div>
        <div
            class="steps-log lines found"
            tabindex="0"
            role="region"
            aria-label="Lines that were found, oldest first"
        >
            <ol>{lines}</ol>
        </div>
    }
}
