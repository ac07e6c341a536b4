//! Options of sockets that tokio does not name.

use std::{io, os::fd::AsFd, time::Duration};
use tracing::warn;

/// A peer that vanished without a word is noticed after about a minute and a half.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(45);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TIMES: u32 = 3;

/// Lets the kernel probe an idle peer: event streams and WebSockets may be silent for hours, and
/// must not be kept for a peer that is gone.
pub fn keep_alive(socket: impl AsFd) -> io::Result<()> {
    use rustix::net::sockopt;
    let socket = socket.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEP_ALIVE_TIMES)?;
    Ok(())
}

/// Raises the limit of open files as far as we may, and says so if it is less than `wanted`.
pub fn raise_open_files(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() || limit.maximum.is_some_and(|m| m < wanted) {
        warn!(
            limit = limit.maximum,
            wanted, "Few files may be open: raise LimitNOFILE, or lower --max-connections"
        );
    }
}
