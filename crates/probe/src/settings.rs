//! What the environment says.

use anyhow::{Context, ensure};
use domain::witness::PROBE_PORT;
use http::{HeaderValue, Uri};
use std::net::{Ipv4Addr, SocketAddr};

/// Whom to ask, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub address: SocketAddr,
    pub check: Uri,
    pub host: HeaderValue,
    pub version_field: Option<String>,
    /// Requests a second.
    pub rate: u32,
    pub listen: SocketAddr,
}

impl Settings {
    /// Reads them. What is wrong is told with its name.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let address =
            given("PROBE_ADDRESS").context("PROBE_ADDRESS says whom to ask, and is not set")?;
        let host = given("PROBE_HOST").unwrap_or_else(|| address.clone());
        let check = given("PROBE_CHECK").unwrap_or_else(|| "/".to_owned());
        ensure!(check.starts_with('/'), "PROBE_CHECK is a path, which begins with /");
        let rate = given("PROBE_RATE").map_or(Ok(10), |rate| rate.parse());
        let rate = rate.context("PROBE_RATE is a whole number")?;
        ensure!((1..=50).contains(&rate), "PROBE_RATE is 1 to 50 requests a second");
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PROBE_PORT));
        let listen = given("PROBE_LISTEN").map_or(Ok(everywhere), |listen| listen.parse());
        Ok(Self {
            address: address.parse().context("PROBE_ADDRESS is an IP address and a port")?,
            check: check.parse().context("PROBE_CHECK is a path")?,
            host: host.parse().context("PROBE_HOST is a host name")?,
            version_field: given("PROBE_VERSION_FIELD"),
            rate,
            listen: listen.context("PROBE_LISTEN is an IP address and a port")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_address_is_enough() {
        let settings =
            read(&[("PROBE_ADDRESS", "10.96.0.7:80"), ("PROBE_HOST", "")]).expect("good");

        assert_eq!((settings.rate, settings.check.path()), (10, "/"));
        assert_eq!(settings.host, "10.96.0.7:80");
        assert_eq!(settings.listen.port(), PROBE_PORT);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_name() {
        let address = ("PROBE_ADDRESS", "10.96.0.7:80");
        for (set, name) in [
            (vec![], "PROBE_ADDRESS"),
            (vec![("PROBE_ADDRESS", "api")], "PROBE_ADDRESS"),
            (vec![address, ("PROBE_RATE", "0")], "PROBE_RATE"),
            (vec![address, ("PROBE_RATE", "many")], "PROBE_RATE"),
            (vec![address, ("PROBE_CHECK", "health")], "PROBE_CHECK"),
            (vec![address, ("PROBE_LISTEN", "7390")], "PROBE_LISTEN"),
        ] {
            let error = format!("{:#}", read(&set).expect_err("wrong"));
            assert!(error.contains(name), "{error}");
        }
    }
}
