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
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tower::ServiceExt;

/// A client that does not get its request line out by then is not one.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

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
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
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
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "A connection broke");
        }
        metrics.connections_open.fetch_sub(1, Ordering::Relaxed);
        drop(place);
    });
}
