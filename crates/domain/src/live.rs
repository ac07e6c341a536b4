//! What the live stream says: history rows by number, and samples that may be thinned.
//!
//! `GET /live?after=N&topics=...` sends these as JSON in `data:`. Rows carry their number as the
//! event's id, so a browser that lost the connection asks for what comes after it.

use crate::{
    build::{log::BuildPiece, view::BuildState},
    history::sentence::{Sentence, Tone},
    id::{BuildId, PlacementId, RolloutId},
    log::{LogInstances, LogPiece},
    rollout::{Phase, State},
    slot::{PerSlot, Slot},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Message {
    /// The first one. Another build than the page's own: reload. `number` is the head.
    Hello { build: String, number: i64 },
    /// A history row that the viewer may see.
    Row(Row),
    /// Where a rollout stands, between two rows too. Latest wins.
    Rollout { rollout: RolloutId, placement: PlacementId, state: Box<State> },
    /// One second of a placement. May be thinned for a slow client.
    Sample(Sample),
    /// The last seconds of a placement, oldest first: a chart that is opened now has a past.
    Samples { placement: PlacementId, samples: Vec<Sample> },
    /// Lines that instances wrote.
    Log(LogPiece),
    /// Whose lines these are. Latest wins.
    LogInstances(LogInstances),
    /// Where a build stands, between two rows too. Latest wins.
    Build { build: BuildId, state: Box<BuildState> },
    /// Lines that a build wrote.
    BuildLog(BuildPiece),
    /// What is kept does not reach back to where you were: load the page again.
    Reset,
    /// The server stops. Come back.
    Goodbye,
}

/// A history row as the stream and the lists carry it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub number: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub sentence: Sentence,
    pub result: String,
    pub tone: Tone,
    pub environment: Option<String>,
    pub placement: Option<PlacementId>,
    pub rollout: Option<RolloutId>,
    /// The phase that was entered, where the row tells of one.
    pub phase: Option<Phase>,
    /// The build it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
}

/// What a placement did in one second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub placement: PlacementId,
    /// Unix time in seconds.
    pub at: i64,
    /// As read from the target.
    pub live: Option<Slot>,
    pub slots: PerSlot<SlotSample>,
    /// Why there are no figures: the target could not be asked.
    pub trouble: Option<String>,
}

/// One second of a slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotSample {
    pub instances: Vec<InstanceSample>,
    pub requests: u32,
    pub failures: u32,
    /// `None`: nobody can say.
    pub in_flight: Option<u32>,
    pub p50_us: Option<u32>,
    pub p95_us: Option<u32>,
    pub p99_us: Option<u32>,
}

/// One second of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceSample {
    pub id: String,
    pub name: String,
    pub health: Health,
    /// Hundredths of a core: 100 is one core.
    pub cpu_percent: f32,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub received_bytes_per_s: u64,
    pub sent_bytes_per_s: u64,
    pub processes: u32,
    pub restarts: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
}

/// How an instance is, in one word and a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Health {
    Starting,
    Ready,
    /// Answers, but over a second late.
    Slow {
        ms: u32,
    },
    NotReady {
        why: String,
    },
    Exited {
        why: String,
    },
}

impl Health {
    /// Whether it is as it should be.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}
