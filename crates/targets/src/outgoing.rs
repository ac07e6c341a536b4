//! Connects to where somebody else said, after a look at what the name leads to.
//!
//! The check is made with the very addresses that are then connected to, so that a name that leads
//! elsewhere a moment later gains nothing. Rules: [`domain::outgoing`].

use domain::outgoing::{Exception, check};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// The longest a name is looked up, and the longest one address is tried.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The most addresses of a name that are tried.
const TRIED: usize = 4;

/// Connects, within what an admin allows.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    allowed: Arc<[Exception]>,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It is an address that is never connected to: a sentence. Not to be tried again.
    #[error("{0}")]
    Forbidden(String),
    /// The name or the address does not answer now: a sentence.
    #[error("{0}")]
    Unreachable(String),
}

impl Outgoing {
    /// With the addresses that an admin listed.
    #[must_use]
    pub fn new(allowed: Vec<Exception>) -> Self {
        Self { allowed: allowed.into() }
    }

    /// What a name leads to. If one of its addresses must not be connected to, none is.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let unknown = || {
            Failure::Unreachable(format!(
                "The name {host} leads nowhere. Check it, and this machine's name server."
            ))
        };
        let found = timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
        let found: Vec<_> = found.map_err(|_| unknown())?.map_err(|_| unknown())?.collect();
        if found.is_empty() {
            return Err(unknown());
        }
        for address in &found {
            check(host, port, address.ip(), &self.allowed)
                .map_err(|wrong| Failure::Forbidden(wrong.0))?;
        }
        Ok(found)
    }

    /// A connection to the first address that answers.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        for address in self.addresses(host, port).await?.into_iter().take(TRIED) {
            if let Ok(Ok(stream)) = timeout(PATIENCE, TcpStream::connect(address)).await {
                return Ok(stream);
            }
        }
        Err(Failure::Unreachable(format!("{host} does not answer on port {port}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_connected_to_unless_listed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();

        for host in ["localhost", "127.0.0.1", "169.254.169.254"] {
            let refused = Outgoing::default().connect(host, port).await.expect_err("never");
            assert!(
                matches!(&refused, Failure::Forbidden(why) if why.contains("outgoing_allow")),
                "{refused}"
            );
        }
        let listed = Outgoing::new(vec![format!("localhost:{port}").parse().expect("good")]);
        listed.connect("localhost", port).await.expect("listed");
        listed.connect("127.0.0.1", port).await.expect_err("another name");
    }
}
