//! A row of the history: a sentence that opens to what was before and after, and where it came from.

use crate::{
    components::{diff::Diff, rows::Say, when::Moment},
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
                    <span class="where">{row.environment.unwrap_or_default()}</span>
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

/// The browser's name in what it calls itself; the whole is a hover away.
fn browser(agent: &str) -> String {
    // In this order: each of the later ones is named by the earlier ones, too.
    const KNOWN: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let known = KNOWN.into_iter().find(|(mark, _)| agent.contains(mark));
    match known {
        Some((_, name)) => name.to_owned(),
        None => agent.chars().take(24).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn a_browser_is_called_by_its_own_name() {
        let chrome = "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome");
        assert_eq!(browser(&format!("{chrome} Edg/156")), "Edge");
        assert_eq!(browser("pilothouse-cli/0.1"), "pilothouse-cli/0.1");
    }
}
