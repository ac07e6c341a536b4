//! Rows of the history as sentences, the way every page tells them.

use super::when::{Ago, At};
use domain::{
    history::sentence::{Sentence, Tone, Word},
    live::Row,
};
use leptos::prelude::*;

/// A sentence with its weight.
#[component]
pub fn Say(sentence: Sentence) -> impl IntoView {
    sentence
        .0
        .into_iter()
        // An empty word would be drawn as a space.
        .filter(|(Word::Plain(text) | Word::Strong(text) | Word::Term(text))| !text.is_empty())
        .map(|word| match word {
            Word::Plain(text) => view! { <span>{text}</span> }.into_any(),
            Word::Strong(text) => view! { <b>{text}</b> }.into_any(),
            Word::Term(text) => view! { <em>{text}</em> }.into_any(),
        })
        .collect_view()
}

/// What happened last, newest first, each with the environment and how long ago. Of the phases of a
/// rollout only the newest is news.
#[component]
pub fn Feed(rows: Vec<Row>) -> impl IntoView {
    view! {
        <ol class="feed">
            {newest_phases(rows)
                .into_iter()
                .map(|row| {
                    let said = row.sentence.to_text();
                    let place = row
                        .environment
                        .filter(|environment| !said.contains(environment.as_str()))
                        .map(|environment| format!(" · {environment}"));
                    let words = view! {
                        <Say sentence=row.sentence />
                        {place}
                    };
                    view! {
                        <li class=tone_class(row.tone)>
                            <Ago at=row.at />
                            <p>
                                {match row.rollout {
                                    Some(rollout) => {
                                        view! {
                                            <a href=format!("/rollouts/{rollout}")>{words}</a>
                                        }
                                            .into_any()
                                    }
                                    None => words.into_any(),
                                }}
                            </p>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
}

fn newest_phases(rows: Vec<Row>) -> Vec<Row> {
    let mut told = Vec::new();
    rows.into_iter()
        .filter(|row| match (row.rollout, row.phase) {
            (Some(rollout), Some(_)) if told.contains(&rollout) => false,
            (Some(rollout), Some(_)) => {
                told.push(rollout);
                true
            }
            _ => true,
        })
        .collect()
}

/// The rows of one thing with their exact times, newest first, like a log.
#[component]
pub fn Events(rows: Vec<Row>) -> impl IntoView {
    view! {
        <ol class="log" tabindex="0" aria-label="Events, newest first">
            {rows
                .into_iter()
                .rev()
                .map(|row| {
                    view! {
                        <li class=tone_class(row.tone)>
                            <At at=row.at exactly=true />
                            <span class="result">{row.result}</span>
                            <p>
                                <Say sentence=row.sentence />
                            </p>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
}

const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Quiet => "",
        Tone::Amber => "warn",
        Tone::Red => "bad",
    }
}
