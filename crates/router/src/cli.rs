//! The command line: every setting there is, each with its reason.

use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::{route::MAIN_LISTENER, slot::Slot};
use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// Sends requests to the live slot of each placement, and goes on when the control plane is away.
#[derive(Debug, Parser)]
#[command(name = "pilothouse-router", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve requests. SIGTERM ends it when what is in flight has ended.
    Serve(Box<Serve>),
    /// Move a placement's traffic by hand, when the control plane is away.
    ///
    /// Written into the router's journal, with your user id and the reason; the control plane enters
    /// it into the history when it is back. Works on the state file if the router does not run.
    Switch(Switch),
    /// Print what the router serves.
    Status(Status),
}

/// Where a router keeps its routes, and where it is spoken to.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// Directory with the routes and the journal, of one router only.
    #[arg(long, env = "PILOTHOUSE_ROUTER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// The control socket [default: control.sock in the state directory].
    #[arg(long, env = "PILOTHOUSE_ROUTER_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl Where {
    /// The control socket.
    pub fn socket(&self) -> anyhow::Result<PathBuf> {
        self.socket
            .clone()
            .or_else(|| self.state_dir.as_ref().map(|dir| dir.join("control.sock")))
            .ok_or_else(|| anyhow::anyhow!("give --socket or --state-dir"))
    }
}

#[derive(Clone, Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub at: Where,

    /// Where requests arrive, plain HTTP/1.1 or HTTP/2. May be given several times with names, to
    /// which routes refer; without a name it is "main". Port 0 takes a free one.
    #[arg(long, value_name = "[NAME=]ADDRESS:PORT", default_value = "127.0.0.1:7380")]
    pub listen: Vec<Listen>,

    /// Listen on addresses that are not loopback, although there is no TLS here. For a private
    /// network, or behind a proxy of yours that ends TLS.
    #[arg(long)]
    pub allow_plain_http: bool,

    /// Threads that serve requests [default: one for each core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// Client connections that may be open; more wait to be accepted.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// A client must send a whole head this long after it connected or got its last answer, else
    /// its connection is closed.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub head_timeout: Duration,

    /// An instance must take a connection in this time, else the next one is tried.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub connect_timeout: Duration,

    /// An instance must begin to answer this long after the last byte of the request, else 504. A
    /// client that stops for as long in the middle of one gets 408.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = duration)]
    pub answer_timeout: Duration,

    /// Idle connections to instances are used again for this long. Shorter than the time after
    /// which instances close theirs (often 5 s).
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    pub upstream_idle: Duration,

    /// After SIGTERM, or after another router took over, what is in flight may end in this time.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub stop_timeout: Duration,

    /// Name of the console's session cookie, which is never forwarded to a service.
    #[arg(long, value_name = "NAME", default_value = "__Host-pilothouse")]
    pub console_cookie: String,

    /// Take over from the router that runs with this state directory: listen beside it, take its
    /// socket and its directory, and let it finish what it has.
    #[arg(long)]
    pub take_over: bool,

    /// How to write the log, to standard error. RUST_LOG filters it.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log: LogForm,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogForm {
    /// For a terminal.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct Switch {
    #[command(flatten)]
    pub at: Where,

    /// A placement's id, or one of its host names.
    pub placement: String,

    /// Where its traffic goes from now on.
    pub to: To,

    /// Why, for the history.
    #[arg(long)]
    pub reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum To {
    Blue,
    Green,
    /// To no slot: requests are answered 503.
    None,
}

impl To {
    /// The slot, if it is one.
    pub const fn slot(self) -> Option<Slot> {
        match self {
            Self::Blue => Some(Slot::Blue),
            Self::Green => Some(Slot::Green),
            Self::None => None,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub at: Where,
}

/// A listener as it is given: `[NAME=]ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub name: String,
    pub address: SocketAddr,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').unwrap_or((MAIN_LISTENER, text));
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
            return Err(format!("{name:?} is no listener's name: use a-z, 0-9 and dashes"));
        }
        let address = address
            .parse()
            .map_err(|_| format!("{address:?} is no address with a port, as 127.0.0.1:7380 is"))?;
        Ok(Self { name: name.to_owned(), address })
    }
}

/// A time such as `500ms`, `10s` or `2m`, more than zero and at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match text[..digits].parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)) {
        Some(ms @ 1..=86_400_000) => Ok(Duration::from_millis(ms)),
        _ => Err("a time is a whole number with ms, s, m or h, up to 24h".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_listeners_are_read_or_refused() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for odd in ["", "5", "0s", "-1s", "1.5s", "25h", "s", "99999999999999999999s"] {
            assert!(duration(odd).is_err(), "{odd}");
        }
        assert_eq!("127.0.0.1:1".parse::<Listen>().unwrap().name, "main");
        assert_eq!("inner=[::1]:1".parse::<Listen>().unwrap().name, "inner");
        for odd in ["localhost:80", "A=127.0.0.1:1", "=127.0.0.1:1", "127.0.0.1"] {
            assert!(odd.parse::<Listen>().is_err(), "{odd}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
