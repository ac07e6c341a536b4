//! What a witness counts that sends requests by itself: through a cluster's Service, as a client
//! would. Pure: whoever sends says when, and whoever asks gets the last minutes.
//!
//! A Service does not say which of the slots behind it answered. So an answer is kept with the moment
//! its connection was opened, which decided that, and with the version that it named, where it did.
//! Who knows when the traffic moved can tell from these whose answer it was.

use crate::route::{latency::Latencies, traffic::SECONDS_KEPT};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// Where a probe inside a cluster tells what it counted.
pub const PROBE_PORT: u16 = 7390;

/// The path under which it does. `?since=SECOND` leaves out what came earlier.
pub const PROBE_PATH: &str = "/counted";

/// The most parts of a second that are kept apart; what comes more is added to the last one.
const PARTS: usize = 64;
/// The longest version that is kept.
const LONGEST_VERSION: usize = 64;
/// A clock set back by more than this many seconds begins anew.
const CLOCK_SET_BACK: i64 = 10;

/// What a witness counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Another one for each life of the witness: with it, counters began again at 0.
    pub boot: String,
    /// The second of the first answer, from which on everything was counted. Unix time. `None`:
    /// nothing was answered yet.
    pub since: Option<i64>,
    /// The witness's clock, in milliseconds of Unix time.
    pub now_ms: i64,
    /// Sent and answered, or failed, since the first answer.
    pub requests: u64,
    pub failures: u64,
    /// Seconds in which something ended, oldest first, without the one that is now.
    pub seconds: Vec<Second>,
}

/// One second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Unix time.
    pub at: i64,
    /// The longest time that ended in this second in which requests waited and none was answered.
    pub longest_gap_ms: u32,
    pub parts: Vec<Part>,
}

/// What ended in a second on connections that were opened at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// When the connection was opened, in milliseconds of Unix time.
    pub opened_ms: i64,
    /// What the answers said of their version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub requests: u32,
    /// 5xx, refused, cut off, timed out.
    pub failures: u32,
    pub latencies: Latencies,
    /// When the last answer came, in milliseconds of Unix time.
    pub last_answer_ms: Option<i64>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// When its connection was opened, in milliseconds of Unix time.
    pub opened_ms: i64,
    pub version: Option<String>,
    /// Until the whole answer. `None`: there was none.
    pub latency: Option<Duration>,
    pub failed: bool,
}

/// Counts, second by second. Takes the time from its caller, in milliseconds of Unix time.
#[derive(Clone, Debug)]
pub struct Counter {
    boot: String,
    since: Option<i64>,
    requests: u64,
    failures: u64,
    waiting: u32,
    waiting_since_ms: i64,
    last_answer_ms: i64,
    ring: VecDeque<Second>,
}

impl Counter {
    /// A new life under a name of its own.
    #[must_use]
    pub const fn new(boot: String) -> Self {
        Self {
            boot,
            since: None,
            requests: 0,
            failures: 0,
            waiting: 0,
            waiting_since_ms: 0,
            last_answer_ms: 0,
            ring: VecDeque::new(),
        }
    }

    /// A request is on its way. Each ends by one [`Counter::ended`] or [`Counter::unknown`].
    pub const fn sent(&mut self, now_ms: i64) {
        if self.waiting == 0 {
            self.waiting_since_ms = now_ms;
        }
        self.waiting += 1;
    }

    /// A request ended. What fails before the first answer is not counted: nobody was there yet.
    pub fn ended(&mut self, how: Ended, now_ms: i64) {
        self.waiting = self.waiting.saturating_sub(1);
        let answered = how.latency.is_some() && !how.failed;
        if self.since.is_none() {
            if !answered {
                return;
            }
            self.since = Some(now_ms.div_euclid(1000));
        }
        let gap_ms = if answered {
            let since = self.waiting_since_ms.max(self.last_answer_ms);
            self.last_answer_ms = now_ms;
            u32::try_from(now_ms - since).unwrap_or(0)
        } else {
            0
        };
        self.requests += 1;
        self.failures += u64::from(how.failed);
        let second = self.second(now_ms.div_euclid(1000));
        second.longest_gap_ms = second.longest_gap_ms.max(gap_ms);
        let version = how.version.filter(|version| version.len() <= LONGEST_VERSION);
        let known = second
            .parts
            .iter()
            .position(|part| part.opened_ms == how.opened_ms && part.version == version);
        let at = match known {
            Some(at) => at,
            None if second.parts.len() < PARTS => {
                second.parts.push(Part { opened_ms: how.opened_ms, version, ..Part::default() });
                second.parts.len() - 1
            }
            None => PARTS - 1,
        };
        let part = &mut second.parts[at];
        part.requests += 1;
        part.failures += u32::from(how.failed);
        if let Some(latency) = how.latency {
            part.latencies.merge(&Latencies::of(latency));
            part.last_answer_ms = Some(now_ms);
        }
    }

    /// Nobody can tell how a request ended, so it is none, and nobody waited until now.
    pub fn unknown(&mut self, now_ms: i64) {
        self.waiting = self.waiting.saturating_sub(1);
        self.waiting_since_ms = self.waiting_since_ms.max(now_ms);
    }

    /// What was counted in the seconds from `since` on that are over.
    #[must_use]
    pub fn counted(&self, since: i64, now_ms: i64) -> Counted {
        let now = now_ms.div_euclid(1000);
        let kept = i64::try_from(SECONDS_KEPT).unwrap_or(i64::MAX);
        let oldest = since.max(now - kept);
        Counted {
            boot: self.boot.clone(),
            since: self.since,
            now_ms,
            requests: self.requests,
            failures: self.failures,
            seconds: self
                .ring
                .iter()
                .filter(|second| (oldest..now).contains(&second.at))
                .cloned()
                .collect(),
        }
    }

