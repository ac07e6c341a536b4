//! The way of a request: which slot, which instance, which connection, and back.
//!
//! The table is asked once, at the beginning. What happens to the route after that is nothing to
//! this request: it ends in the slot where it began. A request is sent again only if nothing of it
//! was written to an instance.

use crate::{
    clock,
    table::{Found, Table},
    upstream::{Connection, NoConnection, Patience},
    witness::{Failure, Flight},
};
use arc_swap::ArcSwap;
use domain::slot::Slot;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    upgrade::OnUpgrade,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};
use tracing::debug;

mod answer_body;
mod headers;
mod host;
mod pages;
mod request_body;
mod tunnel;

pub use answer_body::{Active, AnswerBody, Use};
pub use request_body::RequestBody;
use request_body::Upload;

/// What all workers share.
#[derive(Debug)]
pub struct Proxy {
    pub table: ArcSwap<Table>,
    pub settings: Settings,
}

/// How requests are handled.
#[derive(Clone, Debug)]
pub struct Settings {
    pub patience: Patience,
    /// An instance must begin to answer this long after the last byte of the request came.
    pub answer_within: Duration,
    /// Never forwarded: the console's session must not be readable by the services beside it.
    pub withheld_cookie: String,
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Client {
    /// Number of the listener.
    pub listener: usize,
    /// The peer's address, as it is told to instances.
    pub address: HeaderValue,
    pub open: Arc<Open>,
}

/// A client's connection, from its acceptance until it is closed: also after it was upgraded.
#[derive(Debug)]
pub struct Open {
    count: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    /// One more in `count`.
    pub fn begin(count: Arc<AtomicUsize>, permit: OwnedSemaphorePermit) -> Arc<Self> {
        count.fetch_add(1, SeqCst);
        Arc::new(Self { count, _permit: permit })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, SeqCst);
    }
}

type Answer = Response<AnswerBody>;

impl Proxy {
    /// Ends everything that is in flight, in both slots of every placement, as
    /// [`domain::route::Close`] does.
    pub fn close_all(&self) {
        for placed in self.table.load().all() {
            for slot in Slot::ALL {
                placed.witness.close(slot);
            }
        }
    }

    /// Answers a request, one way or the other.
    pub async fn answer(&self, client: &Client, request: Request<Incoming>) -> Answer {
        let accepted_ns = clock::now_ns();
        let Some(host) = host::of(&request) else {
            return pages::bad_request("The request names no host, or more than one.");
        };
        if request.method() == Method::CONNECT {
            return pages::bad_request("This is not a proxy for other hosts.");
        }
        let Some(Found { placed, preview }) =
            self.table.load().find(client.listener, &host).cloned()
        else {
            return pages::unknown_host(&host);
        };
        let slot = if preview { placed.preview } else { placed.live };
        let Some(slot) = slot.filter(|slot| !placed.pools.of(*slot).is_empty()) else {
            if !preview {
                placed.witness.count_without_slot();
            }
            return pages::no_slot(&host, preview);
        };

        let host = host.into_owned();
        let flight = Flight::begin(placed.witness.clone(), slot, preview, accepted_ns);
        self.forward(client, request, flight, placed.pools.of(slot), &host).await
    }

