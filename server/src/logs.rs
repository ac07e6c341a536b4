//! Where log lines go: standard error, for a terminal or for a collector.

use crate::config::{Settings, values::LogFormat};
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, prelude::*};

/// Begins to log. Called once; a second call changes nothing.
pub fn begin(settings: &Settings) {
    // The filter was tried when the settings were read.
    let filter = EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_told));
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

/// What is sent to a container engine holds the values of secrets, and its client tells of each request
/// in full to whoever asks for that much. So it is not asked, whatever the settings say.
fn may_be_told(of: &Metadata<'_>) -> bool {
    !of.target().starts_with("bollard") || *of.level() <= Level::INFO
}
