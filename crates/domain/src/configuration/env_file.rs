//! `.env` files, as people keep them: read line by line, and written so that others read the same.
//!
//! ```text
//! # a comment
//! export NAME=value            # `export` and a comment behind a space are passed over
//! QUOTED='as it is, $ and \ too'
//! ESCAPED="two\nlines, \"quotes\" and \$"
//! LONG="begins here
//! and ends here"
//! ```
//!
//! Nothing is expanded: `$OTHER` is those six characters. A line that can not be read is refused by
//! its number, and the others are read all the same.

use super::LONGEST_VALUE;
use crate::name::{VariableName, Wrong};
use std::{collections::BTreeMap, fmt};

/// The longest file, in bytes.
pub const LONGEST_FILE: usize = 256 * 1024;
/// The most lines that are told as refused. What follows is refused as a whole.
const MOST_REFUSED: usize = 100;
/// The most variables that are read at all.
const MOST_LINES: usize = 1000;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// In their order, no name twice.
    pub lines: Vec<Line>,
    pub refused: Vec<Refused>,
}

/// One variable, and the number of the line where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub name: VariableName,
    pub value: String,
}

/// A line that is not read, and why. Never what stands in it: that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub number: usize,
    /// Where that much could be read.
    pub name: Option<VariableName>,
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line {}: {}", self.number, self.why)
    }
}

/// Reads a file. Only one that is too long is refused as a whole.
pub fn parse(typed: &str) -> Result<EnvFile, Wrong> {
    if typed.len() > LONGEST_FILE {
        return Err(Wrong::new("This text is longer than 256 KiB."));
    }
    let text = typed.strip_prefix('\u{feff}').unwrap_or(typed).replace("\r\n", "\n");
    let mut file = EnvFile::default();
    let mut first: BTreeMap<VariableName, usize> = BTreeMap::new();
    let mut rest = text.as_str();
    let mut number = 1;
    while !rest.is_empty() {
        if file.refused.len() >= MOST_REFUSED || file.lines.len() >= MOST_LINES {
            let why = "too much before it is refused or read; this line and all after it are left \
                       out.";
            file.refused.push(Refused { number, name: None, why: why.to_owned() });
            break;
        }
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            (rest, number) = (after, number + 1);
            continue;
        }
        let read = one(rest);
        let refuse = |name, why| Refused { number, name, why };
        match read.what {
            Ok((name, _)) if first.contains_key(&name) => {
                let why = format!("{name} is there twice, first in line {}.", first[&name]);
                file.refused.push(refuse(Some(name), why));
            }
            Ok((name, value)) if value.len() > LONGEST_VALUE => {
                file.refused.push(refuse(Some(name), "a value has at most 8 KiB.".to_owned()));
            }
            Ok((name, value)) if value.contains('\0') => {
                let why = "a value can not hold a zero byte.".to_owned();
                file.refused.push(refuse(Some(name), why));
            }
            Ok((name, value)) => {
                first.insert(name.clone(), number);
                file.lines.push(Line { number, name, value });
            }
            Err((name, why)) => file.refused.push(refuse(name, why)),
        }
        let (passed, left) = rest.split_at(read.length);
        number += passed.matches('\n').count();
        rest = left;
    }
    Ok(file)
}

/// A variable, or why it is none; and how many bytes were passed, the end of the line included.
struct Read {
    what: Result<(VariableName, String), (Option<VariableName>, String)>,
    length: usize,
}

/// Reads one variable at the beginning of `text`.
fn one(text: &str) -> Read {
    let end = text.find('\n').unwrap_or(text.len());
    let to_line_end = (end + 1).min(text.len());
    let refuse = |name, why: String| Read { what: Err((name, why)), length: to_line_end };
    let line = &text[..end];
    let Some(at) = line.find('=') else {
        return refuse(None, "a variable is NAME=value.".to_owned());
    };
    let named = line[..at].trim();
    let named = match named.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim(),
        _ => named,
    };
    let name: VariableName = match named.parse() {
        Ok(name) => name,
        Err(wrong) => return refuse(None, wrong.to_string()),
    };
    let begins = at + 1 + line[at + 1..].len() - line[at + 1..].trim_start().len();
    let value = &text[begins..];
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        return Read { what: Ok((name, bare(&line[at + 1..]))), length: to_line_end };
    };
    let Some((value, length)) = quoted(&value[1..], quote) else {
        let why = format!("the quote {quote} does not end.");
        return refuse(Some(name), why);
    };
    let after = begins + 1 + length;
    let behind = text[after..].split('\n').next().unwrap_or_default();
    let length = (after + behind.len() + 1).min(text.len());
    let is_comment = behind.trim().is_empty()
        || (behind.starts_with([' ', '\t']) && behind.trim_start().starts_with('#'));
    if !is_comment {
        let why = "something follows the closing quote.".to_owned();
        return Read { what: Err((Some(name), why)), length };
    }
    Read { what: Ok((name, value)), length }
}

/// A value without quotes ends where a comment begins: at a `#` behind a space.
fn bare(typed: &str) -> String {
    let comment = typed
        .char_indices()
        .zip(typed.chars().skip(1))
        .find(|((_, before), c)| *c == '#' && before.is_whitespace())
        .map(|((at, _), _)| at);
    let value = comment.map_or(typed, |at| &typed[..at]).trim();
    if value.starts_with('#') && typed.starts_with(char::is_whitespace) {
        return String::new();
    }
    value.to_owned()
}

