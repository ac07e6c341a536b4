//! The client of the router's socket: HTTP/1.1 with JSON, a connection for each call.
//!
//! A connection per call costs a fraction of a millisecond and always reaches the router that owns
//! the socket now, also while a new one takes over from an old one.

use crate::DEADLINE;
use anyhow::{Context, anyhow};
use bytes::Bytes;
use domain::{
    id::PlacementId,
    route::{
        Close, Closed, Fence, Hello, Journal, PROTOCOL, Put, Refusal, Remove, Routed, Routes,
        Switch, traffic,
    },
};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// The longest answer that is read: the traffic of a few thousand placements.
const LONGEST_ANSWER: usize = 64 << 20;

/// Speaks to one router.
#[derive(Debug)]
pub(super) struct Router {
    socket: PathBuf,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Unreachable(anyhow::Error),
    /// Something listens there that is not the router we may trust, or speaks another protocol.
    NotOurs(String),
    Refused(Refusal),
}

impl Router {
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub async fn hello(&self) -> Result<Hello, Failure> {
        in_time(async { connect(&self.socket).await?.ask(Method::GET, "/v1/hello").await }).await
    }

    pub async fn routes(&self) -> Result<Vec<Routed>, Failure> {
        self.read::<Routes>("/v1/routes").await.map(|all| all.routes)
    }

    pub async fn routed(&self, placement: PlacementId) -> Result<Routed, Failure> {
        self.read(&format!("/v1/routes/{placement}")).await
    }

    pub async fn put(&self, placement: PlacementId, put: &Put) -> Result<Routed, Failure> {
        self.write(Method::PUT, &format!("/v1/routes/{placement}"), put).await
    }

    pub async fn switch(&self, placement: PlacementId, to: &Switch) -> Result<Routed, Failure> {
        self.write(Method::POST, &format!("/v1/routes/{placement}/switch"), to).await
    }

    pub async fn fence(&self, placement: PlacementId, fence: &Fence) -> Result<Routed, Failure> {
        self.write(Method::POST, &format!("/v1/routes/{placement}/fence"), fence).await
    }

    pub async fn remove(&self, placement: PlacementId, remove: &Remove) -> Result<Routed, Failure> {
        self.write(Method::DELETE, &format!("/v1/routes/{placement}"), remove).await
    }

    pub async fn close(&self, placement: PlacementId, close: &Close) -> Result<Closed, Failure> {
        self.write(Method::POST, &format!("/v1/routes/{placement}/close"), close).await
    }

    pub async fn journal(&self, after: u64) -> Result<Journal, Failure> {
        self.read(&format!("/v1/journal?after={after}")).await
    }

    /// The traffic of a placement, and who counted it. `None`: the router never heard of it.
    pub async fn traffic(
        &self,
        placement: PlacementId,
        since: i64,
    ) -> Result<(Hello, Option<traffic::Traffic>), Failure> {
        in_time(async {
            let mut connection = connect(&self.socket).await?;
            let hello: Hello = connection.ask(Method::GET, "/v1/hello").await?;
            let path = format!("/v1/traffic/{placement}?since={since}");
            match connection.ask(Method::GET, &path).await {
                Ok(traffic) => Ok((hello, Some(traffic))),
                Err(Failure::Refused(Refusal {
                    code: domain::route::RefusalCode::UnknownPlacement,
                    ..
                })) => Ok((hello, None)),
                Err(failure) => Err(failure),
            }
        })
        .await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        in_time(async { greet(&self.socket).await?.ask(Method::GET, path).await }).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::Unreachable(anyhow!(error).context("writing JSON")))?;
        in_time(async { greet(&self.socket).await?.send(method, path, body.into()).await }).await
    }
}

/// Connects to a router that speaks our protocol, by its first answer on the same connection: what
/// another one says or is told may mean something else.
async fn greet(socket: &Path) -> Result<Connection, Failure> {
    let mut connection = connect(socket).await?;
    let hello: Hello = connection.ask(Method::GET, "/v1/hello").await?;
    if hello.protocol != PROTOCOL {
        return Err(Failure::NotOurs(format!(
            "The router speaks protocol {} and this program {PROTOCOL}: install the two from one \
             version.",
            hello.protocol
        )));
    }
    Ok(connection)
}

async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(Failure::Unreachable(anyhow!("no answer in {DEADLINE:?}"))))
}

struct Connection(SendRequest<Full<Bytes>>);

async fn connect(socket: &Path) -> Result<Connection, Failure> {
    let lost = |error: anyhow::Error| Failure::Unreachable(error);
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("connecting to {}", socket.display()))
        .map_err(lost)?;
    // The router carries every request of every service: be sure that it is run by ourselves or
    // by the system, not by whoever could make a file there first.
    let peer = stream.peer_cred().context("asking who listens").map_err(lost)?.uid();
    let me = rustix::process::geteuid().as_raw();
    if peer != 0 && peer != me {
        return Err(Failure::NotOurs(format!(
            "User id {peer} listens at {}, and this program runs as {me}: start the router as the \
             same user.",
            socket.display()
        )));
    }
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.context("greeting the router").map_err(lost)?;
    // Ends when the sender is dropped; its errors reach the caller through the sender.
    tokio::spawn(connection);
    Ok(Connection(sender))
}

impl Connection {
    async fn ask<T: DeserializeOwned>(&mut self, method: Method, path: &str) -> Result<T, Failure> {
        self.send(method, path, Bytes::new()).await
    }

    async fn send<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let (status, answer) = self
            .exchange(&method, path, body)
            .await
            .with_context(|| format!("{method} {path}"))
            .map_err(Failure::Unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&answer)
                .with_context(|| format!("reading the answer to {method} {path}"))
                .map_err(Failure::Unreachable);
        }
        Err(match serde_json::from_slice::<Refusal>(&answer) {
            Ok(refusal) => Failure::Refused(refusal),
            Err(_) => Failure::Unreachable(anyhow!("{method} {path} was answered {status}")),
        })
    }

    async fn exchange(
        &mut self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, "router");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.0.ready().await?;
        let answer = self.0.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow!(error))?
            .to_bytes();
        Ok((status, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, fake::sample};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    /// It says nothing of what is asked, so it must not make a release fail.
    #[tokio::test]
    async fn a_router_of_another_version_is_away_for_whoever_reads_and_writes() {
        let dir = std::env::temp_dir().join(format!("pilothouse-{}", sample::id().simple()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let socket = dir.join("control.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let hello = serde_json::json!({
                    "protocol": PROTOCOL + 1, "version": "9.0.0", "boot": sample::id(),
                    "started_at": "2026-01-01T00:00:00Z", "now": "2026-01-01T00:00:01Z",
                    "pid": 1, "listeners": [], "lost_routes": false, "draining": false,
                })
                .to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", hello.len());
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(format!("{head}{hello}").as_bytes()).await;
            }
        });
        let (router, place) = (Router::at(&socket), sample::place("api"));

        let read = router.routed(place.placement).await.map_err(Error::from);
        let written = router.fence(place.placement, &Fence { epoch: 1 }).await.map_err(Error::from);

        for outcome in [read, written] {
            let Err(Error::Unreachable { source, .. }) = outcome else { panic!("{outcome:?}") };
            assert!(source.to_string().contains("speaks protocol"), "{source}");
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
