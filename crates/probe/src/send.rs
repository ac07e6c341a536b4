//! Sends requests: half of them on connections of their own, half on two that are kept open.

use crate::{Shared, lock, now_ms, settings::Settings};
use anyhow::ensure;
use bytes::Bytes;
use domain::witness::Ended;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long a request may take, its connection included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests on new connections that wait at once: those that a silent service would gather.
const AT_ONCE: usize = 256;
/// Connections that are kept open.
const KEPT: u32 = 2;
/// How much of an answer is read, and how much of it may name a version.
const MOST_BYTES: usize = 1 << 20;
const KEPT_BYTES: usize = 4 * 1024;

/// Begins to send, for as long as the runtime runs.
pub fn begin(settings: Settings, counter: &Shared) {
    let settings = Arc::new(settings);
    let every = Duration::from_secs(2) / settings.rate;
    tokio::spawn(fresh(Arc::clone(&settings), Arc::clone(counter), every));
    for _ in 0..KEPT {
        tokio::spawn(kept(Arc::clone(&settings), Arc::clone(counter), every * KEPT));
    }
}

/// A new connection for each request. A slow answer holds up none of the next ones.
async fn fresh(settings: Arc<Settings>, counter: Shared, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        ticks.tick().await;
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let (settings, counter) = (Arc::clone(&settings), Arc::clone(&counter));
        tokio::spawn(async move {
            let _place = place;
            let opened_ms = now_ms();
            let one = async {
                let mut sender = open(&settings).await?;
                exchange(&mut sender, &settings, true).await.map_err(Lost::into_error)
            };
            counted(&counter, opened_ms, one).await;
        });
    }
}

/// One connection for as many requests as it serves.
async fn kept(settings: Arc<Settings>, counter: Shared, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection: Option<(i64, SendRequest<Empty<Bytes>>)> = None;
    loop {
        ticks.tick().await;
        let before = connection.take().filter(|(_, sender)| !sender.is_closed());
        let mut opened_ms = before.as_ref().map_or_else(now_ms, |(opened, _)| *opened);
        let mut next = None;
        let one = async {
            if let Some((_, mut sender)) = before {
                match exchange(&mut sender, &settings, false).await {
                    Ok(answer) => {
                        next = Some(sender);
                        return Ok(answer);
                    }
                    Err(Lost::Sent(error)) => return Err(error),
                    // The server had closed it, and nothing was written: any client opens another.
                    Err(Lost::Unsent(_)) => opened_ms = now_ms(),
                }
            }
            let mut sender = open(&settings).await?;
            let answer = exchange(&mut sender, &settings, false).await.map_err(Lost::into_error)?;
            next = Some(sender);
            Ok(answer)
        };
        // What opened it is known when it is over.
        let (sent_ms, begun) = (now_ms(), Instant::now());
        lock(&counter).sent(sent_ms);
        let answer = timeout(PATIENCE, one).await;
        end(&counter, opened_ms, begun, answer.ok());
        connection = next.map(|sender| (opened_ms, sender));
    }
}

/// What an answer was.
struct Answer {
    good: bool,
    version: Option<String>,
}

/// Why there is no whole answer.
enum Lost {
    /// Nothing of the request was written.
    Unsent(anyhow::Error),
    Sent(anyhow::Error),
}

impl Lost {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Unsent(error) | Self::Sent(error) => error,
        }
    }
}

async fn counted(
    counter: &Shared,
    opened_ms: i64,
    one: impl Future<Output = anyhow::Result<Answer>>,
) {
    let begun = Instant::now();
    lock(counter).sent(opened_ms);
    let answer = timeout(PATIENCE, one).await;
    end(counter, opened_ms, begun, answer.ok());
}

fn end(counter: &Shared, opened_ms: i64, begun: Instant, answer: Option<anyhow::Result<Answer>>) {
    let how = match answer {
        Some(Ok(answer)) => Ended {
            opened_ms,
            version: answer.version,
            latency: Some(begun.elapsed()),
            failed: !answer.good,
        },
        Some(Err(_)) | None => Ended { opened_ms, version: None, latency: None, failed: true },
    };
    lock(counter).ended(how, now_ms());
}

