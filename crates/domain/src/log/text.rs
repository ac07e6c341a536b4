//! Bytes as text that can be seen: nothing is lost, and nothing that steers a screen gets through.

use std::fmt::Write as _;

/// The one control character that stays: it begins a style, which [`super::ansi`] reads.
pub const ESCAPE: char = '\u{1b}';

/// The text of some bytes. What is no UTF-8 becomes `\xff`, control characters `\x07`, and what
/// turns the direction of reading around `\u{202e}`. Tabs and [`ESCAPE`] stay.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == ESCAPE { text.push(c) } else { push(&mut text, c) }
        }
        for byte in chunk.invalid() {
            // Writing to a string can not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The same for text that came out of a line, such as a field of JSON: styles are none there.
#[must_use]
pub fn plain(said: &str) -> String {
    let mut text = String::with_capacity(said.len());
    for c in said.chars() {
        match c {
            '\n' => text.push(c),
            ESCAPE => text.push_str("\\e"),
            c => push(&mut text, c),
        }
    }
    text
}

fn push(text: &mut String, c: char) {
    // Writing to a string can not fail.
    match c {
        '\t' => text.push(c),
        c if c.is_ascii_control() => drop(write!(text, "\\x{:02x}", u32::from(c))),
        c if c.is_control() || turns(c) => drop(write!(text, "\\u{{{:x}}}", u32::from(c))),
        c => text.push(c),
    }
}

/// Whether it makes what follows be read in another order, or hides it: a line could then look like
/// one that was never written.
const fn turns(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_visible() {
        assert_eq!(shown("grüße\tok ☕".as_bytes()), "grüße\tok ☕");
        assert_eq!(shown(b"a\xff\xfeb\x00\x07c\r"), "a\\xff\\xfeb\\x00\\x07c\\x0d");
        // The beginning of a character that was cut off.
        assert_eq!(shown(b"caf\xc3"), "caf\\xc3");
        assert_eq!(shown("\u{85}\u{202e}".as_bytes()), "\\u{85}\\u{202e}");
        assert_eq!(shown(b"\x1b[31mred"), "\u{1b}[31mred");
        assert_eq!(plain("one\ntwo \u{1b}[31m"), "one\ntwo \\e[31m");
    }

    #[test]
    fn whatever_the_bytes_are_only_tabs_and_escapes_are_left_of_what_steers() {
        let mut seed = 7_u32;
        for length in 0..400 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();

            let text = shown(&bytes);

            let steers = |c: char| c.is_control() && c != '\t' && c != ESCAPE || turns(c);
            assert!(!text.contains(steers), "{text:?}");
            assert!(!plain(&text).contains(|c: char| steers(c) && c != '\n'));
        }
    }
}