    fn second(&mut self, at: i64) -> &mut Second {
        let last = self.ring.back().map(|second| second.at);
        if last.is_some_and(|last| at < last - CLOCK_SET_BACK) {
            self.ring.clear();
        }
        // A clock set back a little goes on with the second that it was in.
        if self.ring.back().is_none_or(|second| at > second.at) {
            if self.ring.len() > SECONDS_KEPT {
                self.ring.pop_front();
            }
            self.ring.push_back(Second { at, ..Second::default() });
        }
        let newest = self.ring.len() - 1;
        &mut self.ring[newest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(opened_ms: i64) -> Ended {
        Ended { opened_ms, version: None, latency: Some(Duration::from_millis(2)), failed: false }
    }

    fn refused(opened_ms: i64) -> Ended {
        Ended { opened_ms, version: None, latency: None, failed: true }
    }

    fn one(counter: &mut Counter, sent_ms: i64, how: Ended, ended_ms: i64) {
        counter.sent(sent_ms);
        counter.ended(how, ended_ms);
    }

    #[test]
    fn what_fails_before_anybody_answered_is_not_counted() {
        let mut counter = Counter::new("a".to_owned());

        one(&mut counter, 1_000, refused(1_000), 1_001);
        assert_eq!(counter.counted(0, 5_000).since, None);
        one(&mut counter, 2_000, answered(2_000), 2_002);
        one(&mut counter, 3_000, refused(3_000), 3_001);

        let counted = counter.counted(0, 5_000);
        assert_eq!((counted.since, counted.requests, counted.failures), (Some(2), 2, 1));
    }

    #[test]
    fn answers_of_one_second_are_kept_apart_by_connection_and_version() {
        let mut counter = Counter::new("a".to_owned());
        for (opened, version) in [(100, "1"), (100, "1"), (9_000, "1"), (9_000, "2")] {
            let how = Ended { version: Some(version.to_owned()), ..answered(opened) };
            one(&mut counter, 9_010, how, 9_020);
        }

        let counted = counter.counted(0, 10_000);

        let parts: Vec<_> = counted.seconds[0]
            .parts
            .iter()
            .map(|part| (part.opened_ms, part.version.as_deref(), part.requests))
            .collect();
        assert_eq!(parts, [(100, Some("1"), 2), (9_000, Some("1"), 1), (9_000, Some("2"), 1)]);
        assert_eq!(counted.seconds[0].parts[0].latencies.count(), 2);
    }

    #[test]
    fn a_gap_is_the_time_in_which_somebody_waited() {
        let mut counter = Counter::new("a".to_owned());
        one(&mut counter, 1_000, answered(1_000), 1_005);
        // Nobody waits for half a second: no gap. Then one waits for 300 ms, beside failures.
        counter.sent(1_500);
        one(&mut counter, 1_600, refused(1_600), 1_601);
        counter.ended(answered(1_500), 1_800);

        let counted = counter.counted(0, 3_000);

        assert_eq!(counted.seconds[0].longest_gap_ms, 300);
    }

    #[test]
    fn what_nobody_can_tell_is_neither_a_request_nor_a_gap() {
        let mut counter = Counter::new("a".to_owned());
        one(&mut counter, 1_000, answered(1_000), 1_005);
        counter.sent(1_100);
        counter.sent(1_200);
        counter.unknown(1_850);
        counter.ended(answered(1_200), 1_900);

        let counted = counter.counted(0, 3_000);

        assert_eq!((counted.requests, counted.failures), (2, 0));
        assert_eq!(counted.seconds[0].longest_gap_ms, 50);
    }

    #[test]
    fn the_second_that_is_now_is_not_told_and_old_ones_are_forgotten() {
        let mut counter = Counter::new("a".to_owned());
        for second in 0..400 {
            one(&mut counter, second * 1_000, answered(0), second * 1_000 + 1);
        }

        let counted = counter.counted(0, 399_500);

        assert_eq!(counted.seconds.first().map(|second| second.at), Some(99));
        assert_eq!(counted.seconds.last().map(|second| second.at), Some(398));
        assert_eq!(counted.requests, 400);
        assert_eq!(counter.counted(397, 399_500).seconds.len(), 2);
    }

    #[test]
    fn a_second_has_a_bound_however_many_connections_it_saw() {
        let mut counter = Counter::new("a".to_owned());
        for opened in 0..1_000 {
            one(&mut counter, 500, answered(opened), 600);
        }

        let counted = counter.counted(0, 2_000);

        assert_eq!(counted.seconds[0].parts.len(), PARTS);
        let requests: u32 = counted.seconds[0].parts.iter().map(|part| part.requests).sum();
        assert_eq!(requests, 1_000);
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_goes_on_and_far_back_begins_anew() {
        let mut counter = Counter::new("a".to_owned());
        one(&mut counter, 100_000, answered(0), 100_001);
        one(&mut counter, 98_000, answered(0), 98_001);
        assert_eq!(counter.counted(0, 101_000).seconds.len(), 1);

        one(&mut counter, 10_000, answered(0), 10_001);

        let seconds = counter.counted(0, 11_000).seconds;
        assert_eq!(seconds.iter().map(|second| second.at).collect::<Vec<_>>(), [10]);
    }
}
