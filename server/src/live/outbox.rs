//! What one client has not taken yet, in bounded memory.
//!
//! Rows wait in their order and are never dropped: when too many wait, the client is told to begin
//! again, which is quicker for it than to catch up. Of the states of a rollout and the samples of a
//! placement only the newest waits.

use domain::id::{BuildId, PlacementId, RolloutId};
use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// How many rows may wait. A page is drawn anew in less time than it takes to read so many.
pub const ROWS: usize = 256;
/// How many rollouts and placements may wait, each with its newest message. Beyond that, the new
/// ones are left out until there is room: the next second brings another sample.
pub const NEWEST: usize = 1024;

/// How many messages with lines of instances may wait, each of 64 KiB at most.
pub const LINES: usize = 16;

/// The queue between the one who listens to the hub and the one who writes to the client.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Greetings and rows, in order.
    in_order: VecDeque<Line>,
    rollouts: Newest<RolloutId>,
    samples: Newest<PlacementId>,
    builds: Newest<BuildId>,
    /// What instances or builds wrote, in order.
    lines: VecDeque<Arc<str>>,
    /// The stream ends; with a last word, until that is taken.
    end: Option<Option<Arc<str>>>,
}

type Newest<K> = HashMap<K, Arc<str>>;

/// One message: JSON that all streams share, and the number by which a client resumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: Option<i64>,
    pub json: Arc<str>,
}

impl Line {
    /// A message without a number.
    #[must_use]
    pub fn new(json: impl Into<Arc<str>>) -> Self {
        Self { number: None, json: json.into() }
    }

    fn write(&self, out: &mut String) {
        if let Some(number) = self.number {
            // Writing to a string can not fail.
            let _ = writeln!(out, "id: {number}");
        }
        // JSON has no line breaks of its own.
        out.push_str("data: ");
        out.push_str(&self.json);
        out.push_str("\n\n");
    }
}

/// There are more rows waiting than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    /// Puts a greeting or a row behind those that wait.
    pub fn push(&self, line: Line) -> Result<(), Full> {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            if waiting.in_order.len() >= ROWS {
                return Err(Full);
            }
            waiting.in_order.push_back(line);
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Puts the newest state of a rollout in the place of the one that waits.
    pub fn put_rollout(&self, rollout: RolloutId, json: Arc<str>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            put(&mut waiting.rollouts, rollout, json);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Puts the newest sample of a placement in the place of the one that waits.
    pub fn put_sample(&self, placement: PlacementId, json: Arc<str>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            put(&mut waiting.samples, placement, json);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Puts the newest state of a build in the place of the one that waits.
    pub fn put_build(&self, build: BuildId, json: Arc<str>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            put(&mut waiting.builds, build, json);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Whether lines of instances would be taken soon.
    #[must_use]
    pub fn has_room_for_lines(&self) -> bool {
        self.waiting().lines.len() < LINES
    }

    /// Puts lines of instances behind those that wait. Who puts more than there is room for is not
    /// heard.
    pub fn put_lines(&self, json: Arc<str>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() && waiting.lines.len() < LINES {
            waiting.lines.push_back(json);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Ends the stream after a last word, or at once without one. What waits is let go: who is told
    /// to begin again, or is no longer allowed to listen, shall not get it.
    pub fn end(&self, last: Option<Arc<str>>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            *waiting = Waiting { end: Some(last), ..Waiting::default() };
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Ends the stream after everything that waits, and a last word.
    pub fn end_after_all(&self, last: Arc<str>) {
        let mut waiting = self.waiting();
        if waiting.end.is_none() {
            waiting.end = Some(Some(last));
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Everything that waits, as it goes over the wire. `None`: the stream is over.
    pub async fn take(&self) -> Option<String> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            self.changed.notified().await;
        }
    }

    /// How much waits.
    #[must_use]
    pub fn len(&self) -> usize {
        let waiting = self.waiting();
        waiting.in_order.len()
            + waiting.rollouts.len()
            + waiting.samples.len()
            + waiting.builds.len()
            + waiting.lines.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn try_take(&self) -> Option<Option<String>> {
        let mut waiting = self.waiting();
        let mut out = String::new();
        for line in waiting.in_order.drain(..) {
            line.write(&mut out);
        }
        let rollouts = std::mem::take(&mut waiting.rollouts);
        let samples = std::mem::take(&mut waiting.samples);
        let builds = std::mem::take(&mut waiting.builds);
        let lines = std::mem::take(&mut waiting.lines);
        let newest =
            rollouts.into_values().chain(samples.into_values()).chain(builds.into_values());
        for json in newest.chain(lines) {
            Line::new(json).write(&mut out);
        }
        if let Some(end) = &mut waiting.end {
            if let Some(last) = end.take() {
                Line::new(last).write(&mut out);
            }
            if out.is_empty() {
                return Some(None);
            }
        }
        (!out.is_empty()).then_some(Some(out))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change of it is whole, so a panic elsewhere leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put<K: std::hash::Hash + Eq>(newest: &mut Newest<K>, key: K, json: Arc<str>) {
    if newest.len() < NEWEST || newest.contains_key(&key) {
        newest.insert(key, json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn row(number: i64) -> Line {
        Line { number: Some(number), json: format!("{{\"row\":{number}}}").into() }
    }

    fn placement(number: u128) -> PlacementId {
        PlacementId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn rows_keep_their_order_and_only_the_newest_sample_waits() {
        let outbox = Outbox::default();

        for number in 1..=3 {
            outbox.put_sample(placement(1), format!("sample {number}").into());
            outbox.push(row(number)).unwrap();
        }

        let sent = outbox.take().await.unwrap();
        assert_eq!(
            sent,
            "id: 1\ndata: {\"row\":1}\n\nid: 2\ndata: {\"row\":2}\n\nid: 3\ndata: {\"row\":3}\n\n\
             data: sample 3\n\n"
        );
    }

    #[test]
    fn what_waits_for_a_slow_client_has_a_bound() {
        let outbox = Outbox::default();

        for number in 0..100_000 {
            outbox.put_sample(placement(number % 5_000), "sample".into());
        }
        let mut accepted = 0;
        while outbox.push(row(accepted)).is_ok() {
            accepted += 1;
        }

        for _ in 0..5_000 {
            outbox.put_lines("lines".into());
        }

        assert_eq!(accepted, ROWS as i64);
        assert!(!outbox.has_room_for_lines());
        assert_eq!(outbox.len(), ROWS + NEWEST + LINES);
    }

    #[tokio::test]
    async fn who_must_begin_again_gets_nothing_of_what_waited() {
        let outbox = Outbox::default();
        outbox.push(row(1)).unwrap();

        outbox.end(Some("reset".into()));
        outbox.put_sample(placement(1), "late".into());

        assert_eq!(outbox.take().await.unwrap(), "data: reset\n\n");
        assert_eq!(outbox.take().await, None);
    }

    #[tokio::test]
    async fn a_goodbye_comes_after_what_waited() {
        let outbox = Outbox::default();
        outbox.push(row(1)).unwrap();

        outbox.end_after_all("bye".into());

        assert_eq!(outbox.take().await.unwrap(), "id: 1\ndata: {\"row\":1}\n\ndata: bye\n\n");
        assert_eq!(outbox.take().await, None);
    }
}
