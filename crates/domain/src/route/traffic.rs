//! What happened to requests, as the router saw it.
//!
//! A *request* is counted when it is answered or has failed, at the second of the router's clock
//! in which that happened. Whoever leaves before an answer is *abandoned*, which is no failure.

use super::latency::Latencies;
use crate::{
    id::PlacementId,
    slot::{PerSlot, Slot},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// How many whole seconds the router remembers for each slot.
pub const SECONDS_KEPT: usize = 300;

/// The traffic of every placement that has a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AllTraffic {
    pub placements: Vec<Traffic>,
}

/// The traffic of a placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    pub placement: PlacementId,
    /// [`super::Hello::boot`]: with another one, counters began again at 0.
    pub boot: Uuid,
    /// The router's clock when this was read. Seconds before this one are whole and final.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    /// The revision of the route when this was read.
    pub revision: i64,
    pub live: Option<Slot>,
    /// When the live slot last became another one, in this life of the router.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub switched_at: Option<OffsetDateTime>,
    /// Requests answered 503 because no slot was live or the live one has no upstreams.
    pub without_slot: u64,
    pub slots: PerSlot<SlotTraffic>,
}

/// The traffic of a slot. Requests to preview host names are counted apart and nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotTraffic {
    pub totals: Totals,
    pub in_flight: InFlight,
    /// When the slot last answered a request.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_answer_at: Option<OffsetDateTime>,
    /// Answers to requests that were accepted after the traffic had moved to the other slot. Always
    /// 0, else the router is wrong: this is the witness's proof.
    pub late_answers: u64,
    /// When the last of those came.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_late_answer_at: Option<OffsetDateTime>,
    /// Whole seconds in which something was counted, oldest first, none older than asked for, at
    /// most [`SECONDS_KEPT`]. A second that is not there had no answers.
    pub seconds: Vec<Second>,
}

/// Cumulative since the router started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Answered or failed.
    pub requests: u64,
    pub failures: Failures,
    /// The client left before the answer was whole. Those that had an answer are in `requests` too.
    pub abandoned: u64,
    /// Sent to another instance, or over another connection, because nothing had been written yet.
    pub retried: u64,
    /// Bodies received from clients. Grows while they stream.
    pub bytes_in: u64,
    /// Bodies sent to clients.
    pub bytes_out: u64,
    /// Requests to preview host names that reached this slot.
    pub previews: u64,
}

/// Failures by kind. Each failed request is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The instance answered 5xx.
    pub server_errors: u64,
    /// No instance took the connection.
    pub refused: u64,
    /// The instance ended the connection before the answer was whole.
    pub cut_off: u64,
    /// No instance took the connection in time, or the answer did not begin in time.
    pub timed_out: u64,
}

impl Failures {
    /// Of every kind.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.server_errors + self.refused + self.cut_off + self.timed_out
    }
}

impl std::ops::AddAssign for Failures {
    fn add_assign(&mut self, other: Self) {
        self.server_errors += other.server_errors;
        self.refused += other.refused;
        self.cut_off += other.cut_off;
        self.timed_out += other.timed_out;
    }
}

/// What has begun and not ended. A client that only keeps its connection open is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Everything, streams and upgrades too.
    pub all: u64,
    /// Of these, event streams (`text/event-stream`) whose answer has begun.
    pub streams: u64,
    /// Of these, WebSockets and other upgraded connections.
    pub upgrades: u64,
    /// Requests to preview host names; not in `all`.
    pub previews: u64,
}

/// One second of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Unix time of its beginning.
    pub second: i64,
    /// Answered or failed in this second. A request that is cut off after its answer began counts
    /// as a request in the second of its answer and as a failure in the second of its end.
    pub requests: u64,
    pub failures: Failures,
    /// From the whole head of the request until the head of the answer. Failures without an answer
    /// are not in it.
    pub latencies: Latencies,
    /// The longest time that ended in this second in which requests of this placement waited and
    /// none got an answer, from either slot. Microseconds.
    pub longest_gap_us: u64,
    /// Most requests in flight at once (an upper bound: maxima of the router's threads, added).
    pub max_in_flight: u64,
}

impl Second {
    /// Adds what another thread of the router saw in the same second.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.latencies.merge(&other.latencies);
        self.longest_gap_us = self.longest_gap_us.max(other.longest_gap_us);
        self.max_in_flight += other.max_in_flight;
    }
}
