//! One line as it is drawn: its time, its instance, and its text with styles, fields and what was
//! found in it.

use crate::{
    components::written::{Cut, LONG, found, of_text},
    format,
};
use domain::{
    log::{
        LogLine, Source,
        fields::{self, Fields, Level},
        find::Needle,
    },
    slot::Slot,
};
use leptos::prelude::*;

/// Whose line it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whose {
    pub name: String,
    pub slot: Slot,
}

/// A line of an instance.
pub(super) fn drawn(whose: &Whose, line: &LogLine, needle: Option<&Needle>) -> AnyView {
    let at = line.at();
    let class = match whose.slot {
        Slot::Blue => "instance slot blue",
        Slot::Green => "instance slot green",
    };
    let is_long = line.text.len() > LONG;
    let fields = (line.left_out == 0).then(|| fields::read(&line.text)).flatten();
    let text = match fields {
        Some(fields) => of_fields(fields, needle),
        None => of_text(&line.text, needle),
    };
    view! {
        <li class:err=line.source == Source::Err>
            <time datetime=format::machine(at) title=format::exact(at)>
                {format::clock_ms(at)}
            </time>
            <span class=class title=whose.name.clone()>
                {whose.name.clone()}
            </span>
            <p class:long=is_long tabindex=is_long.then_some("0")>
                {(line.left_out > 0)
                    .then(|| {
                        view! {
                            <Cut bytes=line.left_out />
                            " "
                        }
                    })} {text}
            </p>
        </li>
    }
    .into_any()
}

/// That lines are missing here.
pub(super) fn gap(count: u64) -> AnyView {
    let lines = format::counted(count, "line", "lines");
    view! {
        <li class="gap">
            <p>
                {format!("{lines} not shown: they came faster than they can be read. ")}
                "A search and the download have them, as far as the machine does."
            </p>
        </li>
    }
    .into_any()
}

fn of_fields(fields: Fields, needle: Option<&Needle>) -> AnyView {
    let rest = fields
        .rest
        .into_iter()
        .map(|(key, value)| {
            view! {
                " "
                <span class="pair">
                    <span class="key">{found(&key, needle)}"="</span>
                    {found(&value, needle)}
                </span>
            }
        })
        .collect_view();
    let time = fields.time.map(|time| {
        view! {
            " "
            <span class="pair faint">
                <span class="key">"time="</span>
                {found(&time, needle)}
            </span>
        }
    });
    view! {
        {fields
            .level
            .map(|level| {
                view! {
                    <span class=level_class(level)>{level.as_str()}</span>
                    " "
                }
            })}
        {fields.message.map(|message| found(&message, needle))}
        {rest}
        {time}
    }
    .into_any()
}

const fn level_class(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "level faint",
        Level::Info => "level",
        Level::Warn => "level warn",
        Level::Error => "level bad",
    }
}
