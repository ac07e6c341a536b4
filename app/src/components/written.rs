//! What a program wrote, as it is drawn: with its styles, and with what was found in it. All of it is
//! text; nothing that was written becomes markup.

use crate::format;
use domain::log::{
    ansi::{Style, spans},
    cut::GIVEN_UP,
    find::Needle,
};
use leptos::prelude::*;

/// A line of more bytes than this scrolls by itself, so that those around it stay in sight.
pub const LONG: usize = 2000;

/// That a line was too long, and by how much.
#[component]
pub fn Cut(bytes: u64) -> impl IntoView {
    let least = if bytes >= GIVEN_UP { "at least " } else { "" };
    let said = format!("cut: {least}{} more", format::counted(bytes, "byte", "bytes"));
    view! { <span class="cut">{said}</span> }
}

/// A line with its styles.
pub fn of_text(text: &str, needle: Option<&Needle>) -> AnyView {
    spans(text)
        .into_iter()
        .map(|span| match class_of(span.style) {
            class if class.is_empty() => found(&span.text, needle),
            class => view! { <span class=class>{found(&span.text, needle)}</span> }.into_any(),
        })
        .collect_view()
        .into_any()
}

/// Text with what was found marked in it.
pub fn found(text: &str, needle: Option<&Needle>) -> AnyView {
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
