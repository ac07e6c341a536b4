//! A request's body on its way to an instance: streamed, never kept.

use crate::{clock, witness::Tally};
use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

/// The body.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    upload: Option<(Arc<Upload>, Tally)>,
}

/// How far a body has come.
#[derive(Debug)]
pub struct Upload {
    last_ns: AtomicU64,
    whole: AtomicBool,
    client_left: AtomicBool,
    awaits_client: AtomicBool,
}

/// Lets us follow the body of a request, if it has one.
pub fn follow(
    request: Request<Incoming>,
    tally: impl FnOnce() -> Tally,
) -> (Request<RequestBody>, Option<Arc<Upload>>) {
    let upload = (!request.body().is_end_stream()).then(|| {
        Arc::new(Upload {
            last_ns: AtomicU64::new(clock::now_ns()),
            whole: AtomicBool::new(false),
            client_left: AtomicBool::new(false),
            awaits_client: AtomicBool::new(false),
        })
    });
    let followed = upload.clone().map(|upload| (upload, tally()));
    (request.map(|inner| RequestBody { inner, upload: followed }), upload)
}

impl Upload {
    /// Everything came, and was handed to the connection.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Relaxed)
    }

    /// The client broke off, so what the instance makes of it is not the instance's fault.
    pub fn client_left(&self) -> bool {
        self.client_left.load(Relaxed)
    }

    /// The instance has taken everything that came, and the client owes the rest.
    pub fn awaits_client(&self) -> bool {
        self.awaits_client.load(Relaxed)
    }

    /// For how long nothing has come.
    pub fn idle_for(&self) -> Duration {
        Duration::from_nanos(clock::now_ns().saturating_sub(self.last_ns.load(Relaxed)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Some((upload, _)) = &self.upload {
            // Not asked for more by an instance that does not read: then this stays as it was.
            upload.awaits_client.store(polled.is_pending(), Relaxed);
        }
        let frame = ready!(polled);
        let whole = self.inner.is_end_stream();
        if let Some((upload, tally)) = &mut self.upload {
            upload.last_ns.store(clock::now_ns(), Relaxed);
            match &frame {
                Some(Ok(frame)) => {
                    tally.add(frame.data_ref().map_or(0, |data| data.len() as u64));
                    upload.whole.store(whole, Relaxed);
                }
                Some(Err(_)) => upload.client_left.store(true, Relaxed),
                None => upload.whole.store(true, Relaxed),
            }
            if whole || !matches!(frame, Some(Ok(_))) {
                tally.tell();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
