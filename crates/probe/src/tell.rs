//! Tells what was counted, to whoever asks.

use crate::{Shared, lock, now_ms};
use bytes::Bytes;
use domain::witness::PROBE_PATH;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};

/// Askers at once. The control plane is one.
const AT_ONCE: usize = 32;
/// How long one may take, from its connection on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers until the process ends.
pub async fn serve(listen: SocketAddr, counter: Shared) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.recv() => return Ok(()),
        };
        let Ok((stream, _)) = accepted else {
            // Too many files, most likely: those of others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let counter = counter.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&counter, request.method(), request.uri());
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(PATIENCE, connection).await;
        });
    }
}

fn answer(counter: &Shared, method: &Method, uri: &http::Uri) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    if method != Method::GET || uri.path() != PROBE_PATH {
        *answer.status_mut() = StatusCode::NOT_FOUND;
        return answer;
    }
    let since = uri.query().and_then(|query| query.strip_prefix("since=")?.parse().ok());
    let counted = lock(counter).counted(since.unwrap_or(0), now_ms());
    match serde_json::to_vec(&counted) {
        Ok(body) => *answer.body_mut() = Full::from(body),
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::witness::Counter;
    use std::sync::Mutex;

    #[test]
    fn only_the_one_question_is_answered() {
        let counter: Shared = Arc::new(Mutex::new(Counter::new("a".to_owned())));
        let status = |method: Method, uri: &str| {
            answer(&counter, &method, &uri.parse().expect("a path")).status()
        };

        assert_eq!(status(Method::GET, "/counted?since=5"), StatusCode::OK);
        assert_eq!(status(Method::GET, "/counted"), StatusCode::OK);
        assert_eq!(status(Method::POST, "/counted"), StatusCode::NOT_FOUND);
        assert_eq!(status(Method::GET, "/"), StatusCode::NOT_FOUND);
    }
}
