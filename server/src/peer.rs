//! Who sends a request: the address of the connection, or the one that a trusted proxy named.

use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Where a request came from. In the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection's other end.
    pub connection: SocketAddr,
    /// The person's own address, as far as we can know it.
    pub address: IpAddr,
}

impl Peer {
    /// Believes `X-Forwarded-For` only of a trusted proxy, and only its last entry that is not
    /// itself a trusted proxy: what stands before that was written by whoever sent the request, and
    /// may be anything.
    #[must_use]
    pub fn of(connection: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> Self {
        let direct = connection.ip().to_canonical();
        if !trusted.contains(&direct) {
            return Self { connection, address: direct };
        }
        let named: Vec<&[u8]> = headers
            .get_all("x-forwarded-for")
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .collect();
        let address =
            named.into_iter().rev().map_while(address).find(|address| !trusted.contains(address));
        Self { connection, address: address.unwrap_or(direct) }
    }

    /// Whether it comes from this very machine.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        self.address.is_loopback()
    }

    /// Whether plain HTTP may be spoken with it: on this machine, or with the proxy that ends TLS.
    #[must_use]
    pub fn may_speak(&self, trusted: &[IpAddr]) -> bool {
        let direct = self.connection.ip().to_canonical();
        direct.is_loopback() || trusted.contains(&direct)
    }
}

/// An address as proxies write it: some put the port behind it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    let address = text.parse::<IpAddr>().or_else(|_| with_port()).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

    fn peer(connection: &str, forwarded: &str) -> IpAddr {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        Peer::of(connection.parse().unwrap(), &headers, &[PROXY]).address
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(peer("10.0.0.9:1", "1.2.3.4"), "10.0.0.9".parse::<IpAddr>().unwrap());
        assert_eq!(peer("10.0.0.5:1", "1.2.3.4"), "1.2.3.4".parse::<IpAddr>().unwrap());
        assert_eq!(peer("[::ffff:10.0.0.5]:1", "1.2.3.4"), "1.2.3.4".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn an_address_that_the_sender_wrote_himself_is_not_believed() {
        let seen = peer("10.0.0.5:1", "127.0.0.1, 1.2.3.4, 10.0.0.5");

        assert_eq!(seen, "1.2.3.4".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn nonsense_of_the_sender_does_not_hide_where_he_is() {
        for nonsense in ["unknown", "", "\u{fc}", "300.1.1.1", "a, b, 127.0.0.1, c"] {
            let seen = peer("10.0.0.5:1", &format!("{nonsense}, 1.2.3.4"));

            assert_eq!(seen, "1.2.3.4".parse::<IpAddr>().unwrap(), "{nonsense}");
        }
        assert_eq!(peer("10.0.0.5:1", "x, 1.2.3.4:5678"), "1.2.3.4".parse::<IpAddr>().unwrap());
    }
}
