//! What happened to the requests, as one JSON object.

use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// So many failures are told in words; the rest are only counted.
const FAILURES_TOLD: usize = 20;
/// Who answered is counted for so many versions, which is more than a test ever has.
const VERSIONS: usize = 64;

/// Grows while the load runs.
pub struct Report {
    started: Instant,
    sent: u64,
    answered: u64,
    failed: u64,
    failures: Vec<Value>,
    latencies_us: Vec<u32>,
    last_answer: Option<Instant>,
    longest_gap: Duration,
    versions: BTreeMap<String, Version>,
    sockets: Streams,
    events: Streams,
}

/// The answers of one version.
struct Version {
    answers: u64,
    first_sent: Instant,
    last_sent: Instant,
}

/// The two kinds of connections that stay.
#[derive(Clone, Copy)]
pub enum Kind {
    WebSocket,
    Events,
}

/// How a stream ended.
pub enum End {
    /// The load is over.
    Over,
    /// The other side ended it in order; with a message of ours still unanswered, or not.
    Closed { unanswered: bool },
    /// The connection broke.
    Cut,
}

/// What happened to the streams of one kind.
#[derive(Default)]
pub struct Streams {
    pub opened: u64,
    pub messages: u64,
    /// The other side ended it in order.
    pub closed: u64,
    /// The connection broke.
    pub cut: u64,
    /// Could not be opened, or fell silent.
    pub failed: u64,
    /// Messages that were sent, then met a goodbye in place of their echo.
    pub unanswered: u64,
}

impl Report {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            sent: 0,
            answered: 0,
            failed: 0,
            failures: Vec::new(),
            latencies_us: Vec::new(),
            last_answer: None,
            longest_gap: Duration::ZERO,
            versions: BTreeMap::new(),
            sockets: Streams::default(),
            events: Streams::default(),
        }
    }

    pub fn sent(&mut self) {
        self.sent += 1;
    }

    /// A good answer to a request that was sent at `sent`.
    pub fn answered(&mut self, sent: Instant, version: &str) {
        let now = Instant::now();
        self.answered += 1;
        self.latencies_us.push((now - sent).as_micros().try_into().unwrap_or(u32::MAX));
        let gap = now - self.last_answer.unwrap_or(self.started);
        self.longest_gap = self.longest_gap.max(gap);
        self.last_answer = Some(now);
        if let Some(known) = self.versions.get_mut(version) {
            known.answers += 1;
            known.first_sent = known.first_sent.min(sent);
            known.last_sent = known.last_sent.max(sent);
        } else if self.versions.len() < VERSIONS {
            let new = Version { answers: 1, first_sent: sent, last_sent: sent };
            self.versions.insert(version.to_owned(), new);
        }
    }

    pub fn failed(&mut self, what: &str, why: &str) {
        self.failed += 1;
        self.tell(what, why);
    }

    pub fn streams(&mut self, kind: Kind) -> &mut Streams {
        match kind {
            Kind::WebSocket => &mut self.sockets,
            Kind::Events => &mut self.events,
        }
    }

    pub fn stream_ended(&mut self, kind: Kind, end: anyhow::Result<End>) {
        let streams = self.streams(kind);
        match end {
            Ok(End::Over) => {}
            Ok(End::Closed { unanswered }) => {
                streams.closed += 1;
                streams.unanswered += u64::from(unanswered);
            }
            Ok(End::Cut) => streams.cut += 1,
            Err(error) => {
                streams.failed += 1;
                let what = match kind {
                    Kind::WebSocket => "WebSocket",
                    Kind::Events => "events",
                };
                self.tell(what, &format!("{error:#}"));
            }
        }
    }

    /// Keeps the words of a failure that is counted elsewhere.
    fn tell(&mut self, what: &str, why: &str) {
        if self.failures.len() < FAILURES_TOLD {
            self.failures
                .push(json!({ "at_ms": ms(self.started.elapsed()), "what": what, "why": why }));
        }
    }

    /// Times are milliseconds since the start, which is given on the wall clock.
    pub fn to_json(&self) -> Value {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let percentile = |of_100: usize| {
            let index = (sorted.len() * of_100 / 100).min(sorted.len().saturating_sub(1));
            sorted.get(index).map(|us| f64::from(*us) / 1000.0)
        };
        let versions: Map<String, Value> = self
            .versions
            .iter()
            .map(|(version, seen)| {
                let value = json!({
                    "answers": seen.answers,
                    "first_sent_ms": ms(seen.first_sent - self.started),
                    "last_sent_ms": ms(seen.last_sent - self.started),
                });
                (version.clone(), value)
            })
            .collect();
        let lasted = self.started.elapsed();
        let silence_at_the_end = self.last_answer.map_or(lasted, |last| last.elapsed());
        let longest_gap =
            if self.sent > 0 { self.longest_gap.max(silence_at_the_end) } else { Duration::ZERO };
        let started =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
                - lasted;
        json!({
            "started_unix_ms": ms(started),
            "lasted_ms": ms(lasted),
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "longest_gap_ms": ms(longest_gap),
            "latency_ms": {
                "p50": percentile(50), "p95": percentile(95), "p99": percentile(99), "max": percentile(100),
            },
            "versions": versions,
            "websockets": self.sockets.to_json(),
            "events": self.events.to_json(),
            "failures": self.failures,
        })
    }
}

impl Streams {
    fn to_json(&self) -> Value {
        json!({
            "opened": self.opened, "messages": self.messages, "closed": self.closed,
            "cut": self.cut, "failed": self.failed, "unanswered": self.unanswered,
        })
    }
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
