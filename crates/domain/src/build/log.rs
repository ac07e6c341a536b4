//! What a build writes: lines numbered from 1, each of a step or of the build itself.
//!
//! A number that is not there stands for lines that were let go because the log grew too long; the
//! beginning and the end are kept.

use crate::{id::BuildId, log::LogLine};
use serde::{Deserialize, Serialize};

/// One line of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLine {
    /// Counted from 1.
    pub number: u64,
    /// The number of its step. Nothing: it is told of the build itself, or by git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    #[serde(flatten)]
    pub line: LogLine,
}

/// Some lines of a build, as the stream carries them, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPiece {
    pub build: BuildId,
    pub lines: Vec<BuildLine>,
}

/// Some lines of a build's log as a page shows them: the last, those around a number, or those that
/// were searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLog {
    /// In their order, at most [`crate::log::LINES_SHOWN`].
    pub lines: Vec<BuildLine>,
    /// How many lines were written in all, and how many of them are not kept because it was too much.
    pub written: u64,
    pub left_out: u64,
    /// How many lines matched, where something was searched for; more than are there where only the
    /// last are.
    pub matched: Option<u64>,
    /// There are lines before the first of these.
    pub earlier: bool,
    /// It was let go: too old, or too much of others came after it.
    pub gone: bool,
}
