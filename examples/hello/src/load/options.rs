//! What the load is asked to do, within its limits.

use anyhow::{Context, Result, bail, ensure};
use hyper::Uri;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

const MOST_A_SECOND: f64 = 20_000.0;
const LONGEST: Duration = Duration::from_secs(3600);
const MOST_STREAMS: usize = 2_000;

/// See the usage text of the program.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to connect: always this machine.
    pub address: SocketAddr,
    /// The Host header, which is how a router tells services apart.
    pub authority: String,
    pub path: String,
    pub rate: f64,
    pub lasts: Duration,
    /// Of 100 requests, how many use a connection of their own.
    pub closing: u64,
    pub websockets: usize,
    pub events: usize,
    pub deadline: Duration,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let (url, rest) = arguments
            .split_first()
            .context("load needs a URL; `hello --help` shows the options")?;
        let url: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        ensure!(url.scheme_str() == Some("http"), "load speaks http only");
        let host = url.host().context("the URL has no host")?;
        let mut options = Self {
            address: SocketAddr::new(this_machine(host)?, url.port_u16().unwrap_or(80)),
            authority: url.authority().context("the URL has no host")?.to_string(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            rate: 100.0,
            lasts: Duration::from_secs(10),
            closing: 30,
            websockets: 0,
            events: 0,
            deadline: Duration::from_secs(10),
        };
        for pair in rest.chunks(2) {
            let [name, value] = pair else { bail!("{} needs a number", pair[0]) };
            let number: f64 =
                value.parse().with_context(|| format!("{name} needs a number, not {value}"))?;
            ensure!(number.is_finite() && number >= 0.0, "{name} can't be {value}");
            match name.as_str() {
                "--rate" => options.rate = number.min(MOST_A_SECOND),
                "--seconds" => {
                    options.lasts = Duration::from_secs_f64(number.min(LONGEST.as_secs_f64()))
                }
                "--closing" => options.closing = number.min(100.0) as u64,
                "--websockets" => options.websockets = (number as usize).min(MOST_STREAMS),
                "--events" => options.events = (number as usize).min(MOST_STREAMS),
                "--timeout-ms" => {
                    options.deadline = Duration::from_millis(number.clamp(10.0, 600_000.0) as u64)
                }
                _ => bail!("there is no option {name}"),
            }
        }
        Ok(options)
    }
}

/// Names under `localhost` are this machine by definition (RFC 6761), so nothing is resolved.
fn this_machine(host: &str) -> Result<IpAddr> {
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    address
        .filter(IpAddr::is_loopback)
        .with_context(|| format!("{host} is not this machine, and load is for this machine only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options> {
        Options::parse(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn load_goes_to_this_machine_only() {
        let options =
            parse("http://shop.demo.staging.localhost:7380/a?b=c --rate 500").expect("loopback");

        assert_eq!(options.address.to_string(), "127.0.0.1:7380");
        assert_eq!(options.authority, "shop.demo.staging.localhost:7380");
        assert_eq!(options.path, "/a?b=c");
        assert!(parse("http://[::1]:80/").is_ok());
        for elsewhere in
            ["http://example.org/", "http://10.0.0.1/", "http://localhost.example.org/"]
        {
            assert!(parse(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for bad in [
            "",
            "http://localhost --rate",
            "http://localhost --rate x",
            "http://localhost --speed 3",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
