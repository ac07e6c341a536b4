//! One worker's counts of a slot: totals, what is in flight, and its ring of seconds.
//!
//! The second that is being counted is a plain array of buckets; once it is over it is kept as the
//! few buckets that are not empty.

use domain::route::{
    latency::{self, Latencies},
    traffic::{Failures, InFlight, SECONDS_KEPT, Second, Totals},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use time::OffsetDateTime;

const BUCKETS: usize = latency::LAST as usize + 1;

/// If the wall clock was set back by more than this, the ring starts again.
const CLOCK_SET_BACK: i64 = 5;

/// What one worker counts of a slot.
#[derive(Debug, Default)]
pub struct Shard {
    pub totals: Totals,
    pub in_flight: InFlight,
    counting: Counting,
    ring: VecDeque<Second>,
}

#[derive(Debug)]
struct Counting {
    second: i64,
    any: bool,
    requests: u64,
    failures: Failures,
    buckets: [u32; BUCKETS],
    longest_gap_us: u64,
    max_in_flight: u64,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            second: i64::MIN,
            any: false,
            requests: 0,
            failures: Failures::default(),
            buckets: [0; BUCKETS],
            longest_gap_us: 0,
            max_in_flight: 0,
        }
    }
}

impl Counting {
    fn whole(&self) -> Second {
        Second {
            second: self.second,
            requests: self.requests,
            failures: self.failures,
            latencies: Latencies::from_counts(&self.buckets),
            longest_gap_us: self.longest_gap_us,
            max_in_flight: self.max_in_flight,
        }
    }
}

impl Shard {
    /// A request has begun.
    pub fn begin(&mut self) {
        self.in_flight.all += 1;
        let now = self.in_flight.all;
        let counting = self.now();
        counting.max_in_flight = counting.max_in_flight.max(now);
    }

    /// An answer has begun, after `latency`; nobody had had one for `gap_us`.
    pub fn answer(&mut self, latency: Duration, gap_us: u64) {
        self.totals.requests += 1;
        let counting = self.now();
        counting.requests += 1;
        counting.buckets[usize::from(latency::bucket(latency))] += 1;
        counting.longest_gap_us = counting.longest_gap_us.max(gap_us);
    }

    /// A request ended without an answer of the instance; it is counted here and nowhere else.
    pub fn no_answer(&mut self) {
        self.totals.requests += 1;
        self.now().requests += 1;
    }

    /// A request failed. `which` picks the kind.
    pub fn fail(&mut self, which: impl Fn(&mut Failures) -> &mut u64) {
        *which(&mut self.totals.failures) += 1;
        *which(&mut self.now().failures) += 1;
    }

    /// The seconds from `since` on that are over at `now`, added to `into`.
    pub fn read_seconds(&self, since: i64, now: i64, into: &mut BTreeMap<i64, Second>) {
        let current = self.counting.any.then(|| self.counting.whole());
        let oldest = since.max(now - SECONDS_KEPT as i64);
        for second in self.ring.iter().chain(&current) {
            if (oldest..now).contains(&second.second) {
                into.entry(second.second)
                    .or_insert_with(|| Second { second: second.second, ..Second::default() })
                    .merge(second);
            }
        }
    }

    /// The second that is now, the last one put away if it is over.
    fn now(&mut self) -> &mut Counting {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        self.at(now)
    }

    fn at(&mut self, now: i64) -> &mut Counting {
        let last = self.counting.second;
        if now > last || now < last - CLOCK_SET_BACK {
            if now < last {
                self.ring.clear();
            } else if self.counting.any {
                if self.ring.len() == SECONDS_KEPT {
                    self.ring.pop_front();
                }
                self.ring.push_back(self.counting.whole());
            }
            self.counting =
                Counting { second: now, max_in_flight: self.in_flight.all, ..Counting::default() };
        }
        self.counting.any = true;
        &mut self.counting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_last_seconds_and_tells_only_those_that_are_over() {
        let mut shard = Shard::default();
        for second in 0..400 {
            shard.at(1000 + second).requests += 1;
        }

        let mut seconds = BTreeMap::new();
        shard.read_seconds(0, 1399, &mut seconds);

        assert_eq!(seconds.len(), SECONDS_KEPT);
        assert_eq!(seconds.keys().next(), Some(&1099));
        assert_eq!(seconds.keys().last(), Some(&1398));

        let mut later = BTreeMap::new();
        shard.read_seconds(1398, 1400, &mut later);
        assert_eq!(later.keys().copied().collect::<Vec<_>>(), [1398, 1399]);
    }

    #[test]
    fn a_clock_set_back_a_little_does_not_change_seconds_that_were_told() {
        let mut shard = Shard::default();
        shard.at(1000).requests += 1;
        shard.at(998).requests += 1;

        let mut seconds = BTreeMap::new();
        shard.read_seconds(0, 1001, &mut seconds);

        assert_eq!(seconds.len(), 1);
        assert_eq!(seconds[&1000].requests, 2);

        shard.at(10).requests += 1;
        let mut again = BTreeMap::new();
        shard.read_seconds(0, 11, &mut again);
        assert_eq!(again.keys().copied().collect::<Vec<_>>(), [10]);
    }
}
