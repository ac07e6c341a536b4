//! What verbs need to know of how the program was started.

use domain::{
    name::{HostName, Wrong},
    policy::Policy,
    target::cluster::CredentialsRead,
};
use std::time::Duration;
use time::OffsetDateTime;

/// Reads what was pasted as credentials of a cluster, at a moment: a sentence names what is wrong.
pub type ReadCredentials = fn(&str, OffsetDateTime) -> Result<CredentialsRead, Wrong>;

/// Given once, at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port of the router, for the addresses that pages show.
    pub router_port: u16,
    /// The host name of the console, which no service may have: cookies ignore ports.
    pub console_host: String,
    /// Where people reach the console, for links that are sent: `https://pilothouse.example.com`.
    pub console_url: String,
    /// Under which names services come: `SERVICE.PROJECT.ENVIRONMENT.localhost`.
    pub base_domain: HostName,
    /// The policies that the environments of a new installation begin with, the open ones and the
    /// protected. Those that are there keep theirs.
    pub policy_of_open: Policy,
    pub policy_of_protected: Policy,
    /// How many builds run side by side: the engine's own limit, for the page that says who waits.
    pub builds_at_once: u32,
    /// How long logs of builds are kept, and how much of all of them.
    pub build_logs_for: Duration,
    pub build_logs_bytes: u64,
    /// Who reads credentials of clusters.
    pub read_credentials: ReadCredentials,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            router_port: 7380,
            console_host: "localhost".to_owned(),
            console_url: "http://localhost:7300".to_owned(),
            base_domain: "localhost".parse().expect("localhost is a host name"),
            policy_of_open: Policy::of_new(false),
            policy_of_protected: Policy::of_new(true),
            builds_at_once: 2,
            build_logs_for: Duration::from_secs(30 * 24 * 60 * 60),
            build_logs_bytes: 1 << 30,
            read_credentials: |_, _| Err(Wrong::new("Clusters are not offered here.")),
        }
    }
}
