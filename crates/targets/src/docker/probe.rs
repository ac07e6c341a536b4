//! Asking an instance over HTTP, directly: not by the router, not by the public address.

use super::seen::Reachable;
use crate::BODY_KEPT;
use anyhow::Context;
use bytes::Bytes;
use domain::{
    service::Check,
    target::{Answer, InstanceState, Place, Probe},
};
use futures::{StreamExt, stream};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

/// Asks all of them at once. The check's timeout holds for each, so for all.
pub(super) async fn ask_all(
    place: &Place,
    instances: Vec<Reachable>,
    probe: &Probe,
) -> Vec<Answer> {
    // The name a real request would come with; some services answer no other.
    let host = place.host_names.first().map(ToString::to_string);
    let host = host.as_deref();
    let at_once = instances.len().max(1);
    stream::iter(instances)
        .map(|one| async move {
            let address = SocketAddr::new(one.address.ip(), probe.port);
            ask(one, address, host, probe).await
        })
        .buffered(at_once)
        .collect()
        .await
}

/// Whether whoever is at `address` passes a check, within its timeout.
pub(super) async fn passes(place: &Place, address: SocketAddr, check: &Check) -> bool {
    let host = place.host_names.first().map_or_else(|| address.to_string(), ToString::to_string);
    let answer = exchange(address, &host, check.path.as_str());
    match tokio::time::timeout(check.timeout, answer).await {
        Ok(Ok((status, _))) => is_pass(status),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn is_pass(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

async fn ask(one: Reachable, address: SocketAddr, host: Option<&str>, probe: &Probe) -> Answer {
    let path = probe.check.path.as_str();
    let begun = Instant::now();
    let outcome = match &one.instance.state {
        InstanceState::Running => {
            let timeout = probe.check.timeout;
            let host = host.map_or_else(|| address.to_string(), ToOwned::to_owned);
            tokio::time::timeout(timeout, exchange(address, &host, path))
                .await
                .unwrap_or_else(|_| Err(format!("no whole answer in {}", spoken(timeout))))
        }
        InstanceState::Starting => Err("is not running yet".to_owned()),
        InstanceState::Exited { why } => Err(format!("does not run: {why}")),
    };
    let took = begun.elapsed();
    let (passed, said, body) = match outcome {
        Ok((status, body)) => {
            (is_pass(status), format!("GET {path} {} in {}", status.as_u16(), spoken(took)), body)
        }
        Err(said) => (false, said, String::new()),
    };
    let (instance, number) = (one.instance.id, one.instance.number);
    Answer { instance, number, passed, said, body, took }
}

/// The status and the beginning of the body, if the whole answer came.
async fn exchange(
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<(StatusCode, String), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        _ => format!("can't be reached: {error}"),
    })?;
    let answer = async {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, "pilothouse-check")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut kept = Vec::new();
        // Read to its end, though only the beginning is kept: a pass is a whole answer.
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.context("cut off")?.into_data() {
                let room = BODY_KEPT - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        anyhow::Ok((status, String::from_utf8_lossy(&kept).into_owned()))
    };
    answer.await.map_err(|error| format!("the answer was cut off: {}", error.root_cause()))
}

/// `4 ms`, `1.2 s`.
fn spoken(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::sample;
    use domain::target::Instance;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// An instance that answers whatever it is asked with these bytes, and closes or not.
    async fn answering(bytes: &'static [u8], closes: bool) -> Reachable {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes).await.expect("written");
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        let plan = sample::plan(&sample::place("api"), 1);
        let instance = Instance {
            id: "id".into(),
            name: "blue-1".into(),
            number: 1,
            maker: plan.maker,
            release: plan.release,
            configuration: plan.configuration,
            state: InstanceState::Running,
            in_route: true,
            started_at: None,
            restarts: 0,
            died: None,
            changed: None,
        };
        Reachable { instance, address }
    }

    async fn asked(reachable: Reachable) -> Answer {
        let plan = sample::plan(&sample::place("api"), 1);
        let mut check = plan.spec.readiness;
        check.timeout = Duration::from_millis(300);
        let probe = Probe { port: reachable.address.port(), check };
        ask_all(&plan.place, vec![reachable], &probe).await.remove(0)
    }

    #[tokio::test]
    async fn an_answer_that_was_cut_off_is_never_a_pass() {
        let short = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", true).await;
        let chunked =
            answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true)
                .await;
        let hanging = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", false).await;

        for reachable in [short, chunked, hanging] {
            let answer = asked(reachable).await;
            assert!(!answer.passed, "{answer:?}");
            assert_eq!(answer.body, "");
        }
    }

    #[tokio::test]
    async fn a_whole_answer_passes_by_its_status() {
        let ok = asked(answering(b"HTTP/1.1 204 No Content\r\n\r\n", true).await).await;
        let moved =
            asked(answering(b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", true).await).await;
        let bad =
            asked(answering(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", true).await)
                .await;

        assert!(ok.passed && moved.passed && !bad.passed);
        assert!(bad.said.starts_with("GET /health 503 in "), "{}", bad.said);
        assert_eq!(bad.body, "busy");
    }

    #[tokio::test]
    async fn a_closed_port_says_so_in_a_word() {
        let mut closed = answering(b"", true).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        closed.address = listener.local_addr().expect("an address");
        drop(listener);

        let answer = asked(closed).await;

        assert_eq!((answer.passed, answer.said.as_str()), (false, "refused"));
    }

    #[tokio::test]
    async fn an_instance_that_does_not_run_is_not_asked() {
        let mut dead = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true).await;
        dead.instance.state = InstanceState::Exited { why: "exit code 1".into() };

        let answer = asked(dead).await;

        assert_eq!((answer.passed, answer.said.as_str()), (false, "does not run: exit code 1"));
    }
}
