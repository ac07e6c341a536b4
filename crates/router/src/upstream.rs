//! The instances of a slot, and the open connections to them.
//!
//! Each worker has connections of its own: one never leaves the thread that opened it. They live
//! in the [`Upstream`] and close when the last route that names it is gone.

use crate::{clock, per_worker::PerWorker, proxy::RequestBody};
use domain::route::MAX_UPSTREAMS_PER_SLOT;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tracing::debug;

/// Idle connections that a worker keeps to an instance.
const IDLE_KEPT: usize = 256;

/// A pooled connection tells within this time whether it can be used.
const READY_WITHIN: Duration = Duration::from_millis(50);

/// For how long an instance that did not take a connection is asked last.
const DOWN_FOR: Duration = Duration::from_secs(1);

/// For how long one that did not even refuse it is asked last: trying costs seconds.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// How connections to instances are made and kept.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection to be taken.
    pub connect: Duration,
    /// Idle connections older than this are not used again, for the instance may be about to close
    /// them: a request written into a closing connection is lost.
    pub idle: Duration,
}

/// The instances of a slot.
#[derive(Debug)]
pub struct Pool {
    upstreams: Vec<Arc<Upstream>>,
    next: AtomicUsize,
}

/// An instance.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    down_until_ns: AtomicU64,
    idle: PerWorker<VecDeque<Idle>>,
}

#[derive(Debug)]
struct Idle {
    since_ns: u64,
    sender: Sender,
}

type Sender = SendRequest<RequestBody>;

/// A connection for one request.
#[derive(Debug)]
pub struct Connection {
    pub sender: Sender,
    /// It served requests before, so it may have been closed since.
    pub pooled: bool,
    upstream: Arc<Upstream>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    #[error("the instance did not answer in time")]
    Silent,
    #[error("the instance did not take the connection")]
    Refused(#[source] io::Error),
}

impl Pool {
    /// Of instances at `addresses`. Those that `before` had too stay as they are, with their
    /// connections.
    pub fn new(addresses: &[SocketAddr], before: Option<&Self>, workers: usize) -> Self {
        let known = |address: &SocketAddr| {
            before?.upstreams.iter().find(|upstream| upstream.address == *address).cloned()
        };
        let upstream = |address: &SocketAddr| {
            known(address).unwrap_or_else(|| {
                Arc::new(Upstream {
                    address: *address,
                    down_until_ns: AtomicU64::new(0),
                    idle: PerWorker::new(workers),
                })
            })
        };
        Self { upstreams: addresses.iter().map(upstream).collect(), next: AtomicUsize::new(0) }
    }

    /// Whether its instances are those at `addresses`, in that order.
    pub fn is_of(&self, addresses: &[SocketAddr]) -> bool {
        self.upstreams.iter().map(|upstream| upstream.address).eq(addresses.iter().copied())
    }

    /// No instances.
    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// The instances in the order in which this request shall try them: in turn, those that were
    /// down a moment ago last, and each of them once.
    pub fn turn(&self) -> Turn<'_> {
        let start = if self.upstreams.len() > 1 { self.next.fetch_add(1, Relaxed) } else { 0 };
        Turn { pool: self, start, looked_at: 0, last: false, offered: [0; WORDS] }
    }
}

/// See [`Pool::turn`].
#[derive(Debug)]
pub struct Turn<'a> {
    pool: &'a Pool,
    start: usize,
    looked_at: usize,
    /// Those that are up are through; now those that were down.
    last: bool,
    /// A bit for each that this request was given: one that failed it is down since, and would else
    /// come again among the last.
    offered: [u64; WORDS],
}

/// Of bits, for the instances of a slot.
const WORDS: usize = MAX_UPSTREAMS_PER_SLOT.div_ceil(64);

impl<'a> Iterator for Turn<'a> {
    type Item = &'a Arc<Upstream>;

    fn next(&mut self) -> Option<Self::Item> {
        let all = &self.pool.upstreams;
        loop {
            if self.looked_at == all.len() {
                if self.last {
                    return None;
                }
                self.last = true;
                self.looked_at = 0;
            }
            let index = self.start.wrapping_add(self.looked_at) % all.len().max(1);
            let upstream = all.get(index)?;
            self.looked_at += 1;
            let (word, bit) = (self.offered.get_mut(index / 64)?, 1 << (index % 64));
            if *word & bit == 0 && (self.last || !upstream.is_down()) {
                *word |= bit;
                return Some(upstream);
            }
        }
    }
}

