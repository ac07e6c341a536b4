//! Small instances that say what they got, wait, stream, upgrade and break.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// An instance. Its listener and connections close when it is dropped.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    task: AbortHandle,
}

struct Seen {
    name: &'static str,
    requests: AtomicU64,
    gate: Semaphore,
}

impl Upstream {
    /// One that speaks HTTP. See [`answer`] for its paths.
    pub async fn named(name: &'static str) -> Self {
        let gate = Semaphore::new(0);
        let seen = Arc::new(Seen { name, requests: AtomicU64::new(0), gate });
        Self::of(seen, |seen, stream| async move {
            let service = service_fn(|request| {
                let seen = seen.clone();
                async move { Ok::<_, Infallible>(answer(&seen, request).await) }
            });
            // A connection that was cut is what some tests are about.
            let io = TokioIo::new(stream);
            let _ = http1::Builder::new().serve_connection(io, service).with_upgrades().await;
        })
        .await
    }

    /// One that reads some bytes of a request, says `reply` and closes. Counts what it read.
    pub async fn abrupt(reply: &'static str) -> Self {
        let gate = Semaphore::new(0);
        let seen = Arc::new(Seen { name: reply, requests: AtomicU64::new(0), gate });
        Self::of(seen, |seen, mut stream| async move {
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                seen.requests.fetch_add(1, SeqCst);
                let _ = stream.write_all(seen.name.as_bytes()).await;
            }
        })
        .await
    }

    async fn of<F: Future<Output = ()> + Send + 'static>(
        seen: Arc<Seen>,
        serve: impl Fn(Arc<Seen>, TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = {
            let seen = seen.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(seen.clone(), stream));
                }
            }
        };
        Self { address, seen, task: tokio::spawn(accepting).abort_handle() }
    }

    /// Requests it got.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(SeqCst)
    }

    /// Lets one more request to `/wait` through.
    pub fn let_go(&self) {
        self.seen.gate.add_permits(1);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address at which nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn answer(seen: &Arc<Seen>, mut request: Request<Incoming>) -> Response<Said> {
    seen.requests.fetch_add(1, SeqCst);
    match request.uri().path() {
        // What came, a line a header.
        "/head" => {
            let head = request.headers().iter().map(|(name, value)| {
                format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
            });
            Response::builder()
                .header("connection", "x-between-us")
                .header("x-between-us", "1")
                .header("keep-alive", "timeout=5")
                .header("proxy-authenticate", "Basic")
                .header("x-kept", "1")
                .body(Said::whole(head.collect::<String>()))
                .unwrap()
        }
        // Answers when the test lets it.
        "/wait" => {
            seen.gate.acquire().await.unwrap().forget();
            Response::new(Said::whole(seen.name))
        }
        // An event every now and then, for ever.
        "/events" => {
            let (say, said) = Said::stream();
            let event = Bytes::from(format!("data: {}\n\n", seen.name));
            tokio::spawn(async move {
                while say.send(Ok(event.clone())).await.is_ok() {
                    sleep(Duration::from_millis(30)).await;
                }
            });
            Response::builder().header("content-type", "text/event-stream").body(said).unwrap()
        }
        // Never whole.
        "/trickle" => {
            let (say, said) = Said::stream();
            tokio::spawn(async move {
                while say.send(Ok(Bytes::from_static(b"."))).await.is_ok() {
                    sleep(Duration::from_millis(30)).await;
                }
            });
            Response::builder().header("content-length", "1000000").body(said).unwrap()
        }
        // Says a part and breaks off.
        "/cut" => {
            let (say, said) = Said::stream();
            tokio::spawn(async move {
                let _ = say.send(Ok(Bytes::from_static(b"a part"))).await;
                sleep(Duration::from_millis(50)).await;
                let _ = say.send(Err(io::Error::other("broken"))).await;
            });
            Response::builder().header("content-length", "1000").body(said).unwrap()
        }
        // What comes goes back while it comes.
        "/echo" => {
            let (say, said) = Said::stream();
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    let Ok(data) = frame.into_data() else { continue };
                    if say.send(Ok(data)).await.is_err() {
                        return;
                    }
                }
            });
            Response::new(said)
        }
        "/error" => Response::builder().status(500).body(Said::whole("no")).unwrap(),
        // Says its name in a WebSocket's frame whenever something comes.
        "/socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            let name = seen.name;
            tokio::spawn(async move {
                let Ok(upgraded) = upgrade.await else { return };
                let mut io = TokioIo::new(upgraded);
                let mut bytes = [0; 100];
                while io.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                    let frame = [&[0x81, name.len() as u8], name.as_bytes()].concat();
                    if io.write_all(&frame).await.is_err() {
                        return;
                    }
                }
            });
            Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .body(Said::whole(""))
                .unwrap()
        }
        _ => {
            let _ = request.into_body().collect().await;
            Response::new(Said::whole(seen.name))
        }
    }
}

/// A body that is said piece by piece.
pub struct Said(mpsc::Receiver<io::Result<Bytes>>);

impl Said {
    pub fn whole(text: impl Into<Bytes>) -> Self {
        let (say, said) = Self::stream();
        say.try_send(Ok(text.into())).unwrap();
        said
    }

    pub fn stream() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (say, said) = mpsc::channel(4);
        (say, Self(said))
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|said| said.map(|piece| piece.map(Frame::data)))
    }
}
