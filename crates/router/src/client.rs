//! Calls a router that runs, for this program's own commands.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use domain::route::Refusal;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};

/// A call may take this long, a sync of a slow disk included.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A connection to a router's control socket.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects. None: no router listens there.
    pub async fn connect(path: &Path) -> anyhow::Result<Option<Self>> {
        let stream = match timeout(ANSWER_WITHIN, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) if nobody_there(&e) => return Ok(None),
            Ok(Err(e)) => {
                return Err(e).with_context(|| format!("connecting to {}", path.display()));
            }
            Err(_) => return Err(anyhow!("the router at {} takes no call", path.display())),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender.
        tokio::spawn(connection);
        Ok(Some(Self { path: path.to_owned(), sender }))
    }

    /// Asks without a body.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Tells the router to do something. A [`Refusal`] is the error's source.
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "router")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let called = async {
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok::<_, anyhow::Error>((status, body.map_err(|e| anyhow!(e))?.to_bytes()))
        };
        let (status, body) = timeout(ANSWER_WITHIN, called)
            .await
            .map_err(|_| anyhow!("the router at {} did not answer", self.path.display()))?
            .with_context(|| format!("calling the router at {}", self.path.display()))?;
        if !status.is_success() {
            let refusal: Refusal = serde_json::from_slice(&body)
                .with_context(|| format!("the router answered {status}"))?;
            return Err(refusal.into());
        }
        serde_json::from_slice(&body).context("reading the router's answer")
    }
}

fn nobody_there(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}
