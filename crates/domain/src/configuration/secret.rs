//! Secrets of a placement: names and versions. A value goes in and does not come out again but into
//! an instance; it is never in this crate.

use crate::{
    id::SecretId,
    name::{VariableName, Wrong},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;

/// The secrets that a configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub BTreeMap<VariableName, Version>);

/// One version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub secret: SecretId,
    /// Counts from 1 with each value that is set.
    pub version: i32,
}

impl Version {
    /// What its sealed value is bound to: it opens as this version of this secret and as no other.
    #[must_use]
    pub fn about(&self) -> String {
        format!("secret/{}/{}", self.secret, self.version)
    }
}

/// The most secrets a configuration has.
pub const MOST_SECRETS: usize = 50;
/// After this long a value is due to be set anew.
pub const ROTATE_AFTER: Duration = Duration::from_secs(90 * 24 * 3600);

/// Whether a value that was set then is due to be set anew.
#[must_use]
pub fn is_due(set_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - set_at >= ROTATE_AFTER
}

/// Reads a value as it was typed. Browsers send line breaks as two bytes, and whoever pastes a line
/// pastes its end too: neither is meant.
pub fn value(typed: &str) -> Result<String, Wrong> {
    let value = typed.replace("\r\n", "\n");
    let value = value.strip_suffix('\n').unwrap_or(&value);
    if value.is_empty() {
        return Err(Wrong::new("A secret needs a value."));
    }
    if value.len() > super::LONGEST_VALUE {
        return Err(Wrong::new("A secret has at most 8 KiB."));
    }
    if value.contains('\0') {
        return Err(Wrong::new("A secret can not hold a zero byte."));
    }
    Ok(value.to_owned())
}

/// Whether a name promises something that is nobody's to read.
#[must_use]
pub fn sounds_secret(name: &VariableName) -> bool {
    let name = name.as_str().to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "CREDENTIAL"]
        .iter()
        .any(|word| name.contains(word))
}

/// A secret as the newest configuration of a placement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretCard {
    pub name: VariableName,
    pub version: i32,
    pub set_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub set_at: OffsetDateTime,
    /// Older than [`ROTATE_AFTER`].
    pub due: bool,
    /// The key that its value is sealed with is gone. Only setting it anew helps.
    pub lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_value_is_due_after_ninety_days_and_not_before() {
        let set_at = datetime!(2026-01-01 00:00 UTC);
        assert!(!is_due(set_at, datetime!(2026-03-31 23:59:59 UTC)));
        assert!(is_due(set_at, datetime!(2026-04-01 00:00 UTC)));
    }

    #[test]
    fn a_pasted_value_loses_the_end_of_its_line_and_nothing_else() {
        assert_eq!(value("a\r\nb\r\n"), Ok("a\nb".to_owned()));
        assert_eq!(value(" a "), Ok(" a ".to_owned()));
        for bad in ["", "\r\n", "a\0b", &"x".repeat(super::super::LONGEST_VALUE + 1)] {
            assert!(value(bad).is_err());
        }
    }

    #[test]
    fn a_refused_value_is_not_in_what_is_said_about_it() {
        let wrong = value("hunter2\0").expect_err("bad").0;
        assert!(!wrong.contains("hunter2"));
    }
}
