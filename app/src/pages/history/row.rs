//! A row of the history: a sentence that opens to what was before and after, and where it came from.

use crate::{
    components::{agent::browser, diff::Diff, rows::Say, when::Moment},
    format,
};
use domain::{
    history::{Origin, sentence::Tone},
    view::HistoryRow,
};
use leptos::prelude::*;

/// A row, closed at first. It opens without scripts.
#[component]
pub(super) fn OneRow(row: HistoryRow) -> impl IntoView {
    let HistoryRow { row, role, origin, changes, reason, hash } = row;
    let tone = match row.tone {
        Tone::Quiet => "",
        Tone::Amber => "amber",
        Tone::Red => "red",
    };
    let number = format::count(row.number.unsigned_abs());
    view! {
        <li id=format!("row-{}", row.number)>
            <details class="entry">
                <summary>
                    <span class="when mono">
                        <Moment at=row.at />
                    </span>
                    <span class="say">
                        <Say sentence=row.sentence />
                    </span>
                    <span class="where">{row.environment}</span>
                    <span class="result">
                        <span class=tone>{row.result}</span>
                    </span>
                    <span class="number mono n">{number}</span>
                </summary>
                <div class="opened">
                    {(!changes.is_empty()).then(|| view! { <Diff changes /> })}
                    {reason.map(|reason| view! { <p class="reason">"“" {reason} "”"</p> })}
                    <dl class="meta">
                        <div>
                            <dt>"at"</dt>
                            <dd>{format::exact(row.at)}</dd>
                        </div>
                        {role.map(|role| view! { <Fact name="as" value=role /> })}
                        {origin.map(|origin| view! { <From origin /> })}
                        {row
                            .rollout
                            .map(|rollout| {
                                view! {
                                    <div>
                                        <dt>"rollout"</dt>
                                        <dd>
                                            <a class="mono" href=format!("/rollouts/{rollout}")>
                                                {rollout.short()}
                                            </a>
                                        </dd>
                                    </div>
                                }
                            })}
                        <Fact name="hash" value=hash mono=true />
                    </dl>
                </div>
            </details>
        </li>
    }
}

#[component]
fn From(origin: Origin) -> impl IntoView {
    let Origin { request, address, agent } = origin;
    view! {
        <div>
            <dt>"from"</dt>
            <dd title=agent.clone()>{address} ", " {browser(&agent)}</dd>
        </div>
        <Fact name="request" value=request mono=true />
    }
}

#[component]
fn Fact(name: &'static str, value: String, #[prop(optional)] mono: bool) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd class:mono=mono class="wrap">
                {value}
            </dd>
        </div>
    }
}
