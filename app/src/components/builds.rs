//! What every page says of a build: what it is of, how it stands, how long it takes.

use super::when::Moment;
use crate::{
    clock::{Clock, clock, ms},
    format,
};
use domain::build::{Phase, view::BuildRow};
use leptos::prelude::*;

/// "build 12".
#[must_use]
pub fn named(row: &BuildRow) -> String {
    format!("build {}", row.number)
}

/// The first digits of a commit, as people say it.
#[must_use]
pub fn short(commit: &str) -> String {
    commit.chars().take(8).collect()
}

/// The word of a phase, with the mark that says how well it is.
#[must_use]
pub const fn outcome(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Queued => ("outcome waits", "waits"),
        Phase::Fetching => ("outcome runs", "fetching"),
        Phase::Building => ("outcome runs", "building"),
        Phase::Pushing => ("outcome runs", "pushing"),
        Phase::Succeeded => ("outcome good", "succeeded"),
        Phase::Failed => ("outcome bad", "failed"),
        Phase::Cancelled => ("outcome stopped", "cancelled"),
        Phase::Interrupted => ("outcome lost", "interrupted"),
    }
}

/// How it stands or ended.
#[component]
pub fn Outcome(phase: Phase) -> impl IntoView {
    let (class, word) = outcome(phase);
    view! { <span class=class>{word}</span> }
}

/// Where it waits: "next", "3 before it".
#[must_use]
pub fn place(row: &BuildRow) -> String {
    match row.before_it {
        Some(0) | None => "it is next".to_owned(),
        Some(before) => format!("{} before it", format::counted(before.into(), "build", "builds")),
    }
}

/// The branch, tag or commit that was asked for, and the commit that it was.
#[component]
pub fn Refs(row: BuildRow) -> impl IntoView {
    // Who asked for a commit by its digits is not told them twice.
    let commit = row.commit.as_deref().filter(|commit| !commit.starts_with(&row.asked));
    let name = row.asked.strip_prefix("refs/heads/");
    let name = name.or_else(|| row.asked.strip_prefix("refs/tags/")).unwrap_or(&row.asked);
    let asked = match (commit, &row.commit) {
        (None, Some(_)) => short(name),
        _ => name.to_owned(),
    };
    view! {
        <span class="refs">
            <span class="mono">{asked}</span>
            {commit
                .map(|commit| {
                    view! {
                        <span class="mono faint" title=commit.to_owned()>
                            {short(commit)}
                        </span>
                    }
                })}
        </span>
    }
}

/// How long it took, or has taken by now; nothing while it waits.
pub fn took(row: &BuildRow, clock: Clock) -> Option<i64> {
    let started = ms(row.started_at?);
    let ended = row.ended_at.map_or_else(|| clock.now_ms(), ms);
    Some((ended - started).max(0))
}

/// The same, counted while one looks.
#[component]
pub fn Took(row: BuildRow) -> impl IntoView {
    let clock = clock();
    move || match took(&row, clock) {
        None => "–".to_owned(),
        Some(taken) if row.ended_at.is_none() => format::seconds(taken),
        Some(taken) => format::duration(taken),
    }
}

/// "5 of 7", or a dash where there were no steps.
#[must_use]
pub fn cached(row: &BuildRow) -> String {
    match row.count.steps {
        0 => "–".to_owned(),
        steps => format!("{} of {steps}", row.count.cached),
    }
}

/// Its image's size, marked where it is over the budget.
#[component]
pub fn Size(row: BuildRow) -> impl IntoView {
    let over = row.is_over();
    let title = format!("over the budget of {}", format::bytes(row.size_budget_bytes));
    let budget = format!("over the budget of {}", format::bytes(row.size_budget_bytes));
    match row.size_bytes {
        None => "–".into_any(),
        Some(size) if over => view! {
            <span class="amber" title=title>
                "▲ "
                {format::bytes(size)}
                <span class="unseen">", " {budget}</span>
            </span>
        }
        .into_any(),
        Some(size) => format::bytes(size).into_any(),
    }
}

/// Builds that ended, newest first. A table that becomes a list on a phone.
#[component]
pub fn BuildTable(
    rows: Vec<BuildRow>,
    /// The page is of one service: its name goes without saying.
    #[prop(optional)]
    of_one: bool,
) -> impl IntoView {
    view! {
        <table class="listed builds">
            <caption class="unseen">"Builds, the newest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"Build"</th>
                    <th scope="col">"Of"</th>
                    <th scope="col">"Result"</th>
                    <th scope="col">"Release"</th>
                    <th scope="col">"Asked by"</th>
                    <th scope="col" class="n">"Took"</th>
                    <th scope="col" class="n">"Cached"</th>
                    <th scope="col" class="n">"Size"</th>
                    <th scope="col" class="n">"Asked"</th>
                </tr>
            </thead>
            <tbody>
                {rows
                    .into_iter()
                    .map(|row| view! { <TableRow row of_one /> })
                    .collect_view()}
            </tbody>
        </table>
    }
}

#[component]
fn TableRow(row: BuildRow, of_one: bool) -> impl IntoView {
    let home = format!("/builds/{}", row.id);
    let name = if of_one { named(&row) } else { format!("{} {}", row.service, row.number) };
    let why = row.ending.clone().filter(|_| row.phase == Phase::Failed);
    view! {
        <tr>
            <th scope="row">
                <a class="v" href=home>
                    {name}
                </a>
            </th>
            <td data-label="of">
                <div>
                    <Refs row=row.clone() />
                    {row.subject.clone().map(|said| view! { <p class="subject">{said}</p> })}
                </div>
            </td>
            <td data-label="result">
                <div>
                    <Outcome phase=row.phase />
                    {why
                        .map(|ending| {
                            let said = ending.step.unwrap_or(ending.why);
                            view! { <p class="why">{said}</p> }
                        })}
                </div>
            </td>
            <td data-label="release">
                {match row.release.clone() {
                    Some(release) => {
                        view! {
                            <a class="mono" href=format!("/releases/{}", release.id)>
                                {release.name}
                            </a>
                        }
                            .into_any()
                    }
                    None => "–".into_any(),
                }}
            </td>
            <td data-label="by">{row.by.clone()}</td>
            <td data-label="took" class="n">
                <Took row=row.clone() />
            </td>
            <td data-label="cached" class="n">
                {cached(&row)}
            </td>
            <td data-label="size" class="n">
                <Size row=row.clone() />
            </td>
            <td data-label="asked" class="n faint">
                <Moment at=row.asked_at />
            </td>
        </tr>
    }
}
