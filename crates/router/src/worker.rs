//! A worker: one thread, one runtime, its share of the listening sockets, and every connection it
//! accepts from beginning to end.

use crate::{
    bell::{Bell, Place},
    clock, per_worker,
    proxy::{Active, Client, Open, Proxy, Use},
    sockets,
};
use anyhow::Context;
use hyper::{header::HeaderValue, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

/// Connections that may wait to be accepted, for each worker.
const BACKLOG: u32 = 4096;

/// A connection that was told to end gets this long to take its last bytes.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(5);

/// A router that stops leaves idle connections open for so long: a request may be on its way, and would
/// be lost with its connection. One that comes is served, and told that it was the last.
const LINGER: Duration = Duration::from_millis(500);

/// Bounds of a request's head.
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Streams a client may have open at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;

/// What all workers of the process share.
#[derive(Debug)]
pub struct Crew {
    pub proxy: Proxy,
    /// A client must have sent a whole head this long after it connected, or after its last answer.
    pub head_within: Duration,
    /// One for each connection that may be open.
    pub connections: Arc<Semaphore>,
    /// Rung when no more is accepted and connections are to end.
    pub stop: Bell,
    /// Connections that are open.
    pub open: Arc<AtomicUsize>,
}

/// A listening socket that shares its address with those of the other workers.
pub fn listen(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address).with_context(|| format!("listening on {address}"))?;
    let listener = socket.listen(BACKLOG).with_context(|| format!("listening on {address}"))?;
    Ok(listener.into_std()?)
}

/// Works until the stop bell rang and every connection has ended. `listeners` are sockets with the
/// number of their listener.
pub fn run(
    worker: usize,
    crew: Arc<Crew>,
    listeners: Vec<(usize, std::net::TcpListener)>,
) -> anyhow::Result<()> {
    per_worker::set(worker);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let accepting = listeners
            .into_iter()
            .map(|(number, listener)| {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                Ok(tokio::spawn(accept(crew.clone(), number, listener)))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        for accepting in accepting {
            accepting.await?;
        }
        // The process ends when the connections have, or when their time is over.
        while crew.open.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
}

async fn accept(crew: Arc<Crew>, listener_number: usize, listener: TcpListener) {
    let mut place = crew.stop.place();
    loop {
        let accepted = async {
            let permit = crew.connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let mut accepted = pin!(accepted);
        let next = poll_fn(|cx| match accepted.as_mut().poll(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => crew.stop.poll(&mut place, cx).map(|()| None),
        });
        match next.await {
            None => break,
            Some((Ok(permit), Ok((stream, peer)))) => {
                let crew = crew.clone();
                let open = Open::begin(crew.open.clone(), permit);
                // Not a new one: what waited to be accepted when the bell rang shall hear it too.
                let place = crew.stop.beside(&place);
                tokio::spawn(async move {
                    serve(&crew, stream, peer, listener_number, open, place).await;
                });
            }
            Some((Ok(_), Err(e))) => {
                warn!(error = %e, "A connection could not be accepted");
                sleep(Duration::from_millis(20)).await;
            }
            Some((Err(_), _)) => break,
        }
    }
    crew.stop.leave(&mut place);
}

/// Serves a client's connection until one of us has enough.
async fn serve(
    crew: &Arc<Crew>,
    stream: TcpStream,
    peer: SocketAddr,
    listener: usize,
    open: Arc<Open>,
    mut place: Place,
) {
    // Without either the connection still works, slower or longer.
    let _ = stream.set_nodelay(true);
    let _ = sockets::keep_alive(&stream);
    let Ok(address) = HeaderValue::from_str(&peer.ip().to_canonical().to_string()) else { return };
    let client = Arc::new(Client { listener, address, open });
    let usage = Use::since(clock::now_ns());

    let service = service_fn({
        let usage = usage.clone();
        move |request| {
            let (crew, client) = (crew.clone(), client.clone());
            let active = Active::begin(&usage);
            async move {
                let mut answer = crew.proxy.answer(&client, request).await;
                answer.body_mut().active = Some(active);
                Ok::<_, Infallible>(answer)
            }
        }
    });
    let builder = builder();
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let mut limit = pin!(sleep(crew.head_within));
    let mut stopping = false;
    let mut told_to_end = false;

    let served = poll_fn(|cx| {
        if let Poll::Ready(served) = connection.as_mut().poll(cx) {
            return Poll::Ready(served);
        }
        if !stopping && crew.stop.poll(&mut place, cx).is_ready() {
            stopping = true;
            if !told_to_end {
                limit.as_mut().reset(Instant::now() + LINGER);
            }
        }
        let in_use = usage.idle_since_ns().is_none();
        if stopping && in_use && !told_to_end {
            told_to_end = true;
            connection.as_mut().graceful_shutdown();
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(served);
            }
        }
        while limit.as_mut().poll(cx).is_ready() {
            let left = usage.idle_since_ns().map(|since| {
                let idle = Duration::from_nanos(clock::now_ns().saturating_sub(since));
                if stopping { Duration::ZERO } else { crew.head_within.saturating_sub(idle) }
            });
            let next = match left {
                None => crew.head_within,
                Some(left) if !left.is_zero() => left,
                Some(_) if told_to_end => return Poll::Ready(Ok(())),
                Some(_) => {
                    told_to_end = true;
                    connection.as_mut().graceful_shutdown();
                    if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                        return Poll::Ready(served);
                    }
                    LAST_BYTES_WITHIN
                }
            };
            limit.as_mut().reset(Instant::now() + next);
        }
        Poll::Pending
    })
    .await;
    crew.stop.leave(&mut place);
    if let Err(e) = served {
        debug!(error = %e, "A client's connection ended badly");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `serve` watches this itself: one timer for a connection instead of one for a request.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}
