//! What the router saw of a placement's traffic: the evidence of a rollout.
//!
//! A [`Witness`] belongs to a placement and outlives its routes. Each request holds a [`Flight`],
//! which tells the witness how it went, also when it is dropped in the middle.

use crate::{bell::Bell, clock, per_worker::PerWorker};
use domain::{
    id::PlacementId,
    route::traffic::{InFlight, SlotTraffic, Totals, Traffic},
    slot::{PerSlot, Slot},
};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use time::OffsetDateTime;
use uuid::Uuid;

mod flight;
mod shard;

pub use flight::{Failure, Flight, Tally};
use shard::Shard;

/// What is seen of a placement.
#[derive(Debug)]
pub struct Witness {
    slots: PerSlot<SlotWitness>,
    /// Requests that have no answer yet, in both slots, and since when there are any.
    waiting: AtomicU64,
    waiting_since_ns: AtomicU64,
    last_answer_ns: AtomicU64,
    without_slot: AtomicU64,
    /// The live slot as `1 + index`, 0 for none, and since when: to find late answers.
    live: AtomicU8,
    switched_ns: AtomicU64,
}

/// What is seen of a slot.
#[derive(Debug)]
pub struct SlotWitness {
    shards: PerWorker<Shard>,
    /// Ends what is in flight at the end of a drain.
    bell: Bell,
    last_answer_ns: AtomicU64,
    late_answers: AtomicU64,
    last_late_answer_ns: AtomicU64,
}

impl SlotWitness {
    fn new(workers: usize) -> Self {
        Self {
            shards: PerWorker::new(workers),
            bell: Bell::new(workers),
            last_answer_ns: AtomicU64::new(0),
            late_answers: AtomicU64::new(0),
            last_late_answer_ns: AtomicU64::new(0),
        }
    }

    fn in_flight(&self) -> InFlight {
        let mut sum = InFlight::default();
        for shard in self.shards.all() {
            sum.all += shard.in_flight.all;
            sum.streams += shard.in_flight.streams;
            sum.upgrades += shard.in_flight.upgrades;
            sum.previews += shard.in_flight.previews;
        }
        sum
    }

    fn read(&self, since: i64) -> SlotTraffic {
        let mut totals = Totals::default();
        let mut seconds = std::collections::BTreeMap::new();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        for shard in self.shards.all() {
            add(&mut totals, &shard.totals);
            shard.read_seconds(since, now, &mut seconds);
        }
        SlotTraffic {
            totals,
            in_flight: self.in_flight(),
            last_answer_at: clock::wall(self.last_answer_ns.load(Relaxed)),
            late_answers: self.late_answers.load(Relaxed),
            last_late_answer_at: clock::wall(self.last_late_answer_ns.load(Relaxed)),
            seconds: seconds.into_values().collect(),
        }
    }
}

impl Witness {
    /// Of a placement whose requests are handled by `workers` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            slots: PerSlot { blue: SlotWitness::new(workers), green: SlotWitness::new(workers) },
            waiting: AtomicU64::new(0),
            waiting_since_ns: AtomicU64::new(0),
            last_answer_ns: AtomicU64::new(0),
            without_slot: AtomicU64::new(0),
            live: AtomicU8::new(0),
            switched_ns: AtomicU64::new(0),
        }
    }

    /// Says which slot is live, before the table is published that makes it so. Until
    /// [`Self::switched`] no answer counts as late, for its request may have been routed by the old
    /// table.
    pub fn switching(&self, live: Option<Slot>) {
        let live = live.map_or(0, |slot| slot.index() as u8 + 1);
        if self.live.load(SeqCst) != live {
            self.switched_ns.store(u64::MAX, SeqCst);
            self.live.store(live, SeqCst);
        }
    }

    /// The table is published. From now on whoever is accepted is routed by it.
    pub fn switched(&self) {
        if self.switched_ns.load(SeqCst) == u64::MAX {
            for slot in Slot::ALL {
                let seen = self.slots.of(slot);
                seen.late_answers.store(0, Relaxed);
                seen.last_late_answer_ns.store(0, Relaxed);
            }
            self.switched_ns.store(clock::now_ns(), SeqCst);
        }
    }

    /// Counts a request that no slot could take.
    pub fn count_without_slot(&self) {
        self.without_slot.fetch_add(1, Relaxed);
    }

    /// Ends what `slot` has in flight. Returns how much that was.
    pub fn close(&self, slot: Slot) -> u64 {
        let seen = self.slots.of(slot);
        let in_flight = seen.in_flight();
        seen.bell.ring();
        in_flight.all + in_flight.previews
    }

    /// Everything that was seen, with the seconds from `since` on.
    pub fn read(
        &self,
        placement: PlacementId,
        boot: Uuid,
        revision: i64,
        live: Option<Slot>,
        since: i64,
    ) -> Traffic {
        let switched_ns = match self.switched_ns.load(SeqCst) {
            u64::MAX => 0,
            at => at,
        };
        // Read before the shards: what they count later is of this second or a later one.
        let now = OffsetDateTime::now_utc();
        Traffic {
            placement,
            boot,
            now,
            revision,
            live,
            switched_at: clock::wall(switched_ns),
            without_slot: self.without_slot.load(Relaxed),
            slots: PerSlot {
                blue: self.slots.blue.read(since),
                green: self.slots.green.read(since),
            },
        }
    }
}

fn add(sum: &mut Totals, more: &Totals) {
    sum.requests += more.requests;
    sum.failures += more.failures;
    sum.abandoned += more.abandoned;
    sum.retried += more.retried;
    sum.bytes_in += more.bytes_in;
    sum.bytes_out += more.bytes_out;
    sum.previews += more.previews;
}

#[cfg(test)]
mod tests;
