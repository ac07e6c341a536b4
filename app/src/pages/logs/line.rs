//! One line as it is drawn: its time, its instance, and its text with styles, fields and what was
//! found in it. All of it is text; nothing that was written becomes markup.

use crate::format;
use domain::{
    log::{
        LogLine, Source,
        ansi::{Style, spans},
        cut::GIVEN_UP,
        fields::{self, Fields, Level},
        find::Needle,
    },
    slot::Slot,
};
use leptos::prelude::*;

/// A line of more bytes than this scrolls by itself, so that those around it stay in sight.
const LONG: usize = 2000;

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

#[component]
fn Cut(bytes: u64) -> impl IntoView {
    let least = if bytes >= GIVEN_UP { "at least " } else { "" };
    let said = format!("cut: {least}{} more", format::counted(bytes, "byte", "bytes"));
    view! { <span class="cut">{said}</span> }
}

fn of_text(text: &str, needle: Option<&Needle>) -> AnyView {
    spans(text)
        .into_iter()
        .map(|span| match class_of(span.style) {
            class if class.is_empty() => found(&span.text, needle),
            class => view! { <span class=class>{found(&span.text, needle)}</span> }.into_any(),
        })
        .collect_view()
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

/// Text with what was found marked in it.
fn found(text: &str, needle: Option<&Needle>) -> AnyView {
    let places = needle.map(|needle| needle.places(text)).unwrap_or_default();
    if places.is_empty() {
        return text.to_owned().into_any();
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for (begin, end) in places {
        parts.push(text[from..begin].to_owned().into_any());
        parts.push(view! { <mark>{text[begin..end].to_owned()}</mark> }.into_any());
        from = end;
    }
    parts.push(text[from..].to_owned().into_any());
    parts.collect_view().into_any()
}

/// Class names of our own words only.
fn class_of(style: Style) -> String {
    let Style { ink, paper, bold, faint, italic, underline } = style;
    let colours = [("ink-", ink), ("on-", paper)]
        .into_iter()
        .filter_map(|(what, colour)| Some(format!("{what}{}", colour?.as_str())));
    let weights = [(bold, "bold"), (faint, "faint"), (italic, "italic"), (underline, "underlined")]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| name.to_owned());
    colours.chain(weights).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::ansi::Colour;

    #[test]
    fn a_style_is_class_names() {
        let style = Style {
            ink: Some(Colour::Red),
            paper: Some(Colour::White),
            bold: true,
            ..Style::default()
        };
        assert_eq!(class_of(style), "ink-red on-white bold");
        assert_eq!(class_of(Style::default()), "");
    }
}
