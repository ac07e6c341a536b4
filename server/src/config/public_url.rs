//! The address by which people reach the console. Links are made from it, and the `Host` and
//! `Origin` of a request are held against it; never the other way round.

use serde::Deserialize;
use std::{fmt, net::IpAddr, str::FromStr};

/// A scheme, a host and a port; no path, because cookies and pages begin at the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl {
    https: bool,
    /// Lower case; an IPv6 address keeps its brackets.
    host: String,
    port: u16,
}

impl PublicUrl {
    /// `http://localhost:PORT`: the address from which browsers accept our cookie without TLS.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        Self { https: false, host: "localhost".to_owned(), port }
    }

    /// Whether people reach us over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it can only be used on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The host without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is not written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A link to a path that begins with a slash.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sentence = || {
            format!(
                "\"{text}\" is no address of a console. Write https://HOST or http://localhost:PORT."
            )
        };
        let url: http::Uri = text.parse().map_err(|_| sentence())?;
        let https = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(sentence()),
        };
        let authority = url.authority().ok_or_else(sentence)?;
        if authority.as_str().contains('@')
            || !matches!(url.path(), "" | "/")
            || url.query().is_some()
        {
            return Err(sentence());
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(Self { https, host: authority.host().to_ascii_lowercase(), port })
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