    /// Tries the instances in turn until one takes the request.
    async fn forward(
        &self,
        client: &Client,
        mut request: Request<Incoming>,
        mut flight: Flight,
        pool: &crate::upstream::Pool,
        host: &str,
    ) -> Answer {
        let upgrade = headers::wants_upgrade(&request);
        let upgrade = upgrade.then(|| (hyper::upgrade::on(&mut request), client.open.clone()));
        headers::prepare(&mut request, client, upgrade.is_some(), &self.settings.withheld_cookie);
        let (mut request, upload) = request_body::follow(request, || flight.tally_in());
        let patience = self.settings.patience;

        let mut silent = false;
        for (tried, upstream) in pool.turn().enumerate() {
            if tried > 0 {
                flight.retried();
            }
            loop {
                let connection = match upstream.pooled(patience).await {
                    Some(connection) => connection,
                    None => match upstream.connect(patience).await {
                        Ok(connection) => connection,
                        Err(e) => {
                            debug!(address = %upstream.address(), error = %e, "No connection");
                            silent |= matches!(e, NoConnection::Silent);
                            break;
                        }
                    },
                };
                let pooled = connection.pooled;
                match self.send(connection, request, upload.as_ref(), &mut flight).await {
                    Sent::Answered(answer, connection) => {
                        return deliver(answer, connection, flight, upload, upgrade);
                    }
                    Sent::NotWritten(back) => {
                        request = back;
                        if !pooled {
                            break;
                        }
                        flight.retried();
                    }
                    Sent::ClientLeft => return pages::bad_request("The request was cut off."),
                    Sent::ClientStalled => return pages::stalled(),
                    Sent::Failed(failure) => {
                        flight.failed(failure);
                        return pages::failed(failure, host);
                    }
                }
            }
        }
        let failure = if silent { Failure::TimedOut } else { Failure::Refused };
        flight.failed(failure);
        pages::failed(failure, host)
    }

    /// Sends a request over a connection and waits for the head of the answer.
    async fn send(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
        upload: Option<&Arc<Upload>>,
        flight: &mut Flight,
    ) -> Sent {
        let mut sent = pin!(connection.sender.try_send_request(request));
        let mut limit = pin!(sleep(self.settings.answer_within));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = sent.as_mut().poll(cx) {
                return Poll::Ready(Ok(outcome));
            }
            if flight.poll_closed(cx).is_ready() {
                return Poll::Ready(Err(Sent::Failed(Failure::CutOff)));
            }
            while limit.as_mut().poll(cx).is_ready() {
                // A long upload is not a slow answer.
                let since = upload.map_or(Duration::MAX, |upload| upload.idle_for());
                let Some(left) = self.settings.answer_within.checked_sub(since) else {
                    // Else anybody who stops in the middle would make the slot look bad.
                    let stalled = upload.is_some_and(|upload| upload.awaits_client());
                    return Poll::Ready(Err(if stalled {
                        Sent::ClientStalled
                    } else {
                        Sent::Failed(Failure::TimedOut)
                    }));
                };
                limit.as_mut().reset(Instant::now() + left.max(Duration::from_millis(1)));
            }
            Poll::Pending
        })
        .await;

        match outcome {
            Ok(Ok(answer)) => Sent::Answered(answer, connection),
            Ok(Err(mut failed)) => match failed.take_message() {
                Some(request) => Sent::NotWritten(request),
                None if upload.is_some_and(|upload| upload.client_left()) => Sent::ClientLeft,
                None => {
                    debug!(error = %failed.error(), "An instance failed to answer");
                    Sent::Failed(Failure::CutOff)
                }
            },
            Err(given_up) => given_up,
        }
    }
}

/// What became of a request that was given to a connection.
enum Sent {
    Answered(Response<Incoming>, Connection),
    /// Not a byte went out: it can be given to another.
    NotWritten(Request<RequestBody>),
    ClientLeft,
    /// The client sent a part of the request and nothing for long.
    ClientStalled,
    Failed(Failure),
}

/// Hands the answer to the client.
fn deliver(
    mut answer: Response<Incoming>,
    connection: Connection,
    mut flight: Flight,
    upload: Option<Arc<Upload>>,
    upgrade: Option<(OnUpgrade, Arc<Open>)>,
) -> Answer {
    let status = answer.status();
    let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
    let stream = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    flight.answered(status.is_server_error(), stream, upgraded);

    headers::strip_answer(answer.headers_mut(), upgraded);
    *answer.version_mut() = Version::HTTP_11;
    if !upgraded {
        return answer.map(|body| AnswerBody::of_instance(body, connection, flight, upload));
    }
    let Some((from_client, open)) = upgrade else {
        // It speaks another protocol without having been asked to.
        flight.failed(Failure::CutOff);
        return pages::failed(Failure::CutOff, "");
    };
    let to_instance = hyper::upgrade::on(&mut answer);
    let websocket = headers::is_websocket(answer.headers());
    tokio::spawn(async move {
        tunnel::run(from_client, to_instance, websocket, flight).await;
        drop(open);
    });
    answer.map(|_| AnswerBody::empty())
}
