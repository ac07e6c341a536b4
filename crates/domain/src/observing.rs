//! Observing: is the new slot worse than the old one was? Windows of the witness's seconds are
//! compared with a baseline.
//!
//! A window lasts at least one second and until it holds enough requests. Two broken windows in a
//! row are a breach. Without traffic no window ever closes, and readiness alone decides.

use crate::{policy::Policy, target::Second};
use serde::{Deserialize, Serialize};

/// The old slot's last minutes before the switch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub requests: u64,
    pub failures: u64,
    /// In microseconds.
    pub p95_us: Option<u32>,
}

impl Baseline {
    /// From the seconds of the ring that are still there. `None` without a single request.
    #[must_use]
    pub fn of(seconds: &[Second]) -> Option<Self> {
        let window = Window::of(seconds);
        (window.requests > 0).then(|| Self {
            requests: window.requests,
            failures: window.failures,
            p95_us: window.percentile(95),
        })
    }

    /// Errors in percent.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        percent(self.failures, self.requests)
    }
}

/// What was read since the switch: enough to go on after a restart without judging a second twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The second in which traffic moved, Unix time: judged like any other, and not counted, because
    /// the new slot had only a part of it.
    #[serde(default)]
    pub switched_at: i64,
    /// The last second that was read, Unix time.
    pub read_to: i64,
    /// Seconds read, with or without traffic.
    pub seconds: u32,
    /// Seconds that wait until their window is full.
    pub open: Window,
    pub windows: u32,
    pub broken_in_a_row: u8,
    /// Why the last window was broken.
    pub broken_by: Option<String>,
    /// Everything since the switch, of the new slot.
    pub total: Window,
}

/// A sum of seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub seconds: u32,
    pub requests: u64,
    pub failures: u64,
    /// (upper bound in microseconds, count), ascending.
    pub latencies: Vec<(u32, u64)>,
    pub longest_gap_ms: u32,
}

impl Window {
    /// The sum of some seconds.
    #[must_use]
    pub fn of(seconds: &[Second]) -> Self {
        let mut window = Self::default();
        for second in seconds {
            window.add(second);
        }
        window
    }

    /// Adds one second.
    pub fn add(&mut self, second: &Second) {
        self.seconds += 1;
        self.requests += u64::from(second.requests);
        self.failures += u64::from(second.failures);
        self.longest_gap_ms = self.longest_gap_ms.max(second.longest_gap_ms);
        for &(bound, count) in &second.latencies {
            match self.latencies.binary_search_by_key(&bound, |&(b, _)| b) {
                Ok(at) => self.latencies[at].1 += u64::from(count),
                Err(at) => self.latencies.insert(at, (bound, u64::from(count))),
            }
        }
    }

    /// Adds another window.
    pub fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.requests += other.requests;
        self.failures += other.failures;
        self.longest_gap_ms = self.longest_gap_ms.max(other.longest_gap_ms);
        for &(bound, count) in &other.latencies {
            match self.latencies.binary_search_by_key(&bound, |&(b, _)| b) {
                Ok(at) => self.latencies[at].1 += count,
                Err(at) => self.latencies.insert(at, (bound, count)),
            }
        }
    }

    /// The upper bound of the bucket in which the `p`-th of a hundred answers lies.
    #[must_use]
    pub fn percentile(&self, p: u64) -> Option<u32> {
        let all: u64 = self.latencies.iter().map(|&(_, count)| count).sum();
        let rank = (all * p).div_ceil(100).max(1);
        let mut seen = 0;
        self.latencies.iter().find_map(|&(bound, count)| {
            seen += count;
            (seen >= rank).then_some(bound)
        })
    }

    /// Errors in percent; 0 without requests.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        percent(self.failures, self.requests)
    }

    /// Why this window is broken, or `None` if it is fine.
    #[must_use]
    pub fn broken(&self, baseline: Option<&Baseline>, policy: &Policy) -> Option<String> {
        let errors = self.error_percent();
        let most =
            baseline.map_or(policy.error_absolute, |old| old.error_percent() + policy.error_points);
        if errors > most && self.failures >= u64::from(policy.error_floor) {
            return Some(format!(
                "{} of {} requests failed ({errors:.1} %, limit {most:.1} %)",
                self.failures, self.requests
            ));
        }
        let (p95, old) = (self.percentile(95)?, baseline?.p95_us?);
        let slow = f64::from(p95) > f64::from(old) * policy.slower_times
            && u64::from(p95) > u64::from(old) + u64::from(policy.slower_ms) * 1000;
        slow.then(|| format!("p95 is {} ms, was {} ms", p95 / 1000, old / 1000))
    }
}

impl Observation {
    /// Reads the seconds that come after what was read, and judges the windows that are full.
    ///
    /// `unready` is what an instance of the new slot has against it now: it breaks the window that
    /// ends with this reading, and ends it even without traffic. Where the window before was broken
    /// already, it breaks all that were read: good answers of the other instances between two
    /// readings do not make it ready.
    pub fn read(
        &mut self,
        seconds: &[Second],
        unready: Option<&str>,
        baseline: Option<&Baseline>,
        policy: &Policy,
    ) {
        let fresh: Vec<_> = seconds.iter().filter(|second| second.at > self.read_to).collect();
        for (left, second) in (0..fresh.len()).rev().zip(&fresh) {
            self.read_to = second.at;
            self.seconds += u32::from(second.at > self.switched_at);
            self.open.add(second);
            self.total.add(second);
            let unready = unready.filter(|_| left == 0 || self.broken_in_a_row > 0);
            if unready.is_some() || self.open.requests >= u64::from(policy.window_requests) {
                let broken = unready.map(str::to_owned);
                self.close(broken.or_else(|| self.open.broken(baseline, policy)));
            }
        }
    }

