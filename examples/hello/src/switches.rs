//! How this image behaves: who it says it is, and what is broken in it.
//!
//! Switches are variables baked into an image, so that a bad version is bad wherever it
//! is deployed. `tools/hello-image` builds images with any of them.

use anyhow::{Context, Result};
use std::{env, str::FromStr, time::Duration};

/// Everything that is read from the environment, once, at start.
#[derive(Debug, Clone)]
pub struct Switches {
    /// `HELLO_VERSION`: the version of the image.
    pub version: String,
    /// `HELLO_REPORT_VERSION`: the version that `/health` and `/version` claim, for an image
    /// that lies. The same as `version` where it is not set.
    pub reported_version: String,
    /// `HELLO_GREETING`: the headline of the page.
    pub greeting: String,
    /// `HELLO_START_DELAY_MS`: how long the port stays closed.
    pub start_delay: Duration,
    /// `HELLO_FAIL_READY=1`: `/ready` and `/health` never pass.
    pub never_ready: bool,
    /// `HELLO_FAIL_AFTER_S`: seconds from the first request of a user to the moment since
    /// which users get 500. `/health`, `/ready` and `/version` go on saying that all is well.
    pub fail_after: Option<Duration>,
    /// `HELLO_CRASH_AFTER_S`: seconds from the start to the exit with code 1.
    pub crash_after: Option<Duration>,
    /// `PILOTHOUSE_SLOT`: blue or green.
    pub slot: String,
    /// `PILOTHOUSE_INSTANCE`, else the host name.
    pub instance: String,
    /// `PORT`, 8080 if unset.
    pub port: u16,
}

impl Switches {
    /// Reads the environment. A value that cannot be read is an error that names it.
    pub fn from_env() -> Result<Self> {
        let version = text("HELLO_VERSION").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        Ok(Self {
            reported_version: text("HELLO_REPORT_VERSION").unwrap_or_else(|| version.clone()),
            version,
            greeting: text("HELLO_GREETING").unwrap_or_else(|| "Hello".to_owned()),
            start_delay: Duration::from_millis(number("HELLO_START_DELAY_MS")?.unwrap_or(0)),
            never_ready: matches!(text("HELLO_FAIL_READY").as_deref(), Some("1" | "true")),
            fail_after: number("HELLO_FAIL_AFTER_S")?.map(Duration::from_secs_f64),
            crash_after: number("HELLO_CRASH_AFTER_S")?.map(Duration::from_secs_f64),
            slot: text("PILOTHOUSE_SLOT").unwrap_or_else(|| "none".to_owned()),
            instance: text("PILOTHOUSE_INSTANCE")
                .or_else(|| text("HOSTNAME"))
                .unwrap_or_else(|| "here".to_owned()),
            port: number("PORT")?.unwrap_or(8080),
        })
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T>(name: &str) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(name)
        .map(|value| value.parse().with_context(|| format!("{name} is not a number: {value}")))
        .transpose()
}
