//! Samples that are kept: what a slot did and used, second by second for an hour and minute by minute
//! for seven days; and how they are thinned to what a chart can show.
//!
//! Sums are added, averages are weighted by the seconds they are of, and latencies are added as
//! histograms: a percentile of percentiles would be wrong. What was not measured is not there, which
//! is something else than nothing.

pub mod course;
mod csv;

use crate::{observing::Window, target::Second};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How long seconds are kept, in seconds.
pub const SECONDS_FOR: i64 = 3600;
/// How long minutes are kept, in seconds.
pub const MINUTES_FOR: i64 = 7 * 86_400;
/// The most points of a chart.
pub const MOST_POINTS: i64 = 600;

/// What a slot did and used in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Of the seconds in which traffic was counted.
    pub traffic: Window,
    pub used: Used,
}

/// What all instances of a slot used together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// In how many seconds it was read.
    pub seconds: u32,
    /// Averages over those. Of processors in hundredths of a core.
    pub cpu_percent: f64,
    pub memory_bytes: f64,
    /// The most in one second.
    pub cpu_percent_most: f64,
    pub memory_bytes_most: u64,
    /// The most at once.
    pub instances: u16,
    /// How often one of them was started again.
    pub restarts: u32,
}

impl Measured {
    /// One second of the witness.
    #[must_use]
    pub fn counted(second: &Second) -> Self {
        Self { traffic: Window::of(std::slice::from_ref(second)), used: Used::default() }
    }

    /// Adds another stretch of the same slot.
    pub fn add(&mut self, other: &Self) {
        self.traffic.merge(&other.traffic);
        self.used.add(&other.used);
    }
}

impl Used {
    /// What one reading of a second said.
    #[must_use]
    pub fn read(cpu_percent: f64, memory_bytes: u64, instances: u16, restarts: u32) -> Self {
        #[allow(clippy::cast_precision_loss)] // Less than 2^53 bytes.
        let average = memory_bytes as f64;
        Self {
            seconds: 1,
            cpu_percent,
            memory_bytes: average,
            cpu_percent_most: cpu_percent,
            memory_bytes_most: memory_bytes,
            instances,
            restarts,
        }
    }

    fn add(&mut self, other: &Self) {
        let all = self.seconds + other.seconds;
        if all > 0 {
            let share = f64::from(other.seconds) / f64::from(all);
            self.cpu_percent += (other.cpu_percent - self.cpu_percent) * share;
            self.memory_bytes += (other.memory_bytes - self.memory_bytes) * share;
        }
        self.seconds = all;
        self.cpu_percent_most = self.cpu_percent_most.max(other.cpu_percent_most);
        self.memory_bytes_most = self.memory_bytes_most.max(other.memory_bytes_most);
        self.instances = self.instances.max(other.instances);
        self.restarts += other.restarts;
    }
}

/// How far back a service's charts reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Range {
    #[default]
    Quarter,
    Hour,
    Day,
    Week,
}

impl Range {
    /// In the order they are offered.
    pub const ALL: [Self; 4] = [Self::Quarter, Self::Hour, Self::Day, Self::Week];

    /// As it stands in an address.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// As people read it, after "the last".
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::Quarter => "15 minutes",
            Self::Hour => "hour",
            Self::Day => "24 hours",
            Self::Week => "7 days",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Quarter => 900,
            Self::Hour => SECONDS_FOR,
            Self::Day => 86_400,
            Self::Week => MINUTES_FOR,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.as_str().to_owned()
    }
}

/// Any other word.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("A range is 15m, 1h, 24h or 7d.")]
pub struct NotARange;

impl FromStr for Range {
    type Err = NotARange;

    fn from_str(word: &str) -> Result<Self, NotARange> {
        Self::ALL.into_iter().find(|range| range.as_str() == word).ok_or(NotARange)
    }
}

impl TryFrom<String> for Range {
    type Error = NotARange;

    fn try_from(word: String) -> Result<Self, NotARange> {
        word.parse()
    }
}

/// Which of the kept samples are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Seconds,
    Minutes,
}

/// A stretch of time and how it is cut: `from` up to before `to`, both at the bounds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: i64,
    pub to: i64,
    /// Length of a step in seconds.
    pub step: i64,
    pub grain: Grain,
}

impl Span {
    /// The last stretch of this length, up to now.
    #[must_use]
    pub fn last(range: Range, now: i64) -> Self {
        let grain = match range {
            Range::Quarter | Range::Hour => Grain::Seconds,
            Range::Day | Range::Week => Grain::Minutes,
        };
        Self::cut(now - range.seconds(), now, grain)
    }

    /// Everything from `began` to `ended`, or to now, with what was just before and after. Of what is
    /// older than an hour there are minutes only, so more of them are shown around it.
    #[must_use]
    pub fn around(began: i64, ended: Option<i64>, now: i64) -> Self {
        let ended = ended.unwrap_or(now).min(now);
        if began - 60 >= now - SECONDS_FOR {
            Self::cut(began - 60, (ended + 60).min(now), Grain::Seconds)
        } else {
            Self::cut((began - 600).max(now - MINUTES_FOR), (ended + 600).min(now), Grain::Minutes)
        }
    }

    /// The finest round step with which there are no more points than can be shown.
    fn cut(from: i64, to: i64, grain: Grain) -> Self {
        const SECONDS: [i64; 6] = [1, 2, 3, 4, 5, 6];
        const MINUTES: [i64; 8] = [60, 120, 180, 300, 600, 900, 1200, 1800];
        let to = to.max(from + 1);
        let fits = |step: &&i64| (to - from + **step - 1) / **step <= MOST_POINTS;
        let step = match grain {
            Grain::Seconds => SECONDS.iter().find(fits).copied().unwrap_or(6),
            Grain::Minutes => MINUTES.iter().find(fits).copied().unwrap_or(1800),
        };
        let to = to.div_euclid(step) * step + if to.rem_euclid(step) == 0 { 0 } else { step };
        let from = (from.div_euclid(step) * step).max(to - MOST_POINTS * step);
        Self { from, to, step, grain }
    }

    /// How many steps it has.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from((self.to - self.from) / self.step).unwrap_or(0)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In which step a second lies.
    #[must_use]
    pub fn index(&self, at: i64) -> Option<usize> {
        let within = (self.from..self.to).contains(&at);
        usize::try_from((at - self.from).div_euclid(self.step)).ok().filter(|_| within)
    }

    /// When a step begins.
    #[must_use]
    pub fn at(&self, index: usize) -> i64 {
        self.from + i64::try_from(index).unwrap_or(0) * self.step
    }
}

#[cfg(test)]
mod tests;
