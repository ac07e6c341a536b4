//! What happened to traffic around the switch: numbers that a witness counted, kept for ever.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The figures of the evidence card. Everything is from the switch on, where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who counted: "router". Empty before the switch.
    pub witness: String,
    /// When the write was sent.
    #[serde(with = "time::serde::rfc3339::option")]
    pub written_at: Option<OffsetDateTime>,
    /// When the target reported the new live slot.
    #[serde(with = "time::serde::rfc3339::option")]
    pub confirmed_at: Option<OffsetDateTime>,
    /// From the write to the confirmation, in milliseconds.
    pub switched_in_ms: Option<u32>,
    /// Answered by either slot.
    pub requests: u64,
    /// 5xx, refused, cut off, timed out: by either slot.
    pub failures: u64,
    /// The longest time between two answers, in milliseconds.
    pub longest_gap_ms: u32,
    /// The new slot's p50, p95 and p99 in microseconds.
    pub p50_us: Option<u32>,
    pub p95_us: Option<u32>,
    pub p99_us: Option<u32>,
    /// How long after the confirmation the old slot gave its last answer, in milliseconds.
    pub last_old_answer_ms: Option<u32>,
    /// Going back: when the breach or the click was seen, when the traffic was back.
    #[serde(with = "time::serde::rfc3339::option")]
    pub back_decided_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub back_confirmed_at: Option<OffsetDateTime>,
    /// Whether there was a gap in what the witness could be asked, for example its restart.
    pub incomplete: bool,
}
