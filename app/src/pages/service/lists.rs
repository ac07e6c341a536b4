//! The releases of a service and its last rollouts. Tables that become lists on a phone.

use crate::{
    components::when::{Ago, Moment},
    format,
};
use domain::{
    rollout::{Kind, Phase},
    view::{ReleaseRow, RolloutRow},
};
use leptos::prelude::*;

/// Newest first.
#[component]
pub fn Releases(releases: Vec<ReleaseRow>) -> impl IntoView {
    if releases.is_empty() {
        return ().into_any();
    }
    view! {
        <section>
            <h2>"Releases"</h2>
            <table class="listed">
                <thead>
                    <tr>
                        <th scope="col">"Release"</th>
                        <th scope="col">"Live in"</th>
                        <th scope="col">"Image"</th>
                        <th scope="col">"Made by"</th>
                        <th scope="col" class="n">"Made"</th>
                    </tr>
                </thead>
                <tbody>
                    {releases
                        .into_iter()
                        .map(|row| {
                            let live = if row.live_in.is_empty() {
                                "–".to_owned()
                            } else {
                                row.live_in.join(", ")
                            };
                            view! {
                                <tr>
                                    <th scope="row">
                                        <a class="mono v" href=format!("/releases/{}", row.release.id)>
                                            {row.release.name}
                                        </a>
                                    </th>
                                    <td data-label="live in">{live}</td>
                                    <td data-label="image">
                                        <div>
                                            <span class="mono" title=row.image.clone()>
                                                {row.reference}
                                            </span>
                                            " "
                                            <span class="mono faint">{format::image(&row.image)}</span>
                                        </div>
                                    </td>
                                    <td data-label="by">{row.by}</td>
                                    <td data-label="made" class="n faint">
                                        <Ago at=row.made_at />
                                    </td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </section>
    }
    .into_any()
}

/// Newest first.
#[component]
pub fn Rollouts(rollouts: Vec<RolloutRow>) -> impl IntoView {
    if rollouts.is_empty() {
        return ().into_any();
    }
    view! {
        <section>
            <h2>"Rollouts"</h2>
            <table class="listed">
                <thead>
                    <tr>
                        <th scope="col">"Rollout"</th>
                        <th scope="col">"Environment"</th>
                        <th scope="col">"Result"</th>
                        <th scope="col">"Requests"</th>
                        <th scope="col">"Asked by"</th>
                        <th scope="col" class="n">"Took"</th>
                        <th scope="col" class="n">"Asked"</th>
                    </tr>
                </thead>
                <tbody>{rollouts.into_iter().map(rollout_row).collect_view()}</tbody>
            </table>
        </section>
    }
    .into_any()
}

fn rollout_row(row: RolloutRow) -> impl IntoView {
    let what = match row.kind {
        Kind::Deploy => "deploy ",
        Kind::Rollback => "back to ",
        Kind::Remove => "remove ",
    };
    let (class, word) = match row.phase {
        _ if row.errored => ("bad", "needs a person"),
        Phase::Failed => ("bad", "failed"),
        Phase::RolledBack => ("bad", "rolled back"),
        Phase::Aborted => ("flag", "aborted"),
        other => ("", other.as_words()),
    };
    let traffic = if row.requests == 0 {
        "–".to_owned()
    } else {
        format!("{} of {} failed", format::count(row.failures), format::count(row.requests))
    };
    let took = row.ended_at.map_or_else(
        || "–".to_owned(),
        |at| format::duration(crate::clock::ms(at) - crate::clock::ms(row.asked_at)),
    );
    view! {
        <tr>
            <th scope="row">
                <a href=format!("/rollouts/{}", row.id)>
                    {what} <span class="mono v">{row.release.name}</span>
                </a>
            </th>
            <td data-label="in">{row.environment.to_string()}</td>
            <td data-label="result">
                <span class=class>{word}</span>
            </td>
            <td data-label="requests">{traffic}</td>
            <td data-label="by">{row.by}</td>
            <td data-label="took" class="n">{took}</td>
            <td data-label="asked" class="n faint">
                <Moment at=row.asked_at />
            </td>
        </tr>
    }
}
