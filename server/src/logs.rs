//! Where log lines go: standard error, for a terminal or for a collector.

use crate::config::{Settings, values::LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Begins to log. Called once; a second call changes nothing.
pub fn begin(settings: &Settings) {
    // The filter was tried when the settings were read.
    let filter = EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let began = match settings.log_format {
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => {
            registry
                .with(
                    // Colours are for eyes, not for files.
                    fmt::layer()
                        .with_target(false)
                        .with_ansi(std::io::stderr().is_terminal())
                        .with_writer(std::io::stderr),
                )
                .try_init()
        }
    };
    drop(began);
}