async fn open(settings: &Settings) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(settings.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(
    sender: &mut SendRequest<Empty<Bytes>>,
    settings: &Settings,
    last: bool,
) -> Result<Answer, Lost> {
    let mut request = Request::get(settings.check.clone())
        .header(header::HOST, settings.host.clone())
        .header(header::USER_AGENT, "pilothouse-probe");
    if last {
        request = request.header(header::CONNECTION, "close");
    }
    let request = request.body(Empty::new()).map_err(|error| Lost::Unsent(error.into()))?;
    if let Err(error) = sender.ready().await {
        return Err(Lost::Unsent(error.into()));
    }
    let answer = sender.try_send_request(request).await.map_err(|mut lost| {
        let unsent = lost.take_message().is_some();
        let error = lost.into_error().into();
        if unsent { Lost::Unsent(error) } else { Lost::Sent(error) }
    })?;
    let good = !answer.status().is_server_error();
    let body = whole(answer.into_body()).await.map_err(Lost::Sent)?;
    let version = settings.version_field.as_deref().and_then(|field| version(&body, field));
    Ok(Answer { good, version })
}

/// Reads an answer to its end, and keeps its beginning.
async fn whole(mut body: Incoming) -> anyhow::Result<Vec<u8>> {
    let (mut kept, mut read) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else { continue };
        read += data.len();
        ensure!(read <= MOST_BYTES, "an answer of more than {MOST_BYTES} bytes");
        let room = KEPT_BYTES - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok(kept)
}

/// The version that a JSON answer names.
fn version(body: &[u8], field: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    answer.get(field)?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::witness::Counter;
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// A server that closes each connection after `most` answers.
    async fn server(most: usize, body: &'static str) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    for _ in 0..most {
                        if !stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                            return;
                        }
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        (address, opened)
    }

    fn settings(address: std::net::SocketAddr) -> Arc<Settings> {
        let read = Settings::read(|name| match name {
            "PROBE_ADDRESS" => Some(address.to_string()),
            "PROBE_VERSION_FIELD" => Some("version".to_owned()),
            _ => None,
        });
        Arc::new(read.expect("good"))
    }

    async fn count(counter: &Shared, least: u64) -> domain::witness::Counted {
        for _ in 0..200 {
            let counted = lock(counter).counted(0, now_ms() + 2_000);
            if counted.requests >= least {
                return counted;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never counted {least} requests");
    }

    #[tokio::test]
    async fn a_kept_connection_is_kept_and_its_opening_is_told() {
        let (address, opened) = server(1_000, r#"{"version":"1.0.0"}"#).await;
        let counter: Shared = Arc::new(Mutex::new(Counter::new("a".to_owned())));

        let task = tokio::spawn(kept(settings(address), counter.clone(), Duration::from_millis(5)));
        let counted = count(&counter, 20).await;
        task.abort();

        assert_eq!((opened.load(Ordering::Relaxed), counted.failures), (1, 0));
        let parts: Vec<_> = counted.seconds.iter().flat_map(|second| &second.parts).collect();
        assert!(parts.iter().all(|part| part.opened_ms == parts[0].opened_ms), "{parts:?}");
        assert_eq!(parts[0].version.as_deref(), Some("1.0.0"));
    }

    #[tokio::test]
    async fn a_connection_that_the_server_ended_between_requests_is_no_failure() {
        let (address, opened) = server(3, "{}").await;
        let counter: Shared = Arc::new(Mutex::new(Counter::new("a".to_owned())));

        let task =
            tokio::spawn(kept(settings(address), counter.clone(), Duration::from_millis(20)));
        let counted = count(&counter, 12).await;
        task.abort();

        assert_eq!(counted.failures, 0);
        assert!(opened.load(Ordering::Relaxed) >= 4);
    }

    #[tokio::test]
    async fn each_fresh_request_opens_its_own_and_a_refusal_is_a_failure() {
        let (address, opened) = server(1_000, "{}").await;
        let counter: Shared = Arc::new(Mutex::new(Counter::new("a".to_owned())));
        let task =
            tokio::spawn(fresh(settings(address), counter.clone(), Duration::from_millis(5)));
        let counted = count(&counter, 10).await;
        task.abort();
        assert!(opened.load(Ordering::Relaxed) >= 10 && counted.failures == 0);

        let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let closed = nobody.local_addr().expect("its address");
        drop(nobody);
        let task = tokio::spawn(fresh(settings(closed), counter.clone(), Duration::from_millis(5)));
        let before = counted.requests;
        let counted = count(&counter, before + 10).await;
        task.abort();

        assert!(counted.failures >= 5, "{counted:?}");
    }

    #[test]
    fn a_version_is_a_field_of_the_answer() {
        assert_eq!(version(br#"{"version":"1.2"}"#, "version").as_deref(), Some("1.2"));
        for none in [&br#"{"version":1}"#[..], b"1.2", b"", br#"["version"]"#] {
            assert_eq!(version(none, "version"), None);
        }
    }
}
