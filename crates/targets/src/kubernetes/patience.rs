//! What an API server that has too much to do says is honoured: with 429 or 503 it names how many seconds
//! nobody should ask again (`Retry-After`). A second at most is waited for, inside of the call; for longer
//! than that every call of the target fails at once and says so, and none reaches the server.

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use kube::client::Body;
use std::{
    error::Error,
    fmt, mem,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::{BoxError, Layer, Service};

/// What a call waits for by itself: it leaves time for the answer within the call's deadline.
const WAITED: Duration = Duration::from_secs(1);

/// The longest that a server is left alone, whatever it says. Else one wrong answer would end the
/// target's use until we are started anew.
const LONGEST: Duration = Duration::from_secs(60);

/// It was not asked, because it asked not to be.
#[derive(Debug)]
pub(super) struct Busy {
    left: Duration,
    status: StatusCode,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.left.as_secs_f64().ceil();
        let status = self.status.as_u16();
        write!(f, "it has too much to do, and asked not to be asked for {seconds} s ({status})")
    }
}

impl Error for Busy {}

/// Until when a server is left alone, for all who ask it.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    until: Arc<Mutex<Option<(Instant, StatusCode)>>>,
    /// Answers come from somebody behind the server, whose own time to wait is nobody else's.
    is_behind: bool,
}

impl Patience {
    /// The same, for who asks services through the server.
    pub fn behind(&self) -> Self {
        Self { is_behind: true, ..self.clone() }
    }

    /// How long it is left alone still.
    fn busy(&self) -> Option<Busy> {
        let (until, status) = (*super::lock(&self.until))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(Busy { left, status })
    }

    /// Notes what an answer asks for, and fails where nobody should wait for it.
    fn hear<B>(&self, answer: Response<B>) -> Result<Response<B>, Busy> {
        let status = answer.status();
        let is_busy = !self.is_behind
            && [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
        let named = answer.headers().get(RETRY_AFTER).filter(|_| is_busy);
        let seconds = named.and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(left) = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST)) else {
            return Ok(answer);
        };
        let until = Instant::now() + left;
        let mut known = super::lock(&self.until);
        if known.is_none_or(|(known, _)| known < until) {
            *known = Some((until, status));
        }
        drop(known);
        if left > WAITED { Err(Busy { left, status }) } else { Ok(answer) }
    }
}

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Patient { inner, patience: self.clone() }
    }
}

/// Asks only when it may.
#[derive(Clone, Debug)]
pub(super) struct Patient<S> {
    inner: S,
    patience: Patience,
}

impl<S, B> Service<Request<Body>> for Patient<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let patience = self.patience.clone();
        // The one that was said to be ready.
        let fresh = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            while let Some(busy) = patience.busy() {
                if busy.left > WAITED {
                    return Err(busy.into());
                }
                tokio::time::sleep(busy.left).await;
            }
            Ok(patience.hear(inner.call(request).await?)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::retry::RetryPolicy;
    use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
    use tower::{ServiceBuilder, ServiceExt as _, retry::RetryLayer, service_fn};

    /// A server whose first answer is a status with a `Retry-After`, and all others good.
    struct Server {
        patience: Patience,
        first: (u16, &'static str),
        asked: Arc<AtomicU16>,
    }

    impl Server {
        fn new(status: u16, after: &'static str) -> Self {
            Self { patience: Patience::default(), first: (status, after), asked: Arc::default() }
        }

        /// One call as the driver makes it: the server's answer, or why there is none.
        async fn ask(&self) -> Result<u16, String> {
            let (asked, first) = (Arc::clone(&self.asked), self.first);
            let answers = service_fn(move |_: Request<Body>| {
                let (status, after) =
                    if asked.fetch_add(1, SeqCst) == 0 { first } else { (200, "0") };
                let answer = Response::builder().status(status).header(RETRY_AFTER, after);
                std::future::ready(Ok::<_, BoxError>(answer.body(()).expect("an answer")))
            });
            let stack = ServiceBuilder::new()
                .layer(RetryLayer::new(RetryPolicy::server_retry()))
                .layer(self.patience.clone())
                .service(answers);
            let answer = stack.oneshot(Request::new(Body::empty())).await;
            answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
        }
    }

    #[tokio::test]
    async fn nobody_asks_before_the_time_that_the_server_named() {
        let server = Server::new(429, "3");
        let begun = Instant::now();

        let refused = server.ask().await.expect_err("too much to do");
        let behind = Server { patience: server.patience.behind(), ..Server::new(200, "0") };
        assert!(behind.ask().await.is_err(), "nobody is asked through it either");
        let (other, another) = tokio::join!(server.ask(), server.ask());

        assert!(refused.contains("for 3 s (429)"), "{refused}");
        assert!(other.is_err() && another.is_err());
        assert_eq!(server.asked.load(SeqCst), 1);
        while server.patience.busy().is_some_and(|busy| busy.left > WAITED) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(server.ask().await, Ok(200));
        assert!(begun.elapsed() >= Duration::from_secs(3), "the last second is waited for");
    }

    #[tokio::test]
    async fn a_second_is_waited_for_inside_of_the_call() {
        let server = Server::new(429, "1");
        let begun = Instant::now();

        let (one, other) = tokio::join!(server.ask(), server.ask());

        assert_eq!((one, other), (Ok(200), Ok(200)));
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert_eq!(server.asked.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn a_server_that_names_years_is_asked_again_after_a_minute() {
        let server = Server::new(503, "999999999");

        let refused = server.ask().await.expect_err("too much to do");

        assert!(refused.contains("for 60 s (503)"), "{refused}");
    }

    #[tokio::test]
    async fn a_time_belongs_to_those_two_answers_only() {
        for (status, after) in [(404, "30"), (429, "soon")] {
            let server = Server::new(status, after);
            assert!(server.ask().await.is_ok(), "{status}");
            assert!(server.patience.busy().is_none(), "{status}");
        }
        let server = Server::new(503, "30");
        let behind = Server { patience: server.patience.behind(), ..server };
        assert_eq!(behind.ask().await, Ok(200), "a service's own");
        assert!(behind.patience.busy().is_none());
    }
}
