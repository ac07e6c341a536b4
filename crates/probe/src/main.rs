//! The binary `pilothouse-probe`: the witness of a switch on a cluster. It sends requests to a
//! Service as a client in the cluster would, and tells what came of them.
//!
//! ```text
//! PROBE_ADDRESS        where to: an IP address and a port
//! PROBE_CHECK          which path is asked for; / where nothing is said
//! PROBE_HOST           under which host name
//! PROBE_VERSION_FIELD  which field of a JSON answer names the version
//! PROBE_RATE           how many requests a second, from 1 to 50; 10 where nothing is said
//! PROBE_LISTEN         where it tells: 0.0.0.0:7390 where nothing is said
//! ```

mod send;
mod settings;
mod tell;

use domain::witness::Counter;
use settings::Settings;
use std::{
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// What all its tasks count in.
type Shared = Arc<Mutex<Counter>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pilothouse-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let counter = Arc::new(Mutex::new(Counter::new(uuid::Uuid::new_v4().to_string())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listen = settings.listen;
        send::begin(settings, &counter);
        tell::serve(listen, counter).await
    })
}

/// Now, in milliseconds of Unix time.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A panic while it was held leaves counts that are still whole.
fn lock(counter: &Mutex<Counter>) -> MutexGuard<'_, Counter> {
    counter.lock().unwrap_or_else(PoisonError::into_inner)
}
