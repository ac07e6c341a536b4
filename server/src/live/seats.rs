//! How many streams are open, of each person and of everybody. A seat is given back when the stream
//! is dropped, however it ends.

use crate::metrics::Metrics;
use domain::id::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

/// The seats there are.
#[derive(Debug)]
pub struct Seats {
    in_all: usize,
    per_person: usize,
    taken: Mutex<HashMap<UserId, usize>>,
    metrics: Arc<Metrics>,
}

/// One of them.
#[derive(Debug)]
pub struct Seat {
    person: UserId,
    seats: Arc<Seats>,
}

impl Seats {
    /// So many in all, and so many for one person.
    #[must_use]
    pub fn new(in_all: usize, per_person: usize, metrics: Arc<Metrics>) -> Self {
        Self { in_all, per_person, taken: Mutex::default(), metrics }
    }

    /// Takes one, if there is one left.
    #[must_use]
    pub fn take(self: &Arc<Self>, person: UserId) -> Option<Seat> {
        let mut taken = self.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(&person).copied().unwrap_or(0);
        if all >= self.in_all || own >= self.per_person {
            self.metrics.streams_refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        taken.insert(person, own + 1);
        self.metrics.streams_open.fetch_add(1, Ordering::Relaxed);
        Some(Seat { person, seats: Arc::clone(self) })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        // A count is changed in one step, so it is whole whatever happened.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(own) = taken.get_mut(&self.person) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.person);
            }
        }
        self.seats.metrics.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_person_can_not_take_all_seats_and_seats_come_back() {
        let seats = Arc::new(Seats::new(3, 2, Arc::default()));
        let person = |number| UserId(Uuid::from_u128(number));

        let first = [seats.take(person(1)), seats.take(person(1))];
        assert!(first.iter().all(Option::is_some));
        assert!(seats.take(person(1)).is_none());
        let other = seats.take(person(2));
        assert!(other.is_some());
        assert!(seats.take(person(3)).is_none());

        drop(first);
        assert!(seats.take(person(3)).is_some());
        assert!(seats.take(person(1)).is_some());
    }
}
