//! How careful an environment is. Pinned by a rollout when it starts; an edit touches the next one.

mod differences;

pub use differences::{differences, lines, shown};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits and times of rollouts in an environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// How many people must approve before anything is touched.
    pub approvals: u8,
    /// Whether a person promotes between verified and the switch.
    pub promote_by_hand: bool,
    /// How long a wait for a person lasts.
    #[serde(with = "crate::duration")]
    pub expire_after: Duration,
    /// How long starting all instances may take.
    #[serde(with = "crate::duration")]
    pub prepare_within: Duration,
    /// How many readiness passes in a row every instance must give.
    pub passes: u8,
    /// The longest that verifying may take, whatever the service's check says.
    #[serde(with = "crate::duration")]
    pub verify_within: Duration,
    /// How long the target may take to confirm a switch, or a switch back.
    #[serde(with = "crate::duration")]
    pub switch_within: Duration,
    /// How many seconds of windows must be read before the new slot has proven itself.
    #[serde(with = "crate::duration")]
    pub observe_for: Duration,
    /// How long the old slot may take to finish what it has.
    #[serde(with = "crate::duration")]
    pub drain_for: Duration,
    /// How long the old slot stays up, ready to take the traffic back.
    #[serde(with = "crate::duration")]
    pub warm_for: Duration,
    /// Requests a window must hold before it is judged.
    pub window_requests: u32,
    /// How many percentage points of errors above the baseline are too many.
    pub error_points: f64,
    /// Below so many failures a window is never broken by errors.
    pub error_floor: u32,
    /// Errors in percent that are too many where there is no baseline.
    pub error_absolute: f64,
    /// p95 may not be more than this many times the baseline …
    pub slower_times: f64,
    /// … and, at the same time, not more than this many milliseconds above it.
    pub slower_ms: u32,
    /// Whether an image that runs as root may be deployed.
    pub root_allowed: bool,
}

impl Policy {
    /// The policy of a new environment. Protected ones keep the old slot warm for longer.
    #[must_use]
    pub const fn of_new(protected: bool) -> Self {
        Self {
            approvals: 0,
            promote_by_hand: false,
            expire_after: Duration::from_secs(24 * 3600),
            prepare_within: Duration::from_secs(600),
            passes: 3,
            verify_within: Duration::from_secs(300),
            switch_within: Duration::from_secs(10),
            observe_for: Duration::from_secs(60),
            drain_for: Duration::from_secs(30),
            warm_for: Duration::from_secs(if protected { 15 * 60 } else { 5 * 60 }),
            window_requests: 20,
            error_points: 1.0,
            error_floor: 3,
            error_absolute: 5.0,
            slower_times: 2.0,
            slower_ms: 100,
            root_allowed: false,
        }
    }
}
