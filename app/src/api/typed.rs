//! Reading what was typed. The browser checks a field with the same functions while it is typed in.

use domain::{error::Problem, rollout::Ask};
use std::{fmt::Display, str::FromStr};

/// Reads a field that must be there. The refusal names it.
pub fn field<T>(name: &str, typed: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: Display,
{
    typed.parse().map_err(|wrong| Problem::invalid(name, wrong))
}

/// Reads a field that may be empty.
pub fn optional<T>(name: &str, typed: &str) -> Result<Option<T>, Problem>
where
    T: FromStr,
    T::Err: Display,
{
    if typed.trim().is_empty() { Ok(None) } else { field(name, typed.trim()).map(Some) }
}

/// Reads a whole number. `FromStr` of numbers says nothing that helps the person who typed.
pub fn number<T: FromStr>(name: &str, typed: &str) -> Result<T, Problem> {
    typed
        .trim()
        .parse()
        .map_err(|_| Problem::invalid(name, "A whole number is needed here, without a unit."))
}

/// Reads a number that may have a fraction, with a point or a comma.
pub fn fraction(name: &str, typed: &str) -> Result<f64, Problem> {
    let number = typed.trim().replace(',', ".").parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| Problem::invalid(name, "A number is needed here, for example 1 or 0.5."))
}

/// Reads an id that a button or a list gave, not a person.
pub fn id<T: FromStr>(name: &str, given: &str) -> Result<T, Problem> {
    let broken = "This page is older than what it shows. Load it again.";
    given.trim().parse().map_err(|_| Problem::invalid(name, broken))
}

/// Reads an id that may be absent: the empty choice of a list.
pub fn optional_id<T: FromStr>(name: &str, given: &str) -> Result<Option<T>, Problem> {
    if given.trim().is_empty() { Ok(None) } else { id(name, given).map(Some) }
}

/// A reason is optional, of one line or more, at most 500 characters. It is text: nothing in it may
/// steer a terminal, or turn the direction of what is written around it.
pub fn reason(typed: &str) -> Result<Option<String>, Problem> {
    let typed = typed.trim();
    if typed.chars().count() > 500 {
        return Err(Problem::invalid("reason", "A reason has at most 500 characters."));
    }
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let steers = |c: &char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || turns(*c);
    if let Some(odd) = typed.chars().find(steers) {
        let sentence = format!("“{}” can not be in a reason.", odd.escape_default());
        return Err(Problem::invalid("reason", sentence));
    }
    Ok((!typed.is_empty()).then(|| typed.to_owned()))
}

/// Lines of a text field, trimmed, without the empty ones.
pub fn lines(typed: &str) -> impl Iterator<Item = &str> {
    typed.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A checkbox: what is not sent is not checked.
#[must_use]
pub fn checked(sent: &Option<String>) -> bool {
    sent.is_some()
}

/// `yes` or `no`, where a missing word must not be taken for one of them.
pub fn yes_or_no(name: &str, word: &str) -> Result<bool, Problem> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Problem::invalid(name, "This is yes or no.")),
    }
}

/// What is asked of a rollout.
pub fn ask(word: &str) -> Result<Ask, Problem> {
    match word {
        "abort" => Ok(Ask::Abort),
        "promote" => Ok(Ask::Promote),
        "retry" => Ok(Ask::Retry),
        _ => Err(Problem::invalid("ask", "One can ask to abort, to promote or to retry.")),
    }
}

/// What is wrong with a new password, as far as it can be told while it is typed. Whether it is a
/// common one, only the server knows.
#[must_use]
pub fn password(typed: &str) -> Option<String> {
    match typed.chars().count() {
        ..12 => {
            Some("A password has at least 12 characters. Four unrelated words are fine.".to_owned())
        }
        12..=128 => None,
        _ => Some("A password has at most 128 characters.".to_owned()),
    }
}

/// Where to go after signing in: a path of ours, or the board. Browsers read `//host` and `/\host`
/// as another host and drop tabs and line ends, so none of these gets through.
#[must_use]
pub fn next(asked: &str) -> &str {
    let ours = asked.starts_with('/')
        && !asked.starts_with("//")
        && !asked.starts_with("/api/")
        && !asked.starts_with("/sign-in")
        && asked.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if ours { asked } else { "/" }
}

/// Escapes a value for the query of an address.
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b':') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A form that was not filled in by our page: says which field, where the decoder names one.
#[must_use]
pub fn not_a_form(said: &str) -> Problem {
    let name = said.split('`').nth(1).filter(|_| said.contains("missing field"));
    match name {
        Some(name) => Problem::invalid(name, "This field is missing. Nothing was changed."),
        None => Problem::invalid("", "The form could not be read. Nothing was changed."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::name::Name;

    #[test]
    fn an_empty_optional_field_is_nothing_and_a_bad_one_is_named() {
        assert_eq!(optional::<Name>("name", " "), Ok(None));

        let wrong = optional::<Name>("name", "No").expect_err("upper case");
        assert_eq!(wrong.field(), Some("name"));
    }

    #[test]
    fn a_missing_field_is_named_and_is_never_our_fault() {
        let problem = not_a_form("missing field `password` at line 1");
        assert_eq!((problem.field(), problem.status()), (Some("password"), 422));
        assert_eq!(not_a_form("invalid type: map").status(), 422);
    }

    #[test]
    fn a_reason_is_text_that_steers_nothing() {
        assert_eq!(reason(" two\n\tlines "), Ok(Some("two\n\tlines".to_owned())));
        assert_eq!(reason(" \r\n"), Ok(None));
        for odd in ["a\0b", "\u{1b}[2J", "\u{7}", "\u{202e}gnp.exe", "\u{2066}x"] {
            assert_eq!(reason(&format!("x{odd}x")).unwrap_err().field(), Some("reason"), "{odd:?}");
        }
    }

    #[test]
    fn after_signing_in_one_never_leaves_for_another_host() {
        assert_eq!(next("/rollouts/1?a=b"), "/rollouts/1?a=b");
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/sign-in",
        ] {
            assert_eq!(next(foreign), "/", "{foreign}");
        }
    }

    #[test]
    fn an_escaped_value_stays_one_value() {
        assert_eq!(escaped("/a b?c=d&e#f%"), "/a%20b%3Fc%3Dd%26e%23f%25");
    }

    #[test]
    fn a_fraction_may_have_a_comma_and_is_never_negative_or_endless() {
        assert_eq!(fraction("x", "0,5"), Ok(0.5));
        for wrong in ["-1", "inf", "NaN", "1 %", ""] {
            assert!(fraction("x", wrong).is_err(), "{wrong}");
        }
    }
}