impl Upstream {
    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn is_down(&self) -> bool {
        let until = self.down_until_ns.load(Relaxed);
        until != 0 && clock::now_ns() < until
    }

    /// A connection that served before and is still open, if there is one.
    pub async fn pooled(self: &Arc<Self>, patience: Patience) -> Option<Connection> {
        loop {
            let Idle { since_ns, mut sender } = self.idle.mine().pop_back()?;
            let age = clock::now_ns().saturating_sub(since_ns);
            if Duration::from_nanos(age) > patience.idle {
                // The others are older still.
                self.idle.mine().clear();
                return None;
            }
            if sender.is_ready()
                || (!sender.is_closed()
                    && timeout(READY_WITHIN, sender.ready()).await.is_ok_and(|r| r.is_ok()))
            {
                return Some(Connection { sender, pooled: true, upstream: self.clone() });
            }
        }
    }

    /// A new connection. One that is not taken marks the instance as down for a moment.
    pub async fn connect(self: &Arc<Self>, patience: Patience) -> Result<Connection, NoConnection> {
        let stream = match timeout(patience.connect, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                self.mark_down(DOWN_FOR);
                return Err(NoConnection::Refused(e));
            }
            Err(_) => {
                self.mark_down(SILENT_FOR);
                return Err(NoConnection::Silent);
            }
        };
        self.down_until_ns.store(0, Relaxed);
        // Without either the connection still works, slower or longer.
        let _ = stream.set_nodelay(true);
        let _ = crate::sockets::keep_alive(&stream);

        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| NoConnection::Refused(io::Error::other(e)))?;
        tokio::spawn(async move {
            if let Err(e) = connection.with_upgrades().await {
                debug!(error = %e, "A connection to an instance ended badly");
            }
        });
        Ok(Connection { sender, pooled: false, upstream: self.clone() })
    }

    fn mark_down(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.down_until_ns.store(clock::now_ns().saturating_add(nanos), Relaxed);
    }
}

impl Connection {
    /// Keeps the connection for the next request of this worker. Only when the answer is whole and
    /// the request was sent whole.
    pub fn keep(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.upstream.idle.mine();
        if idle.len() == IDLE_KEPT {
            idle.pop_front();
        }
        idle.push_back(Idle { since_ns: clock::now_ns(), sender: self.sender });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(instances: u16) -> Pool {
        let address = |n| SocketAddr::from(([127, 0, 0, 1], 1000 + n));
        Pool::new(&(0..instances).map(address).collect::<Vec<_>>(), None, 1)
    }

    /// The ports of the instances in the order of the turn, each failing when it is tried.
    fn failing(pool: &Pool) -> Vec<u16> {
        let turn = pool.turn().inspect(|upstream| upstream.mark_down(DOWN_FOR));
        turn.map(|upstream| upstream.address().port()).collect()
    }

    #[test]
    fn an_instance_that_fails_a_request_does_not_get_it_again() {
        assert!(failing(&pool(0)).is_empty());
        assert_eq!(failing(&pool(1)), [1000]);
        assert_eq!(failing(&pool(3)), [1000, 1001, 1002]);
        assert_eq!(failing(&pool(MAX_UPSTREAMS_PER_SLOT as u16)).len(), MAX_UPSTREAMS_PER_SLOT);
    }

    #[test]
    fn who_was_down_is_asked_last_and_still_asked_when_it_is_back_by_then() {
        let pool = pool(3);
        pool.upstreams[0].mark_down(DOWN_FOR);

        let mut turn = pool.turn();
        let first: Vec<_> = turn.by_ref().take(2).map(|one| one.address().port()).collect();
        pool.upstreams[0].down_until_ns.store(0, Relaxed);

        assert_eq!(first, [1001, 1002]);
        assert_eq!(turn.next().map(|one| one.address().port()), Some(1000));
        assert!(turn.next().is_none());
    }
}
