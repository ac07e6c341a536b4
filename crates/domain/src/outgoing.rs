//! Which addresses may be connected to when somebody else says where: a repository's, a registry's.
//!
//! A name that a person may type must not lead to what only this machine can reach: itself, its link,
//! the metadata service of its cloud. Names are looked up and checked when they are connected to,
//! because what they lead to can change after any earlier check. Private networks are allowed:
//! that is where most git servers of a company are.

use crate::name::{HostName, Wrong};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// What an admin listed as allowed all the same: a host, with or without a port, or a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Exception {
    /// By the name that was typed, whatever it leads to.
    Host { host: String, port: Option<u16> },
    /// By the address that it leads to.
    Network { start: IpAddr, bits: u8 },
}

/// Why an address is not connected to, as the middle of a sentence. `None`: it may be.
#[must_use]
pub fn never(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => never_v4(address),
        IpAddr::V6(address) => never_v6(address),
    }
}

fn never_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, ..] = address.octets();
    // Those of clouds whose metadata service has no link-local address.
    let metadata = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    if address.is_loopback() {
        Some("it is this machine itself")
    } else if address.is_link_local() || metadata.contains(&address) {
        Some("it is link-local or a cloud's metadata service")
    } else if a == 0 || address.is_multicast() || a >= 240 {
        Some("it is not the address of a server")
    } else {
        None
    }
}

fn never_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        never_v4(Ipv4Addr::new(a, b, c, d))
    };
    if address.is_loopback() {
        Some("it is this machine itself")
    } else if let [0, 0, 0, 0, 0, 0 | 0xffff, high, low] = s {
        embedded(high, low)
    } else if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] = s {
        embedded(high, low)
    } else if s[0] & 0xffc0 == 0xfe80
        || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
    {
        Some("it is link-local or a cloud's metadata service")
    } else if address.is_multicast() {
        Some("it is not the address of a server")
    } else {
        None
    }
}

impl Exception {
    /// Whether this allows `address`, to which `host` leads.
    #[must_use]
    pub fn covers(&self, host: &str, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Host { host: listed, port: at } => {
                listed.eq_ignore_ascii_case(host) && at.is_none_or(|at| at == port)
            }
            Self::Network { start, bits } => match (start, address.to_canonical()) {
                (IpAddr::V4(start), IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                    start.to_bits() & mask == address.to_bits() & mask
                }
                (IpAddr::V6(start), IpAddr::V6(address)) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                    start.to_bits() & mask == address.to_bits() & mask
                }
                _ => false,
            },
        }
    }
}

/// Whether `address`, to which `host` leads, may be connected to; else why not.
pub fn check(host: &str, port: u16, address: IpAddr, allowed: &[Exception]) -> Result<(), Wrong> {
    let Some(why) = never(address) else { return Ok(()) };
    if allowed.iter().any(|one| one.covers(host, port, address)) {
        return Ok(());
    }
    let leads = if host.parse() == Ok(address) {
        String::new()
    } else {
        format!(", to which {host} leads,")
    };
    Err(Wrong::new(format!(
        "{address}{leads} is not connected to: {why}. An admin can list it in the setting outgoing_allow."
    )))
}

impl FromStr for Exception {
    type Err = Wrong;

    fn from_str(typed: &str) -> Result<Self, Wrong> {
        let typed = typed.trim();
        if let Some((start, bits)) = typed.split_once('/') {
            let wrong = || Wrong::new(format!("“{typed}” is no network. Use one like 10.0.0.0/8."));
            let start: IpAddr = start.parse().map_err(|_| wrong())?;
            let bits: u8 = bits.parse().map_err(|_| wrong())?;
            let most = if start.is_ipv4() { 32 } else { 128 };
            return if bits <= most { Ok(Self::Network { start, bits }) } else { Err(wrong()) };
        }
        if let Ok(start) = typed.parse::<IpAddr>() {
            let bits = if start.is_ipv4() { 32 } else { 128 };
            return Ok(Self::Network { start, bits });
        }
        let (host, port) = match typed.rsplit_once(':') {
            Some((host, port)) => {
                let wrong = |_| Wrong::new("The port is a number up to 65535.");
                (host, Some(port.parse().map_err(wrong)?))
            }
            None => (typed, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => host.parse::<HostName>()?.to_string(),
        };
        Ok(Self::Host { host, port })
    }
}

/// Reads back as the same.
impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { start, bits } => write!(f, "{start}/{bits}"),
            Self::Host { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

impl TryFrom<String> for Exception {
    type Error = Wrong;

    fn try_from(typed: String) -> Result<Self, Wrong> {
        typed.parse()
    }
}

impl From<Exception> for String {
    fn from(exception: Exception) -> Self {
        exception.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_machine_can_reach_is_never_connected_to() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(never(address.parse().expect("an address")).is_some(), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "2001:db8::1",
            "::ffff:93.184.216.34",
            "fd12::1",
        ] {
            assert_eq!(never(address.parse().expect("an address")), None, "{address}");
        }
    }

    #[test]
    fn an_exception_covers_what_it_names_and_no_more() {
        let loopback: IpAddr = "127.0.0.1".parse().expect("an address");
        let covers = |typed: &str, host: &str, port| {
            typed.parse::<Exception>().expect("good").covers(host, port, loopback)
        };

        assert!(covers("localhost:8443", "localhost", 8443));
        assert!(!covers("localhost:8443", "localhost", 443));
        assert!(!covers("localhost", "rebound.example.org", 443));
        assert!(covers("127.0.0.0/8", "rebound.example.org", 443));
        assert!(covers("127.0.0.1", "127.0.0.1", 443));
        assert!(!covers("10.0.0.0/8", "localhost", 443));
        for typed in ["10.0.0.0/33", "a b", "host:99999", "x/8", ""] {
            assert!(typed.parse::<Exception>().is_err(), "{typed}");
        }
        assert!(check("localhost", 443, loopback, &[]).is_err());
    }
}
