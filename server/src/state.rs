//! What the handlers of this crate share.

use crate::{live::seats::Seats, metrics::Metrics, probes::Health};
use axum::extract::FromRef;
use control::Control;
use engine::{builds::BuildLogs, live::Hub, logs::Logs};
use leptos::config::LeptosOptions;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Cheap to clone; one for the whole server.
#[derive(Clone, Debug)]
pub struct Console {
    pub control: Control,
    pub hub: Hub,
    pub logs: Logs,
    pub build_logs: BuildLogs,
    pub seats: Arc<Seats>,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    /// Which build of the pages this is: an open tab of another one is told to load again.
    pub build: Arc<str>,
    /// Cancelled when the server begins to stop.
    pub stop: CancellationToken,
    pub leptos: LeptosOptions,
}

impl FromRef<Console> for LeptosOptions {
    fn from_ref(console: &Console) -> Self {
        console.leptos.clone()
    }
}