    fn close(&mut self, broken: Option<String>) {
        self.open = Window::default();
        self.windows += 1;
        self.broken_in_a_row =
            if broken.is_some() { self.broken_in_a_row.saturating_add(1) } else { 0 };
        self.broken_by = broken;
    }

    /// Whether the last window was fine. A broken one waits for the next, which makes it a breach or
    /// not; where no more requests come, for as long again as was to be observed.
    #[must_use]
    pub fn is_settled(&self, policy: &Policy) -> bool {
        self.broken_in_a_row == 0 || u64::from(self.open.seconds) >= policy.observe_for.as_secs()
    }

    /// Why the new slot may not stay: the limit that was broken twice in a row.
    #[must_use]
    pub fn breach(&self) -> Option<&str> {
        (self.broken_in_a_row >= 2)
            .then(|| self.broken_by.as_deref().unwrap_or("a limit was broken"))
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of requests are far below 2^52.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: i64, requests: u32, failures: u32, us: u32) -> Second {
        Second { at, requests, failures, latencies: vec![(us, requests)], longest_gap_ms: 1 }
    }

    fn policy() -> Policy {
        Policy::of_new(false)
    }

    #[test]
    fn two_bad_windows_in_a_row_are_a_breach_and_one_is_not() {
        let old = Baseline::of(&[second(1, 1000, 0, 10_000)]).expect("traffic");
        let mut seen = Observation::default();

        seen.read(&[second(2, 50, 5, 10_000)], None, Some(&old), &policy());
        assert_eq!(seen.breach(), None);
        seen.read(&[second(3, 50, 0, 10_000)], None, Some(&old), &policy());
        seen.read(&[second(4, 50, 5, 10_000)], None, Some(&old), &policy());
        assert_eq!(seen.breach(), None);
        seen.read(&[second(5, 50, 5, 10_000)], None, Some(&old), &policy());
        assert!(seen.breach().expect("a breach").contains("5 of 50"));
    }

    #[test]
    fn a_second_is_never_judged_twice() {
        let mut seen = Observation::default();
        let bad = [second(2, 50, 50, 10_000)];

        for _ in 0..5 {
            seen.read(&bad, None, None, &policy());
        }

        assert_eq!((seen.windows, seen.seconds, seen.breach()), (1, 1, None));
    }

    #[test]
    fn a_trickle_of_requests_is_gathered_until_it_can_be_judged() {
        let mut seen = Observation::default();

        for at in 1..=9 {
            seen.read(&[second(at, 2, 2, 1000)], None, None, &policy());
        }
        assert_eq!(seen.windows, 0);
        seen.read(&[second(10, 2, 2, 1000)], None, None, &policy());

        assert_eq!((seen.windows, seen.broken_in_a_row), (1, 1));
    }

    #[test]
    fn slower_counts_only_when_it_is_both_twice_and_100_ms_more() {
        let broken = |old_us, new_us| {
            let old = Baseline::of(&[second(1, 100, 0, old_us)]).expect("traffic");
            Window::of(&[second(2, 100, 0, new_us)]).broken(Some(&old), &policy()).is_some()
        };

        assert!(!broken(10_000, 90_000));
        assert!(!broken(200_000, 350_000));
        assert!(broken(200_000, 450_000));
    }

    #[test]
    fn without_traffic_an_unready_instance_breaks_each_reading() {
        let mut seen = Observation::default();

        seen.read(&[second(1, 0, 0, 1)], Some("blue-1 is not ready"), None, &policy());
        assert_eq!(seen.breach(), None);
        // Nothing new to read: the same second is no second opinion.
        seen.read(&[second(1, 0, 0, 1)], Some("blue-1 is not ready"), None, &policy());
        assert_eq!(seen.breach(), None);
        seen.read(&[second(2, 0, 0, 1)], Some("blue-1 is not ready"), None, &policy());
        assert_eq!(seen.breach(), Some("blue-1 is not ready"));
    }

    /// With several instances the others answer for the dead one, and not one request fails.
    #[test]
    fn an_unready_instance_is_a_breach_also_when_the_others_answer_for_it() {
        let mut seen = Observation::default();
        let good = |at| second(at, 100, 0, 1000);

        seen.read(&[good(1)], Some("2 of 3 instances run"), None, &policy());
        assert_eq!(seen.breach(), None);
        seen.read(&[good(2), good(3)], Some("2 of 3 instances run"), None, &policy());

        assert_eq!(seen.breach(), Some("2 of 3 instances run"));
    }

    #[test]
    fn one_look_at_an_unready_instance_after_an_outage_is_no_breach() {
        let mut seen = Observation::default();
        let missed: Vec<_> = (1..=30).map(|at| second(at, 100, 0, 1000)).collect();

        seen.read(&missed, Some("blue-1 is not ready"), None, &policy());

        assert_eq!((seen.broken_in_a_row, seen.breach()), (1, None));
    }

    #[test]
    fn percentiles_are_bucket_bounds() {
        let window = Window::of(&[Second {
            at: 1,
            requests: 100,
            failures: 0,
            latencies: vec![(1000, 90), (2000, 9), (9000, 1)],
            longest_gap_ms: 0,
        }]);

        assert_eq!(window.percentile(50), Some(1000));
        assert_eq!(window.percentile(95), Some(2000));
        assert_eq!(window.percentile(100), Some(9000));
        assert_eq!(Window::default().percentile(50), None);
    }
}
