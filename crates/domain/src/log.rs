//! What instances write: lines with their time, and how they are read, cut, coloured and found.
//!
//! Bytes become a [`LogLine`] once, where the target is read: by [`cut::Cutter`], which bounds a
//! line, and [`text::shown`], which makes every byte visible. From there on a line is text. What it
//! looks like is decided where it is drawn: [`ansi`] for styles, [`fields`] for lines of JSON.

pub mod ansi;
pub mod cut;
pub mod fields;
pub mod find;
pub mod text;

use crate::{
    id::{PlacementId, RolloutId},
    slot::Slot,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::OffsetDateTime;

/// The most of a line that is kept. What is longer is cut, and says how much is missing.
pub const LINE_BYTES: usize = 16 * 1024;

/// The most lines of a search, or of a page that is drawn without the stream.
pub const LINES_SHOWN: usize = 500;

/// What an instance writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written by the target's clock, in nanoseconds of Unix time.
    pub at_ns: i64,
    pub source: Source,
    /// Without its line break; every byte that is no text is an escape.
    pub text: String,
    /// How many bytes of it are missing because it was too long. From
    /// [`cut::GIVEN_UP`] on it is "at least".
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference.
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl LogLine {
    /// When it was written, in UTC.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(self.at_ns.into())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len() + 64
    }
}

/// What is to be read of an instance's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogWish {
    /// So many of the last lines. `None`: all that the target holds.
    pub last: Option<u32>,
    /// Only what was written after this time, in nanoseconds of Unix time.
    pub after_ns: Option<i64>,
    /// Goes on with what is written from now on.
    pub follow: bool,
}

/// Whose lines these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInstance {
    /// The target's own id.
    pub id: String,
    /// As people see it: `blue-c19f-1`.
    pub name: String,
    pub slot: Slot,
    /// The rollout whose instance it is.
    pub maker: RolloutId,
    /// Why it does not run any more, where it does not.
    pub ended: Option<String>,
    /// It is gone from the target; these are the last lines that were kept of it.
    pub kept: bool,
    /// Its lines come as they are written. Others are read by a search or a download only.
    pub followed: bool,
}

/// Some lines of one instance, as the stream carries them.
///
/// Lines are numbered from 1 within a watch. A number that is skipped stands for lines that were
/// written faster than they can be shown: a reader says how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    pub placement: PlacementId,
    /// The instance's id.
    pub instance: String,
    /// Numbers are of this watch. Another watch counts anew, and tells the last lines again.
    pub watch: i64,
    /// The number of the first line.
    pub first: u64,
    pub lines: Vec<LogLine>,
}

/// Which instances there are, and what keeps them from being read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInstances {
    pub instances: Vec<LogInstance>,
    /// Why the target can not be asked now.
    pub trouble: Option<String>,
}

/// Whose lines of a placement are meant. As a word: ``, `slot.blue`, `rollout.ID`, `instance.ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Which {
    #[default]
    All,
    Slot(Slot),
    /// The instances that a rollout made.
    Maker(RolloutId),
    Instance(String),
}

/// An id of a target is words of these, and no longer.
const LONGEST_ID: usize = 128;

impl Which {
    /// Whether the lines of `instance` are meant.
    #[must_use]
    pub fn takes(&self, instance: &LogInstance) -> bool {
        match self {
            Self::All => true,
            Self::Slot(slot) => instance.slot == *slot,
            Self::Maker(maker) => instance.maker == *maker,
            Self::Instance(id) => instance.id == *id,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Slot(slot) => write!(f, "slot.{slot}"),
            Self::Maker(rollout) => write!(f, "rollout.{rollout}"),
            Self::Instance(id) => write!(f, "instance.{id}"),
        }
    }
}

/// Something else than the words of [`Which`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Logs are of everything, of a slot, of a rollout or of an instance.")]
pub struct NotWhich;

impl FromStr for Which {
    type Err = NotWhich;

    fn from_str(word: &str) -> Result<Self, NotWhich> {
        if word.is_empty() {
            return Ok(Self::All);
        }
        let is_id = |id: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(fits)
        };
        match word.split_once('.') {
            Some(("slot", slot)) => slot.parse().map(Self::Slot).map_err(|_| NotWhich),
            Some(("rollout", id)) => id.parse().map(Self::Maker).map_err(|_| NotWhich),
            Some(("instance", id)) if is_id(id) => Ok(Self::Instance(id.to_owned())),
            _ => Err(NotWhich),
        }
    }
}

/// What a search found, or the last lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFound {
    pub instances: Vec<LogInstance>,
    /// Oldest first, at most [`LINES_SHOWN`]: each with the index of its instance.
    pub lines: Vec<(u16, LogLine)>,
    /// How many lines matched; more than are there where only the newest are.
    pub matched: u64,
    /// How many lines were looked at.
    pub searched: u64,
    /// The oldest line that was looked at, in nanoseconds of Unix time.
    pub back_to_ns: Option<i64>,
    /// Not everything that the target holds was looked at: there was too much, or no time.
    pub cut_short: bool,
    /// Why something could not be read.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_lines_are_meant_is_its_word() {
        let id = "0198f3c0-0000-7000-8000-000000000001";
        for word in ["", "slot.blue", &format!("rollout.{id}"), "instance.a1b2-c_3"] {
            assert_eq!(word.parse::<Which>().map(|which| which.to_string()), Ok(word.to_owned()));
        }
        for word in ["blue", "slot.red", "rollout.1", "instance.", "instance.a/../b", "instance.ä"]
        {
            assert_eq!(word.parse::<Which>(), Err(NotWhich), "{word}");
        }
        assert!(format!("instance.{}", "a".repeat(LONGEST_ID + 1)).parse::<Which>().is_err());
    }
}
