//! What a service is: how it is started, spoken to and asked whether it is well.

use crate::name::{UrlPath, VariableName, Wrong};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What every release of a service carries with it: the spec at the moment it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub exposure: Exposure,
    /// Asked of each instance; a pass is a 2xx or 3xx answer in time.
    pub readiness: Check,
    /// The field of the readiness answer (JSON) that names the running version, where there is one.
    /// The gate then compares it with the release's name.
    pub version_field: Option<VersionField>,
    /// Replaces the image's command where it is not empty. Arguments, never a shell line.
    pub command: Vec<String>,
    /// The user id to run as; else the image's own.
    pub user: Option<u32>,
    pub strategy: Strategy,
    /// Whether the root file system is writable. Read-only unless the service needs it.
    pub writable_root: bool,
}

/// How requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// HTTP on this port of each instance.
    Http { port: u16 },
    /// Nothing comes in.
    None,
}

impl Exposure {
    /// The port, where there is one.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Http { port } => Some(port),
            Self::None => None,
        }
    }
}

/// How one version gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    BlueGreen,
    Recreate,
}

/// A question over HTTP and how patient to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub path: UrlPath,
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// How many failures are forgiven before the instance counts as not ready.
    pub retries: u16,
    /// How long a start may take before failures count.
    #[serde(with = "crate::duration")]
    pub start_period: Duration,
}

impl Check {
    /// Every second, 5 s to answer, 30 s to start.
    #[must_use]
    pub const fn of(path: UrlPath) -> Self {
        Self {
            path,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            retries: 5,
            start_period: Duration::from_secs(30),
        }
    }

    /// How long verifying may take by this check alone.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.start_period + (self.interval + self.timeout) * u32::from(self.retries)
    }
}

/// The name of a field in a JSON object, for example `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionField(String);

impl VersionField {
    /// The field's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for VersionField {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        // The same letters as a variable's name, and no prefix is reserved here.
        let typed = typed.trim();
        if typed.starts_with("PILOTHOUSE_") || typed.parse::<VariableName>().is_ok() {
            return Ok(Self(typed.to_owned()));
        }
        Err(Wrong::new("The field's name is letters, digits and _, for example version."))
    }
}

impl TryFrom<String> for VersionField {
    type Error = Wrong;

    fn try_from(typed: String) -> Result<Self, Wrong> {
        typed.parse()
    }
}

impl From<VersionField> for String {
    fn from(field: VersionField) -> Self {
        field.0
    }
}

/// What one instance may use. There is always a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Thousandths of a core, from 10 to 64,000.
    pub cpu_millis: u32,
    /// Bytes, from 4 MiB to 1 TiB.
    pub memory_bytes: u64,
    /// Processes and threads, from 1 to 32,768.
    pub pids: u32,
}

impl Limits {
    /// One core, 256 MiB, 256 processes.
    pub const DEFAULT: Self = Self { cpu_millis: 1000, memory_bytes: 256 << 20, pids: 256 };

    /// Refuses what no machine has and what nothing could start with.
    pub fn checked(self) -> Result<Self, Wrong> {
        if !(10..=64_000).contains(&self.cpu_millis) {
            return Err(Wrong::new("CPU is 0.01 to 64 cores."));
        }
        if !(4 << 20..=1_u64 << 40).contains(&self.memory_bytes) {
            return Err(Wrong::new("Memory is 4 MiB to 1 TiB."));
        }
        if !(1..=32_768).contains(&self.pids) {
            return Err(Wrong::new("Processes are 1 to 32768."));
        }
        Ok(self)
    }
}

/// Instances in a slot, 1 to 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Size(u16);

impl Size {
    /// One instance.
    pub const ONE: Self = Self(1);

    /// The number.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Size {
    type Error = Wrong;

    fn try_from(count: u16) -> Result<Self, Wrong> {
        if (1..=50).contains(&count) {
            Ok(Self(count))
        } else {
            Err(Wrong::new("A slot has 1 to 50 instances."))
        }
    }
}

impl From<Size> for u16 {
    fn from(size: Size) -> Self {
        size.0
    }
}

/// How many instances there are and under which names, in one line: what an edit of both was based
/// on.
#[must_use]
pub fn placed(size: Size, host_names: &[crate::name::HostName]) -> String {
    host_names.iter().fold(size.count().to_string(), |line, name| format!("{line} {name}"))
}
