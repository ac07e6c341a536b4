//! Which worker thread this is: pools and counters are kept per worker, so that two cores never
//! wait for each other on the way of a request.

use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
};

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// Says once, at the start of a worker's thread, which one it is.
pub fn set(worker: usize) {
    WORKER.set(worker);
}

/// One value for each worker, each on cache lines of its own. The lock is there for the reader on
/// the control thread; a worker only ever takes its own.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Padded<T>]>);

#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(Mutex<T>);

impl<T: Default> PerWorker<T> {
    /// A value for each of `workers`.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Padded(Mutex::default())).collect())
    }
}

impl<T> PerWorker<T> {
    /// This worker's value.
    pub fn mine(&self) -> MutexGuard<'_, T> {
        let at = WORKER.get() % self.0.len();
        lock(&self.0[at].0)
    }

    /// Every worker's value, one after the other.
    pub fn all(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|padded| lock(&padded.0))
    }
}

/// A worker that panicked left counters that are at worst off by one: go on with them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
