//! Finding words in lines: without regard to case, in what is read and not in its styles.

use super::{LogLine, ansi::without_styles, text::ESCAPE};

/// The longest that is searched for.
pub const LONGEST: usize = 200;

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(Vec<char>);

impl Needle {
    /// `None`: nothing is searched for. What is longer than [`LONGEST`] is cut.
    #[must_use]
    pub fn new(words: &str) -> Option<Self> {
        let words: Vec<char> = words.trim().chars().take(LONGEST).map(folded).collect();
        (!words.is_empty()).then_some(Self(words))
    }

    /// Whether it is in a line.
    #[must_use]
    pub fn is_in(&self, line: &LogLine) -> bool {
        // Most lines are plain, and there are many of them.
        if line.text.is_ascii() && !line.text.contains(ESCAPE) {
            let folded = line.text.to_ascii_lowercase();
            let words: String = self.0.iter().collect();
            return folded.contains(&words);
        }
        !self.places(&without_styles(&line.text)).is_empty()
    }

    /// Where it is in `text`, as ranges of bytes that do not overlap.
    #[must_use]
    pub fn places(&self, text: &str) -> Vec<(usize, usize)> {
        let chars: Vec<(usize, char)> =
            text.char_indices().map(|(at, c)| (at, folded(c))).collect();
        let mut found = Vec::new();
        let mut from = 0;
        while from + self.0.len() <= chars.len() {
            let window = &chars[from..from + self.0.len()];
            if window.iter().map(|(_, c)| c).eq(&self.0) {
                let end = chars.get(from + self.0.len()).map_or(text.len(), |(at, _)| *at);
                found.push((window[0].0, end));
                from += self.0.len();
            } else {
                from += 1;
            }
        }
        found
    }
}

/// One character for one, so that places in the folded text are places in the text.
fn folded(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Source;

    fn places(words: &str, text: &str) -> Vec<String> {
        let needle = Needle::new(words).unwrap();
        needle.places(text).into_iter().map(|(from, to)| text[from..to].to_owned()).collect()
    }

    #[test]
    fn words_are_found_whatever_their_case_and_never_through_a_character() {
        assert_eq!(places("error", "Error: no ERRORS"), ["Error", "ERROR"]);
        assert_eq!(places("grüß", "GRÜß dich, grüßgrüß"), ["GRÜß", "grüß", "grüß"]);
        assert_eq!(places("aa", "aaa"), ["aa"]);
        assert_eq!(places("x", ""), Vec::<String>::new());
        assert_eq!(places("İ", "aİb"), ["İ"]);
        assert_eq!(Needle::new("  "), None);
    }

    #[test]
    fn styles_do_not_part_a_word() {
        let text = "\u{1b}[31mer\u{1b}[1mror\u{1b}[0m".to_owned();
        let line = LogLine { at_ns: 0, source: Source::Out, text, left_out: 0 };

        assert!(Needle::new("ERROR").unwrap().is_in(&line));
        assert!(!Needle::new("31m").unwrap().is_in(&line));
        let plain = LogLine { text: "An ERROR".to_owned(), ..line };
        assert!(Needle::new("an error").unwrap().is_in(&plain));
        assert!(!Needle::new("errors").unwrap().is_in(&plain));
    }
}