/// The value up to the closing quote, and its length with that quote. `None`: there is none.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, at + 1));
        }
        if quote == '"' && c == '\\' {
            match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(c);
        }
    }
    None
}

/// One line that reads as this value: bare where that is safe, else in the quotes that change least.
#[must_use]
pub fn line(name: &VariableName, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-=?&~*".contains(c);
    if value.chars().all(plain) {
        return format!("{name}={value}\n");
    }
    if !value.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("{name}='{value}'\n");
    }
    let mut quoted = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '"' | '\\' | '$' | '`' => quoted.extend(['\\', c]),
            other => quoted.push(other),
        }
    }
    format!("{name}=\"{quoted}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Vec<(String, String)> {
        let file = parse(typed).expect("read");
        assert_eq!(file.refused, [], "{typed:?}");
        file.lines.into_iter().map(|line| (line.name.to_string(), line.value)).collect()
    }

    fn refused(typed: &str) -> Vec<String> {
        parse(typed).expect("read").refused.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_ways_people_write_a_value() {
        for (typed, value) in [
            ("A=1", "1"),
            ("A=", ""),
            ("A= ", ""),
            (" A = 1 ", "1"),
            ("export A=1", "1"),
            ("export\tA=1", "1"),
            ("A=x=y", "x=y"),
            ("A=1 # why", "1"),
            ("A= # nothing", ""),
            ("A=#1", "#1"),
            ("A=http://host/#top", "http://host/#top"),
            ("A=it's", "it's"),
            ("A=$HOME", "$HOME"),
            (r"A=C:\new", r"C:\new"),
            ("A=' spaces '", " spaces "),
            ("A=' spaces '  # why", " spaces "),
            (r"A='\n $x'", r"\n $x"),
            (r#"A="\n\t\"\\\$\q""#, "\n\t\"\\$\\q"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A='two\r\nlines'\r\n", "two\nlines"),
            ("A=ünï ©", "ünï ©"),
            ("\u{feff}A=1", "1"),
            ("A=\"\"", ""),
            ("A='#'", "#"),
        ] {
            assert_eq!(read(typed), [("A".to_owned(), value.to_owned())], "{typed:?}");
        }
        assert_eq!(read("# only\n\n  # comments\r\n"), []);
        assert_eq!(read("exportA=1")[0].0, "exportA");
    }

    #[test]
    fn what_can_not_be_read_is_refused_by_its_number_and_the_rest_is_read() {
        let typed = "A=1\nno variable\nB='two\nlines' x\nC=3\n2D=4\nA=5\nE=\"open\nF=6\n";
        let file = parse(typed).expect("read");

        let lines: Vec<_> = file.lines.iter().map(|l| (l.number, l.name.as_str())).collect();
        assert_eq!(lines, [(1, "A"), (5, "C"), (9, "F")]);
        let refused: Vec<_> = file.refused.iter().map(|r| r.number).collect();
        assert_eq!(refused, [2, 3, 6, 7, 8]);
        assert!(file.refused[3].why.contains("first in line 1"), "{:?}", file.refused[3]);
    }

    #[test]
    fn a_refusal_never_repeats_what_stood_there() {
        for typed in ["hunter2", "X Y=hunter2", "A='hunter2", "A='x' hunter2", "A=1\nA=hunter2"] {
            let said = refused(typed);
            assert_eq!(said.len(), 1, "{typed}");
            assert!(!said[0].contains("hunter2"), "{said:?}");
        }
    }

    #[test]
    fn a_hostile_file_has_an_end() {
        assert!(parse(&"x".repeat(LONGEST_FILE + 1)).is_err());
        assert_eq!(refused(&"no\n".repeat(50_000)).len(), MOST_REFUSED + 1);
        let many: String = (0..5000).map(|n| format!("A{n}=1\n")).collect();
        assert_eq!(parse(&many).expect("read").lines.len(), MOST_LINES);
        for hostile in ["=", "==", "A='", "A=\"\\", "\u{0}=1", "A=\u{0}", "export", "'"] {
            assert_eq!(refused(hostile).len(), 1, "{hostile:?}");
        }
        let long = format!("A={}", "x".repeat(LONGEST_VALUE + 1));
        assert!(refused(&long)[0].contains("8 KiB"));
        assert!(refused("PILOTHOUSE_SLOT=x")[0].contains("PILOTHOUSE_"));
    }

    /// Every text over a few letters that matter, quoted and read back.
    #[test]
    fn what_is_written_reads_the_same() {
        let letters = ['a', ' ', '#', '\'', '"', '\\', '$', '\n', '\t', '=', 'é', '`', '\r'];
        let name: VariableName = "A".parse().expect("a name");
        let mut values = vec![String::new()];
        for _ in 0..4 {
            let longer: Vec<_> = values
                .iter()
                .flat_map(|value| letters.iter().map(move |c| format!("{value}{c}")))
                .collect();
            for value in &longer {
                let written = line(&name, value);
                let expected = [("A".to_owned(), value.clone())];
                assert_eq!(read(&written), expected, "{written:?}");
            }
            values = longer;
        }
    }
}
