//! What has to be done now and then, for as long as the server runs.

use control::Control;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Removes what has ended, and tells of failures to sign in and of refusals that wait to be told.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Never ends by itself.
pub async fn run(control: Control) {
    let mut sweeps = interval(SWEEP_EVERY);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        sweeps.tick().await;
        if let Err(error) = control.sweep().await {
            tracing::warn!(%error, "What has ended could not be swept out; the next minute will");
        }
        if let Err(error) = control.tell_refusals().await {
            tracing::warn!(%error, "Refusals could not be told; the next minute will");
        }
    }
}
