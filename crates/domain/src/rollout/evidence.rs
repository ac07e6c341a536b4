//! What happened to traffic around the switch: numbers that a witness counted, kept for ever.

use crate::{
    observing::Observation,
    slot::PerSlot,
    target::{SlotTraffic, Traffic},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use time::OffsetDateTime;

/// The figures of the evidence card. Everything is from the switch on, where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who counted: "router". Empty before the switch.
    pub witness: String,
    /// What the witness can not see, as a sentence. Empty where it sees every request.
    #[serde(default)]
    pub unseen: String,
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
    /// When the last instance had ended that an old connection could lead to, as the target told.
    /// `None` until then, and where the witness sees every request.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub old_ended_at: Option<OffsetDateTime>,
    /// Going back: when the breach or the click was seen, when the traffic was back.
    #[serde(with = "time::serde::rfc3339::option")]
    pub back_decided_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub back_confirmed_at: Option<OffsetDateTime>,
    /// Whether there was a gap in what the witness could be asked, for example its restart.
    pub incomplete: bool,
    /// The witness's cumulative counters when they were last read.
    pub counted: Option<Counted>,
}

/// Cumulative counters at one moment: what is counted is the difference to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub boot: String,
    pub slots: PerSlot<(u64, u64)>,
}

/// How long connections that were open at the switch went on being answered by the old slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldAnswered {
    /// From the confirmed switch on.
    pub took: Duration,
    /// Nobody saw the last answer itself: this is when nobody was left to give one.
    pub at_most: bool,
    /// Who says so. `None`: the target itself.
    pub by: Option<String>,
}

impl Evidence {
    /// How long old connections were answered. `None` while that is not known.
    #[must_use]
    pub fn old_answered(&self) -> Option<OldAnswered> {
        let confirmed = self.confirmed_at?;
        if let Some(ended) = self.old_ended_at {
            let took = Duration::try_from(ended - confirmed).unwrap_or_default();
            return Some(OldAnswered { took, at_most: true, by: None });
        }
        // A witness that sends requests of its own says nothing of other clients' connections.
        let took = Duration::from_millis(self.last_old_answer_ms?.into());
        let by = (!self.witness.is_empty()).then(|| self.witness.clone());
        self.unseen.is_empty().then_some(OldAnswered { took, at_most: false, by })
    }

    /// Remembers the counters as they are before the switch.
    pub fn begin(&mut self, traffic: &Traffic) {
        self.witness.clone_from(&traffic.witness);
        self.unseen.clone_from(&traffic.unseen);
        self.counted = Some(Counted::of(traffic));
    }

    /// Adds what was counted since the last time. A witness that restarted begins at nothing: what
    /// it had counted and not told is lost, and the evidence says so.
    pub fn count(&mut self, traffic: &Traffic) {
        let now = Counted::of(traffic);
        let before = match self.counted.take() {
            Some(before) if before.boot == now.boot => before,
            Some(_) => {
                self.incomplete = true;
                Counted::default()
            }
            // It could not be asked at the switch: what came before this is not known.
            None => {
                self.incomplete = true;
                self.begin(traffic);
                return;
            }
        };
        // Of both slots together: a witness that learns late when traffic moved counts what it saw
        // for the other slot from then on.
        let ((requests, failures), (r, f)) = (now.sum(), before.sum());
        self.requests += requests.saturating_sub(r);
        self.failures += failures.saturating_sub(f);
        self.counted = Some(now);
    }

    /// Takes over what the observation says of the new slot, and when the old one spoke last.
    pub fn measure(&mut self, seen: &Observation, old: Option<&SlotTraffic>) {
        self.longest_gap_ms = self.longest_gap_ms.max(seen.total.longest_gap_ms);
        self.p50_us = seen.total.percentile(50);
        self.p95_us = seen.total.percentile(95);
        self.p99_us = seen.total.percentile(99);
        if let (Some(confirmed), Some(last)) =
            (self.confirmed_at, old.and_then(|old| old.last_answer_ms))
        {
            let after = i128::from(last) - confirmed.unix_timestamp_nanos() / 1_000_000;
            self.last_old_answer_ms = u32::try_from(after.max(0)).ok();
        }
    }
}

impl Counted {
    fn sum(&self) -> (u64, u64) {
        let (blue, green) = (self.slots.blue, self.slots.green);
        (blue.0 + green.0, blue.1 + green.1)
    }

    fn of(traffic: &Traffic) -> Self {
        let pair = |slot: &SlotTraffic| (slot.requests, slot.failures);
        Self {
            boot: traffic.boot.clone(),
            slots: PerSlot { blue: pair(&traffic.slots.blue), green: pair(&traffic.slots.green) },
        }
    }
}
