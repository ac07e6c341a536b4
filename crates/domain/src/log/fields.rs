//! Lines of JSON as fields: level, message and time by the names that loggers give them, the rest as
//! pairs. A line that is no object is left as it is.

use super::text::plain;
use serde_json::{Map, Value};

/// A line of JSON, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub level: Option<Level>,
    pub message: Option<String>,
    /// As the program wrote it; the target's own time stands before each line.
    pub time: Option<String>,
    /// By name, values as text.
    pub rest: Vec<(String, String)>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The word on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "trc" => Self::Trace,
            "debug" | "dbg" => Self::Debug,
            "info" | "information" | "notice" | "inf" => Self::Info,
            "warn" | "warning" | "wrn" => Self::Warn,
            "error" | "err" | "fatal" | "critical" | "crit" | "panic" | "alert" | "emerg"
            | "severe" => Self::Error,
            _ => return None,
        })
    }

    /// As pino and bunyan count: 10 is trace, 60 is fatal.
    const fn of_number(number: u64) -> Option<Self> {
        Some(match number {
            10..=19 => Self::Trace,
            20..=29 => Self::Debug,
            30..=39 => Self::Info,
            40..=49 => Self::Warn,
            50..=69 => Self::Error,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => Self::of_word(word),
            Value::Number(number) => Self::of_number(number.as_u64()?),
            _ => None,
        }
    }
}

const LEVEL: [&str; 6] = ["level", "severity", "lvl", "levelname", "log.level", "loglevel"];
const MESSAGE: [&str; 4] = ["msg", "message", "@message", "event"];
const TIME: [&str; 6] = ["time", "timestamp", "ts", "@timestamp", "datetime", "t"];

/// Reads a line. `None`: it is no JSON object, or an empty one.
#[must_use]
pub fn read(line: &str) -> Option<Fields> {
    let line = line.trim();
    if !(line.starts_with('{') && line.ends_with('}')) {
        return None;
    }
    let mut object: Map<String, Value> = serde_json::from_str(line).ok()?;
    if object.is_empty() {
        return None;
    }
    let level = LEVEL.into_iter().find_map(|key| {
        let level = Level::of(object.get(key)?)?;
        object.remove(key);
        Some(level)
    });
    let message = take(&mut object, &MESSAGE, Value::is_string);
    let time = take(&mut object, &TIME, |value| value.is_string() || value.is_number());
    let rest = object.iter().map(|(key, value)| (plain(key), said(value))).collect();
    Some(Fields { level, message, time, rest })
}

fn take(
    object: &mut Map<String, Value>,
    names: &[&str],
    fits: impl Fn(&Value) -> bool,
) -> Option<String> {
    let key = names.iter().find(|key| object.get(**key).is_some_and(&fits))?;
    object.remove(*key).as_ref().map(said)
}

fn said(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loggers_write_is_read() {
        let fields = read(r#"{"level":"WARN","ts":"12:00","msg":"slow","ms":1200,"in":{"a":[1]}}"#);

        let fields = fields.unwrap();
        assert_eq!(fields.level, Some(Level::Warn));
        assert_eq!(fields.message.as_deref(), Some("slow"));
        assert_eq!(fields.time.as_deref(), Some("12:00"));
        let mut rest = fields.rest;
        rest.sort();
        assert_eq!(
            rest,
            [("in".to_owned(), "{\"a\":[1]}".to_owned()), ("ms".to_owned(), "1200".to_owned())]
        );
        assert_eq!(read(r#"{"level":50,"message":"x"}"#).unwrap().level, Some(Level::Error));
        // A level nobody knows is a field like any other.
        assert_eq!(read(r#"{"level":"loud"}"#).unwrap().rest.len(), 1);
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        for line in ["", "{}", "[1]", "{\"a\":1", "{a:1}", "\"x\"", "{not json}", deep.as_str()] {
            assert_eq!(read(line), None, "{}", &line[..line.len().min(40)]);
        }
    }

    #[test]
    fn what_a_value_hides_is_shown() {
        let fields = read("{\"msg\":\"a\\u001b[31m\\nb\",\"k\\u202e\":\"\\u0007\"}").unwrap();

        assert_eq!(fields.message.as_deref(), Some("a\\e[31m\nb"));
        assert_eq!(fields.rest, [("k\\u{202e}".to_owned(), "\\x07".to_owned())]);
    }
}
