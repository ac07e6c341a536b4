//! A bell that ends everything which waits at it: what a slot has in flight, or all connections.
//!
//! Waiting costs nothing until one really waits, and then a slot in a list of this worker's own: no
//! allocation, no lock between cores. What begins after the bell rang is not touched by it.

use crate::per_worker::PerWorker;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

/// The bell.
#[derive(Debug)]
pub struct Bell {
    rung: AtomicU64,
    waiting: PerWorker<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// One place at a bell. Must be left (see [`Bell::leave`]) by who took it.
#[derive(Debug)]
pub struct Place {
    since: u64,
    at: Option<usize>,
}

impl Bell {
    /// A bell for tasks of `workers` threads.
    pub fn new(workers: usize) -> Self {
        Self { rung: AtomicU64::new(0), waiting: PerWorker::new(workers) }
    }

    /// Wakes everything that waits. It finds the bell rung.
    pub fn ring(&self) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        for mut wakers in self.waiting.all() {
            for waker in wakers.wakers.iter_mut().filter_map(Option::take) {
                waker.wake();
            }
        }
    }

    /// A place at the bell from now on.
    pub fn place(&self) -> Place {
        Place { since: self.rung.load(Ordering::Acquire), at: None }
    }

    /// Another place, which counts from the same moment as `place`.
    pub fn beside(&self, place: &Place) -> Place {
        Place { since: place.since, at: None }
    }

    /// Whether the bell rang since `place` was taken. Does not wait.
    pub fn rang(&self, place: &Place) -> bool {
        self.rung.load(Ordering::Acquire) != place.since
    }

    /// Ready when the bell rang since `place` was taken; else the task is woken when it does.
    pub fn poll(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<()> {
        if self.rang(place) {
            return Poll::Ready(());
        }
        {
            let mut mine = self.waiting.mine();
            match place.at {
                Some(at) => match &mut mine.wakers[at] {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    other => *other = Some(cx.waker().clone()),
                },
                None => {
                    let waker = Some(cx.waker().clone());
                    let at = mine.free.pop().unwrap_or(mine.wakers.len());
                    if at == mine.wakers.len() {
                        mine.wakers.push(waker);
                    } else {
                        mine.wakers[at] = waker;
                    }
                    place.at = Some(at);
                }
            }
        }
        // It may have rung between the look and the wait.
        if self.rang(place) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives the place up. On the worker that took it, which is where a task lives and dies.
    pub fn leave(&self, place: &mut Place) {
        if let Some(at) = place.at.take() {
            let mut mine = self.waiting.mine();
            mine.wakers[at] = None;
            mine.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{Arc, atomic::AtomicBool},
        task::Wake,
    };

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_bell_wakes_who_waits_and_not_who_comes_later() {
        let bell = Bell::new(2);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut early = bell.place();
        assert!(bell.poll(&mut early, &mut cx).is_pending());

        bell.ring();
        let mut late = bell.place();

        assert!(woken.0.load(Ordering::SeqCst));
        assert!(bell.poll(&mut early, &mut cx).is_ready());
        assert!(bell.poll(&mut late, &mut cx).is_pending());
        bell.leave(&mut early);
        bell.leave(&mut late);
        let (free, all) = {
            let mine = bell.waiting.mine();
            (mine.free.len(), mine.wakers.len())
        };
        assert_eq!(free, all);
    }
}
