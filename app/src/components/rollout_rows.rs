//! Rollouts as a table, newest first: of a service, or of an environment. A list on a phone.

use super::when::Moment;
use crate::format;
use domain::{
    name::Name,
    rollout::{Kind, Phase},
    view::RolloutRow,
};
use leptos::prelude::*;

/// The table, or nothing where there is none. Each row may say of which project and service it is,
/// where the page does not.
#[component]
pub fn RolloutRows(rows: Vec<(Option<(Name, Name)>, RolloutRow)>) -> impl IntoView {
    if rows.is_empty() {
        return ().into_any();
    }
    let mixed = rows.iter().any(|(of, _)| of.is_some());
    view! {
        <section>
            <h2>"Rollouts"</h2>
            <table class="listed">
                <thead>
                    <tr>
                        <th scope="col">"Rollout"</th>
                        <th scope="col">{if mixed { "Service" } else { "Environment" }}</th>
                        <th scope="col">"Result"</th>
                        <th scope="col">"Requests"</th>
                        <th scope="col">"Asked by"</th>
                        <th scope="col" class="n">
                            "Took"
                        </th>
                        <th scope="col" class="n">
                            "Asked"
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|(of, row)| view! { <One of row /> }).collect_view()}
                </tbody>
            </table>
        </section>
    }
    .into_any()
}

#[component]
fn One(of: Option<(Name, Name)>, row: RolloutRow) -> impl IntoView {
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
            {match of {
                Some((project, service)) => {
                    let to = format!("/projects/{project}/services/{service}");
                    view! {
                        <td data-label="of">
                            <a href=to>{service.to_string()}</a>
                            <span class="faint">{format!(" {project}")}</span>
                        </td>
                    }
                        .into_any()
                }
                None => view! { <td data-label="in">{row.environment.to_string()}</td> }.into_any(),
            }}
            <td data-label="result">
                <span class=class>{word}</span>
            </td>
            <td data-label="requests">{traffic}</td>
            <td data-label="by">{row.by}</td>
            <td data-label="took" class="n">
                {took}
            </td>
            <td data-label="asked" class="n faint">
                <Moment at=row.asked_at />
            </td>
        </tr>
    }
}
