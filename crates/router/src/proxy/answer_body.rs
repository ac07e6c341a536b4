//! An answer's body on its way to the client: streamed from an instance, or a page of ours.

use super::Upload;
use crate::{
    upstream::Connection,
    witness::{Failure, Flight},
};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

/// The body.
#[derive(Debug)]
pub struct AnswerBody {
    from: From,
    /// The client's connection is in use for as long as this lives.
    pub active: Option<Active>,
}

#[derive(Debug)]
enum From {
    Page(Option<Bytes>),
    Instance(Box<OfInstance>),
}

#[derive(Debug)]
struct OfInstance {
    inner: Incoming,
    connection: Option<Connection>,
    upload: Option<Arc<Upload>>,
    flight: Flight,
    closed: bool,
}

/// Why a body ended before it was whole. The client's connection is cut, so that nobody takes the
/// part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the instance ended the connection")]
    Instance(#[source] hyper::Error),
    #[error("the slot was closed")]
    Closed,
}

impl AnswerBody {
    /// Nothing.
    pub const fn empty() -> Self {
        Self { from: From::Page(None), active: None }
    }

    /// A page of ours.
    pub fn page(html: String) -> Self {
        Self { from: From::Page(Some(html.into())), active: None }
    }

    /// What an instance answers.
    pub fn of_instance(
        inner: Incoming,
        connection: Connection,
        flight: Flight,
        upload: Option<Arc<Upload>>,
    ) -> Self {
        let mut body =
            OfInstance { inner, connection: Some(connection), upload, flight, closed: false };
        // An empty body may never be asked for its end.
        if body.inner.is_end_stream() {
            body.end();
        }
        Self { from: From::Instance(Box::new(body)), active: None }
    }
}

impl OfInstance {
    /// The answer is whole: the connection can serve the next request, if it has nothing left to
    /// send of this one.
    fn end(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        self.flight.ended();
        if self.upload.as_ref().is_none_or(|upload| upload.is_whole()) {
            connection.keep();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.closed {
            return Poll::Ready(None);
        }
        if self.flight.is_closed() {
            return self.close();
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.flight.sent(data.len() as u64);
                }
                if self.inner.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(e))) => {
                self.connection = None;
                self.flight.failed(Failure::CutOff);
                Poll::Ready(Some(Err(Cut::Instance(e))))
            }
            Poll::Pending => match self.flight.poll_closed(cx) {
                Poll::Ready(()) => self.close(),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Readers of an event stream come back by themselves when it ends, so it may end as if it were
    /// whole. Anything else must look broken.
    fn close(&mut self) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.connection.take().is_none() {
            return Poll::Ready(None);
        }
        self.closed = true;
        if self.flight.is_stream() {
            self.flight.ended();
            return Poll::Ready(None);
        }
        self.flight.failed(Failure::CutOff);
        Poll::Ready(Some(Err(Cut::Closed)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.from {
            From::Page(page) => Poll::Ready(page.take().map(|page| Ok(Frame::data(page)))),
            From::Instance(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Page(page) => page.is_none(),
            From::Instance(body) => body.closed || body.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Page(page) => SizeHint::with_exact(page.as_ref().map_or(0, |p| p.len() as u64)),
            From::Instance(body) => body.inner.size_hint(),
        }
    }
}

/// How much a client's connection is in use, and since when it is not.
#[derive(Debug, Default)]
pub struct Use {
    active: AtomicU32,
    idle_since_ns: AtomicU64,
}

impl Use {
    /// Of a connection that was opened at `now_ns`.
    pub fn since(now_ns: u64) -> Arc<Self> {
        Arc::new(Self { active: AtomicU32::new(0), idle_since_ns: AtomicU64::new(now_ns) })
    }

    /// Since when nothing was asked over the connection. None: something is on its way.
    pub fn idle_since_ns(&self) -> Option<u64> {
        (self.active.load(Relaxed) == 0).then(|| self.idle_since_ns.load(Relaxed))
    }
}

/// A request on a client's connection, from its head to the end of its answer.
#[derive(Debug)]
pub struct Active(Arc<Use>);

impl Active {
    /// One more.
    pub fn begin(of: &Arc<Use>) -> Self {
        of.active.fetch_add(1, Relaxed);
        Self(of.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Relaxed) == 1 {
            self.0.idle_since_ns.store(crate::clock::now_ns(), Relaxed);
        }
    }
}
