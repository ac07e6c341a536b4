//! Counters of the console itself, in the text format of Prometheus. Everything has a bound: routes
//! are counted by their pattern, never by what was asked for.

use axum::http::{Method, StatusCode};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Upper ends of the latency buckets, in milliseconds.
const BUCKETS_MS: [u64; 9] = [5, 10, 25, 50, 100, 250, 500, 1000, 5000];

/// What is counted while the server runs.
#[derive(Debug, Default)]
pub struct Metrics {
    answers: Mutex<BTreeMap<(String, String, u16), u64>>,
    latencies: Mutex<BTreeMap<String, Latency>>,
    pub streams_open: AtomicI64,
    pub streams_reset: AtomicU64,
    pub streams_refused: AtomicU64,
    pub connections_open: AtomicI64,
    pub connections_refused: AtomicU64,
    pub panics: AtomicU64,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [u64; BUCKETS_MS.len()],
    count: u64,
    sum_us: u64,
}

/// Figures that are read when somebody asks.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub history_head: Option<i64>,
    pub pool_connections: u32,
    pub pool_idle: usize,
    pub listeners: usize,
    pub sampled_placements: usize,
    /// Rollouts that have not ended, by phase.
    pub rollouts: Vec<(String, i64)>,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let key = (method_word(method).to_owned(), route.to_owned(), status.as_u16());
        *locked(&self.answers).entry(key).or_default() += 1;

        let mut latencies = locked(&self.latencies);
        let latency = latencies.entry(route.to_owned()).or_default();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for (bucket, end) in latency.buckets.iter_mut().zip(BUCKETS_MS) {
            *bucket += u64::from(ms <= end);
        }
        latency.count += 1;
        latency.sum_us += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }

    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn to_text(&self, figures: &Figures) -> String {
        let mut out = String::new();
        head(&mut out, "pilothouse_http_answers_total", "counter", "Answers by route and status.");
        for ((method, route, status), count) in locked(&self.answers).iter() {
            line(
                &mut out,
                "pilothouse_http_answers_total",
                &format!("method=\"{method}\",route=\"{route}\",status=\"{status}\""),
                count,
            );
        }
        self.write_latencies(&mut out);
        for (name, kind, help, value) in self.single(figures) {
            head(&mut out, name, kind, help);
            line(&mut out, name, "", value);
        }
        head(&mut out, "pilothouse_rollouts", "gauge", "Rollouts that have not ended, by phase.");
        for (phase, count) in &figures.rollouts {
            line(&mut out, "pilothouse_rollouts", &format!("phase=\"{phase}\""), count);
        }
        out
    }

    fn write_latencies(&self, out: &mut String) {
        const NAME: &str = "pilothouse_http_seconds";
        head(out, NAME, "histogram", "How long answers took to begin.");
        for (route, latency) in locked(&self.latencies).iter() {
            for (count, end) in latency.buckets.iter().zip(BUCKETS_MS) {
                let labels = format!("route=\"{route}\",le=\"{}\"", seconds(end * 1000));
                line(out, "pilothouse_http_seconds_bucket", &labels, count);
            }
            let all = format!("route=\"{route}\",le=\"+Inf\"");
            line(out, "pilothouse_http_seconds_bucket", &all, latency.count);
            let route = format!("route=\"{route}\"");
            line(out, "pilothouse_http_seconds_sum", &route, seconds(latency.sum_us));
            line(out, "pilothouse_http_seconds_count", &route, latency.count);
        }
    }

    fn single(&self, figures: &Figures) -> [(&'static str, &'static str, &'static str, i64); 11] {
        let counter = |value: &AtomicU64| value.load(Ordering::Relaxed).cast_signed();
        let gauge = |value: &AtomicI64| value.load(Ordering::Relaxed);
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        [
            ("pilothouse_streams_open", "gauge", "Live streams.", gauge(&self.streams_open)),
            (
                "pilothouse_streams_reset_total",
                "counter",
                "Streams that were told to begin again.",
                counter(&self.streams_reset),
            ),
            (
                "pilothouse_streams_refused_total",
                "counter",
                "Streams beyond a limit.",
                counter(&self.streams_refused),
            ),
            (
                "pilothouse_connections_open",
                "gauge",
                "Connections to the console.",
                gauge(&self.connections_open),
            ),
            (
                "pilothouse_connections_refused_total",
                "counter",
                "Connections beyond the limit.",
                counter(&self.connections_refused),
            ),
            (
                "pilothouse_panics_total",
                "counter",
                "Requests that ended in a fault of ours.",
                counter(&self.panics),
            ),
            (
                "pilothouse_history_head",
                "gauge",
                "Number of the last row; -1 if unknown.",
                figures.history_head.unwrap_or(-1),
            ),
            (
                "pilothouse_database_connections",
                "gauge",
                "Connections of the pool.",
                i64::from(figures.pool_connections),
            ),
            (
                "pilothouse_database_connections_idle",
                "gauge",
                "Of those, not in use.",
                count(figures.pool_idle),
            ),
            (
                "pilothouse_hub_listeners",
                "gauge",
                "Who listens to the hub.",
                count(figures.listeners),
            ),
            (
                "pilothouse_sampled_placements",
                "gauge",
                "Placements with a sample.",
                count(figures.sampled_placements),
            ),
        ]
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters stay whole whatever happened to who held them.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Methods that nobody uses are one, so that they can not fill the memory.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string can not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = match labels {
        "" => writeln!(out, "{name} {value}"),
        _ => writeln!(out, "{name}{{{labels}}} {value}"),
    };
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_everything_below_its_end() {
        let metrics = Metrics::default();

        metrics.answered(&Method::GET, "/", StatusCode::OK, Duration::from_millis(30));
        metrics.answered(&Method::GET, "/", StatusCode::OK, Duration::from_millis(3));

        let text = metrics.to_text(&Figures::default());
        assert!(text.contains(
            "pilothouse_http_answers_total{method=\"GET\",route=\"/\",status=\"200\"} 2"
        ));
        assert!(text.contains("pilothouse_http_seconds_bucket{route=\"/\",le=\"0.005\"} 1"));
        assert!(text.contains("pilothouse_http_seconds_bucket{route=\"/\",le=\"0.05\"} 2"));
        assert!(text.contains("pilothouse_http_seconds_count{route=\"/\"} 2"));
    }
}
