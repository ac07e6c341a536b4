//! A request on its way, as the witness counts it.

use super::{SlotWitness, Witness};
use crate::{bell::Place, clock};
use domain::{route::traffic::Failures, slot::Slot};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

/// Bytes are told to the witness in portions of at least this many, and at the end.
const PORTION_BYTES: u64 = 256 * 1024;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused,
    CutOff,
    TimedOut,
}

impl Failure {
    const fn of(self, failures: &mut Failures) -> &mut u64 {
        match self {
            Self::Refused => &mut failures.refused,
            Self::CutOff => &mut failures.cut_off,
            Self::TimedOut => &mut failures.timed_out,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Answered,
    Stream,
    Upgrade,
    Ended,
}

/// A request from its acceptance to its end. Dropped before the end: the client left.
#[derive(Debug)]
pub struct Flight {
    witness: Arc<Witness>,
    slot: Slot,
    preview: bool,
    accepted_ns: u64,
    stage: Stage,
    bytes_out: u64,
    place: Place,
}

/// Bytes that pass one way, told to the witness in portions, at their end, and when whoever carries
/// them is dropped: so what failed is counted too, and a long upload while it lasts.
#[derive(Debug)]
pub struct Tally {
    witness: Arc<Witness>,
    slot: Slot,
    way: Way,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
    /// Of a preview, which is not counted.
    Nowhere,
}

impl Tally {
    /// More bytes have passed.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= PORTION_BYTES {
            self.tell();
        }
    }

    /// Tells what was not told yet.
    pub fn tell(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        let seen = self.witness.slots.of(self.slot);
        match self.way {
            Way::In => seen.shards.mine().totals.bytes_in += bytes,
            Way::Out => seen.shards.mine().totals.bytes_out += bytes,
            Way::Nowhere => {}
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Flight {
    /// A request that was accepted at `accepted_ns` goes to `slot`.
    pub fn begin(witness: Arc<Witness>, slot: Slot, preview: bool, accepted_ns: u64) -> Self {
        let seen = witness.slots.of(slot);
        let place = seen.bell.place();
        {
            let mut shard = seen.shards.mine();
            if preview {
                shard.in_flight.previews += 1;
                shard.totals.previews += 1;
            } else {
                shard.begin();
            }
        }
        if !preview && witness.waiting.fetch_add(1, Relaxed) == 0 {
            witness.waiting_since_ns.store(accepted_ns, Relaxed);
        }
        Self { witness, slot, preview, accepted_ns, stage: Stage::Waiting, bytes_out: 0, place }
    }

    /// The head of the answer is here.
    pub fn answered(&mut self, server_error: bool, stream: bool, upgrade: bool) {
        self.stage = match (stream, upgrade) {
            (_, true) => Stage::Upgrade,
            (true, false) => Stage::Stream,
            (false, false) => Stage::Answered,
        };
        if self.preview {
            return;
        }
        let now_ns = clock::now_ns();
        let seen = self.witness.slots.of(self.slot);
        let gap_us = self.witness.answered(now_ns);
        seen.last_answer_ns.store(now_ns, Relaxed);
        if self.witness.is_late(self.slot, self.accepted_ns) {
            seen.late_answers.fetch_add(1, Relaxed);
            seen.last_late_answer_ns.store(now_ns, Relaxed);
        }

        let mut shard = seen.shards.mine();
        shard.answer(Duration::from_nanos(now_ns - self.accepted_ns), gap_us);
        if server_error {
            shard.fail(|failures| &mut failures.server_errors);
        }
        shard.in_flight.streams += u64::from(self.stage == Stage::Stream);
        shard.in_flight.upgrades += u64::from(self.stage == Stage::Upgrade);
    }

    /// It went over another connection or to another instance, because nothing had been written.
    pub fn retried(&self) {
        if !self.preview {
            self.seen().shards.mine().totals.retried += 1;
        }
    }

    /// It ended badly, and not through the client.
    pub fn failed(&mut self, failure: Failure) {
        self.finish(Some(failure), false);
    }

    /// It ended as it should.
    pub fn ended(&mut self) {
        self.finish(None, false);
    }

    /// Bytes of the answer went to the client.
    pub fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
        if self.bytes_out >= PORTION_BYTES && !self.preview {
            let bytes = std::mem::take(&mut self.bytes_out);
            self.seen().shards.mine().totals.bytes_out += bytes;
        }
    }

    /// For bytes that come from the client.
    pub fn tally_in(&self) -> Tally {
        self.tally(Way::In)
    }

    /// For bytes that go to the client past [`Self::sent`].
    pub fn tally_out(&self) -> Tally {
        self.tally(Way::Out)
    }

    fn tally(&self, way: Way) -> Tally {
        let way = if self.preview { Way::Nowhere } else { way };
        Tally { witness: self.witness.clone(), slot: self.slot, way, bytes: 0 }
    }

    /// Whether the answer is a stream that has no end of its own.
    pub fn is_stream(&self) -> bool {
        self.stage == Stage::Stream
    }

    /// Whether the slot was closed. Does not wait.
    pub fn is_closed(&self) -> bool {
        self.seen().bell.rang(&self.place)
    }

    /// Ready when the slot is closed: see [`domain::route::Close`].
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.witness.slots.of(self.slot).bell.poll(&mut self.place, cx)
    }

    fn seen(&self) -> &SlotWitness {
        self.witness.slots.of(self.slot)
    }

    fn finish(&mut self, failure: Option<Failure>, abandoned: bool) {
        if self.stage == Stage::Ended {
            return;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let seen = self.witness.slots.of(self.slot);
        seen.bell.leave(&mut self.place);
        if self.preview {
            seen.shards.mine().in_flight.previews -= 1;
            return;
        }
        if stage == Stage::Waiting {
            self.witness.waiting.fetch_sub(1, Relaxed);
        }

        let mut shard = seen.shards.mine();
        shard.in_flight.all -= 1;
        shard.in_flight.streams -= u64::from(stage == Stage::Stream);
        shard.in_flight.upgrades -= u64::from(stage == Stage::Upgrade);
        shard.totals.bytes_out += self.bytes_out;
        shard.totals.abandoned += u64::from(abandoned);
        if let Some(failure) = failure {
            if stage == Stage::Waiting {
                shard.no_answer();
            }
            shard.fail(|failures| failure.of(failures));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Who leaves an event stream or a WebSocket has had what they came for.
        let abandoned = matches!(self.stage, Stage::Waiting | Stage::Answered);
        self.finish(None, abandoned);
    }
}

impl Witness {
    /// Counts an answer. Returns for how long requests had waited and none had got one, in µs.
    fn answered(&self, now_ns: u64) -> u64 {
        let before = self.last_answer_ns.swap(now_ns, Relaxed);
        let since = before.max(self.waiting_since_ns.load(Relaxed));
        self.waiting.fetch_sub(1, Relaxed);
        now_ns.saturating_sub(since) / 1000
    }

    /// Whether `slot` should no longer have got a request that was accepted at `accepted_ns`.
    fn is_late(&self, slot: Slot, accepted_ns: u64) -> bool {
        accepted_ns > self.switched_ns.load(Relaxed)
            && usize::from(self.live.load(Relaxed)) != slot.index() + 1
            && self.switched_ns.load(Relaxed) != 0
    }
}
