//! Styles of a line: the few sequences that programs colour their output with. Everything else that
//! begins with an escape is shown as what it is, and steers nothing.

use super::text::ESCAPE;

/// Some of a line, in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub style: Style,
}

/// How it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of its own in the sequences.
pub struct Style {
    pub ink: Option<Colour>,
    pub paper: Option<Colour>,
    pub bold: bool,
    pub faint: bool,
    pub italic: bool,
    pub underline: bool,
}

/// The eight colours of a terminal. Bright ones are the same: pages choose the shade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Black,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    White,
}

impl Colour {
    const ALL: [Self; 8] = [
        Self::Black,
        Self::Red,
        Self::Green,
        Self::Yellow,
        Self::Blue,
        Self::Magenta,
        Self::Cyan,
        Self::White,
    ];

    /// The word in class names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Red => "red",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Blue => "blue",
            Self::Magenta => "magenta",
            Self::Cyan => "cyan",
            Self::White => "white",
        }
    }

    fn of_eight(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Of the 256: sixteen as they are, a cube of six, and greys.
    fn of_256(number: u16) -> Option<Self> {
        match number {
            0..=7 => Self::of_eight(number),
            8..=15 => Self::of_eight(number - 8),
            16..=231 => {
                let level = |part: u16| (part % 6) * 51;
                let cube = number - 16;
                Some(Self::of_light(level(cube / 36), level(cube / 6), level(cube)))
            }
            232..=243 => Some(Self::Black),
            244..=255 => Some(Self::White),
            _ => None,
        }
    }

    /// The nearest of the eight: each part of the light is on or off, by half of the strongest.
    fn of_light(red: u16, green: u16, blue: u16) -> Self {
        let strongest = red.max(green).max(blue);
        if strongest < 64 {
            return Self::Black;
        }
        let on = |part: u16| usize::from(part * 2 > strongest);
        Self::ALL[on(red) + 2 * on(green) + 4 * on(blue)]
    }
}

/// The spans of a line, without empty ones. A style ends with its line.
#[must_use]
pub fn spans(line: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut style = Style::default();
    let mut rest = line;
    while let Some(at) = rest.find(ESCAPE) {
        push(&mut spans, &rest[..at], style);
        let after = &rest[at + ESCAPE.len_utf8()..];
        match styles(after) {
            Some((parameters, behind)) => {
                apply(&mut style, parameters);
                rest = behind;
            }
            None => {
                push(&mut spans, "\\e", style);
                rest = after;
            }
        }
    }
    push(&mut spans, rest, style);
    spans
}

/// The line without its styles, for a file or a search.
#[must_use]
pub fn without_styles(line: &str) -> String {
    if !line.contains(ESCAPE) {
        return line.to_owned();
    }
    spans(line).into_iter().map(|span| span.text).collect()
}

fn push(spans: &mut Vec<Span>, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.style == style => last.text.push_str(text),
        _ => spans.push(Span { text: text.to_owned(), style }),
    }
}

/// The parameters of `[…m` and what is behind it. `None`: that is no sequence of styles.
fn styles(after: &str) -> Option<(&str, &str)> {
    let body = after.strip_prefix('[')?;
    let end = body.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    let behind = body[end..].strip_prefix('m')?;
    Some((&body[..end], behind))
}

fn apply(style: &mut Style, parameters: &str) {
    // A number that is none of ours changes nothing; an empty one is a zero.
    let mut numbers = parameters
        .split([';', ':'])
        .map(|word| if word.is_empty() { Some(0) } else { word.parse().ok() });
    while let Some(number) = numbers.next() {
        match number {
            Some(0) => *style = Style::default(),
            Some(1) => style.bold = true,
            Some(2) => style.faint = true,
            Some(3) => style.italic = true,
            Some(4) => style.underline = true,
            Some(22) => (style.bold, style.faint) = (false, false),
            Some(23) => style.italic = false,
            Some(24) => style.underline = false,
            // What is printed as the other way round stands out all the same.
            Some(7) => style.bold = true,
            Some(27) => style.bold = false,
            Some(number @ 30..=37) => style.ink = Colour::of_eight(number - 30),
            Some(number @ 90..=97) => style.ink = Colour::of_eight(number - 90),
            Some(39) => style.ink = None,
            Some(number @ 40..=47) => style.paper = Colour::of_eight(number - 40),
            Some(number @ 100..=107) => style.paper = Colour::of_eight(number - 100),
            Some(49) => style.paper = None,
            Some(38) => style.ink = extended(&mut numbers).or(style.ink),
            Some(48) => style.paper = extended(&mut numbers).or(style.paper),
            Some(_) | None => {}
        }
    }
}

/// `5;N` or `2;R;G;B`.
fn extended(numbers: &mut impl Iterator<Item = Option<u16>>) -> Option<Colour> {
    match numbers.next()?? {
        5 => Colour::of_256(numbers.next()??),
        2 => {
            let mut part = || numbers.next().flatten().map(|part: u16| part.min(255));
            Some(Colour::of_light(part()?, part()?, part()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Vec<(String, Style)> {
        spans(line).into_iter().map(|span| (span.text, span.style)).collect()
    }

    fn ink(colour: Colour) -> Style {
        Style { ink: Some(colour), ..Style::default() }
    }

    #[test]
    fn colours_and_weights_are_read() {
        let plain = Style::default();
        assert_eq!(said("plain"), [("plain".to_owned(), plain)]);
        assert_eq!(
            said("\u{1b}[1;31mERROR\u{1b}[0m: no"),
            [
                ("ERROR".to_owned(), Style { bold: true, ..ink(Colour::Red) }),
                (": no".to_owned(), plain),
            ]
        );
        assert_eq!(said("\u{1b}[38;5;196mr\u{1b}[39md")[0].1, ink(Colour::Red));
        assert_eq!(said("\u{1b}[38;2;20;200;30mg")[0].1, ink(Colour::Green));
        assert_eq!(said("\u{1b}[92mg")[0].1, ink(Colour::Green));
        assert_eq!(said("\u{1b}[41m\u{1b}[mx"), [("x".to_owned(), plain)]);
    }

    #[test]
    fn what_is_no_style_is_shown_and_steers_nothing() {
        let text = |line: &str| without_styles(line);

        assert_eq!(text("\u{1b}[2Jgone"), "\\e[2Jgone");
        assert_eq!(text("\u{1b}]0;title\\x07"), "\\e]0;title\\x07");
        assert_eq!(text("\u{1b}"), "\\e");
        assert_eq!(text("\u{1b}[3"), "\\e[3");
        assert_eq!(text("\u{1b}[99999999999m\u{1b}[38;5mx"), "x");
    }

    #[test]
    fn whatever_comes_no_text_is_lost_and_no_escape_is_left() {
        let parts =
            ["\u{1b}", "[", "3", "1", "m", ";", "38", "5", "2", ":", "é", "J", "\\x07", "0"];
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let line: String = (0..12)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    parts[(seed >> 16) as usize % parts.len()]
                })
                .collect();

            let text = without_styles(&line);

            assert!(!text.contains(ESCAPE), "{line:?}");
            let letters = |text: &str| text.matches('é').count();
            assert_eq!(letters(&text), letters(&line), "{line:?}");
            assert!(spans(&line).iter().all(|span| !span.text.is_empty()));
        }
    }
}
