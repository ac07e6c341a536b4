//! Latencies in buckets whose bounds grow by a tenth: any quantile is right to about 5 %.
//!
//! Bucket 0 holds what took less than 100 µs. Bucket `n` holds what took at least
//! `100 µs x 1.1^(n-1)` and less than `100 µs x 1.1^n`; the last one, [`LAST`], holds everything
//! from 56 s on. Histograms with the same bounds can be added, quantiles can not.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Number of the last bucket.
pub const LAST: u8 = 140;

const FIRST_BOUND_US: f64 = 100.0;
const GROWTH: f64 = 1.1;

/// The bucket that holds `latency`.
#[must_use]
pub fn bucket(latency: Duration) -> u8 {
    let us = latency.as_secs_f64() * 1e6;
    if us < FIRST_BOUND_US {
        return 0;
    }
    // `+ 1e-9`: a bound itself belongs to the bucket above, whatever the logarithm rounds to.
    let steps = ((us / FIRST_BOUND_US).ln() / GROWTH.ln() + 1e-9).floor();
    if steps >= f64::from(LAST) { LAST } else { steps as u8 + 1 }
}

/// The value that stands for everything in `bucket`: the geometric middle of its bounds.
#[must_use]
pub fn middle(bucket: u8) -> Duration {
    let us = match bucket {
        0 => FIRST_BOUND_US / 2.0,
        n => FIRST_BOUND_US * GROWTH.powf(f64::from(n) - 0.5),
    };
    Duration::from_nanos((us * 1e3) as u64)
}

/// The upper bound of `bucket` in microseconds. The last one has none: it stands for itself, ten
/// times its lower bound.
#[must_use]
pub fn upper_bound_us(bucket: u8) -> u32 {
    let us = FIRST_BOUND_US * GROWTH.powi(i32::from(bucket.min(LAST)));
    if bucket >= LAST { (us * 10.0 / GROWTH) as u32 } else { us as u32 }
}

/// How many answers took how long: `[bucket, count]` pairs in ascending order, no zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latencies(pub Vec<(u8, u64)>);

impl Latencies {
    /// From counts by bucket.
    #[must_use]
    pub fn from_counts(counts: &[u32]) -> Self {
        let pairs = (0..=LAST).zip(counts).filter(|(_, count)| **count > 0);
        Self(pairs.map(|(bucket, count)| (bucket, u64::from(*count))).collect())
    }

    /// One answer.
    #[must_use]
    pub fn of(latency: Duration) -> Self {
        Self(vec![(bucket(latency), 1)])
    }

    /// How many answers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.0 {
            match self.0.binary_search_by_key(&bucket, |pair| pair.0) {
                Ok(at) => self.0[at].1 += count,
                Err(at) => self.0.insert(at, (bucket, count)),
            }
        }
    }

    /// The latency that the share `q` (0 to 1) of all answers did not exceed. None without answers.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let all = self.count();
        let rank = ((all as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|&(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| middle(bucket))
        })
    }
}

#[cfg(test)]
mod tests;
