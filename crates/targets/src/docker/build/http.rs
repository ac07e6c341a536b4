//! A connection of its own to the engine for each build: when it ends, so does the build.

use super::session::Io;
use crate::{Result, docker::error};
use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http1::{SendRequest, handshake};
use std::{io, path::Path};
use tokio::{
    net::UnixStream,
    task::JoinSet,
    time::{Duration, timeout},
};

pub(super) type Body = BoxBody<Bytes, io::Error>;

/// The connection lives in `tasks`, and ends when those are dropped.
pub(super) async fn connect(socket: &Path, tasks: &mut JoinSet<()>) -> Result<SendRequest<Body>> {
    let stream = timeout(Duration::from_secs(5), UnixStream::connect(socket)).await;
    let stream = stream
        .map_err(|_| error::unreachable(anyhow!("it does not take connections")))?
        .map_err(error::unreachable)?;
    let (sender, connection) = handshake(Io::new(stream)).await.map_err(error::unreachable)?;
    tasks.spawn(async move {
        // Its end is seen by whoever sends or reads.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

/// `name=value&…` with everything escaped that could be taken for something else.
pub(super) fn query(pairs: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_value_can_not_become_a_parameter() {
        assert_eq!(
            query(&[("t", "a:b".to_owned()), ("q", "x&y=z é".to_owned())]),
            "?t=a%3Ab&q=x%26y%3Dz%20%C3%A9"
        );
    }
}
