//! Connections: accepted up to a limit, served, and ended in order when the server stops.

use crate::metrics::Metrics;
use axum::{Router, extract::ConnectInfo};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tower::ServiceExt;

/// A client that does not get its request line out by then is not one.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Open files besides connections: the database, the engine, the router, logs.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files as far as we may: usually it is 1024, and when clients have used
/// those up, neither the database nor the engine can be reached any more.
pub fn raise_open_files(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() || limit.maximum.is_some_and(|m| m < wanted) {
        tracing::warn!(
            limit = limit.maximum,
            wanted,
            "Few files may be open: raise LimitNOFILE, or lower max_connections"
        );
    }
}

/// Serves until `stop` is over, then lets what has begun end, for at most `stop_within`.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    most: usize,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
    stop_within: Duration,
) {
    let places = Arc::new(Semaphore::new(most));
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those that are open will end.
                tracing::warn!(%error, "A connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        spawn(stream, peer, routes.clone(), Arc::clone(&metrics), place, &open);
    }
    drop(listener);
    if timeout(stop_within, open.shutdown()).await.is_err() {
        tracing::warn!("Some connections did not end in time and were cut off");
    }
}

fn spawn(
    stream: TcpStream,
    peer: SocketAddr,
    routes: Router,
    metrics: Arc<Metrics>,
    place: OwnedSemaphorePermit,
    open: &GracefulShutdown,
) {
    // A stream's message is small and wanted at once.
    let _ = stream.set_nodelay(true);
    let (spoke, has_spoken) = watch::channel(false);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        spoke.send_replace(true);
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = open.watch(connection);
    metrics.connections_open.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "A connection broke");
                }
            }
            () = silence(has_spoken) => tracing::debug!("A connection without a request was closed"),
        }
        metrics.connections_open.fetch_sub(1, Ordering::Relaxed);
        drop(place);
    });
}

/// Ends when nothing was asked in time. The time that HTTP/1 gives for headers begins when it is known
/// that this is HTTP/1: whoever says nothing, or only how HTTP/2 begins, would keep his place for ever.
async fn silence(mut has_spoken: watch::Receiver<bool>) {
    let spoken = timeout(HEADERS_WITHIN, has_spoken.wait_for(|spoken| *spoken)).await.is_ok();
    if spoken {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_says_nothing_does_not_keep_his_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::<Metrics>::default();
        let never = std::future::pending();
        tokio::spawn(serve(listener, Router::new(), 9, metrics, never, Duration::ZERO));

        let closed = ["", "P", "PRI * HTTP/2.0\r\n\r\n", "GET / HT"].map(|beginning| async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let ended = timeout(HEADERS_WITHIN * 2, stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{beginning:?} was kept open");
        });

        futures::future::join_all(closed).await;
    }
}
