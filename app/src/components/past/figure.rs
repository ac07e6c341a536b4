//! The five figures: what each is of a point, how it is said, in which scale it is drawn. Charts and
//! table say them by the same functions.

use crate::{clock::Clock, format};
use domain::{
    samples::{Span, course::Point},
    slot::Slot,
};
use time::OffsetDateTime;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Requests,
    Failures,
    P95,
    Cpu,
    Memory,
}

impl Figure {
    pub const ALL: [Self; 5] = [Self::Requests, Self::Failures, Self::P95, Self::Cpu, Self::Memory];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Requests => "Requests",
            Self::Failures => "Failures",
            Self::P95 => "p95",
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
        }
    }

    /// After the title.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Requests => "per second",
            Self::Failures => "requests, in each point",
            Self::P95 => "milliseconds",
            Self::Cpu => "100 % is one core",
            Self::Memory => "of all instances",
        }
    }

    /// Whether a point can have it at all. A point without answers has no p95, and is no gap.
    pub const fn is_measured(self, point: &Point) -> bool {
        match self {
            Self::Requests | Self::Failures | Self::P95 => point.counted > 0,
            Self::Cpu | Self::Memory => point.metered > 0,
        }
    }

    /// In the unit of its scale. `None`: it was not measured, or there was nothing to measure.
    #[allow(clippy::cast_precision_loss)] // Shown with three digits.
    pub fn of(self, point: &Point) -> Option<f64> {
        if !self.is_measured(point) {
            return None;
        }
        match self {
            Self::Requests => point.rate(),
            Self::Failures => Some(point.failures as f64),
            Self::P95 => point.p95_us.map(|us| f64::from(us) / 1000.0),
            Self::Cpu => Some(f64::from(point.cpu_percent)),
            Self::Memory => Some(point.memory_bytes as f64),
        }
    }

    /// For people: "12 /s", "38 ms", "41 MiB", "–".
    pub fn say(self, point: Option<&Point>) -> String {
        let Some(value) = point.and_then(|point| self.of(point)) else { return "–".to_owned() };
        self.say_value(value)
    }

    /// The same of a value of the scale.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Never negative.
    pub fn say_value(self, value: f64) -> String {
        match self {
            Self::Requests if value > 0.0 && value < 10.0 => format!("{value:.1} /s"),
            Self::Requests => format!("{} /s", format::count(value.round() as u64)),
            Self::Failures => format::count(value as u64),
            Self::P95 => format::latency((value * 1000.0) as u32),
            Self::Cpu if value > 0.0 && value < 10.0 => format!("{value:.1} %"),
            Self::Cpu => format::load(value as f32),
            Self::Memory => format::bytes(value as u64),
        }
    }

    /// The least top of the scale, so that noise stays flat.
    pub const fn least_top(self) -> f64 {
        match self {
            Self::Requests | Self::P95 | Self::Cpu => 10.0,
            Self::Failures => 4.0,
            Self::Memory => 16.0 * 1024.0 * 1024.0,
        }
    }

    /// The top of the scale for a greatest value: round, so that half of it is round, too.
    pub fn top(self, most: f64) -> f64 {
        let most = most.max(self.least_top());
        match self {
            Self::Memory => {
                let mut top = self.least_top();
                while top < most {
                    top *= 2.0;
                }
                top
            }
            Self::Requests | Self::Failures | Self::P95 | Self::Cpu => {
                crate::components::chart::round_up(most)
            }
        }
    }
}

/// Both slots' figures in one line: "blue 12 /s, green 0 /s".
pub(super) fn say_both(figure: Figure, points: &[(Slot, Option<Point>)]) -> String {
    let said = points.iter().map(|(slot, point)| format!("{slot} {}", figure.say(point.as_ref())));
    said.collect::<Vec<_>>().join(", ")
}

/// "2 s", "3 min".
pub(super) fn step_words(step: i64) -> String {
    if step < 60 { format!("{step} s") } else { format!("{} min", step / 60) }
}

/// A moment of a span, by the clock; with its day where the span has several.
pub(super) fn moment(clock: Clock, span: Span, at: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let home = clock.at_home(at);
    if span.to - span.from > 20 * 3600 {
        format::day(home)
    } else if span.step >= 60 {
        format!("{:02}:{:02}", home.hour(), home.minute())
    } else {
        format::clock(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_a_dash_and_nothing_is_zero() {
        let idle = Point { counted: 2, ..Point::default() };

        assert_eq!(Figure::Requests.say(Some(&idle)), "0 /s");
        assert_eq!(Figure::Cpu.say(Some(&idle)), "–");
        assert_eq!(Figure::P95.say(Some(&idle)), "–");
        assert!(Figure::P95.is_measured(&idle), "an idle slot is no gap");
        assert_eq!(Figure::Requests.say(None), "–");
    }

    #[test]
    fn rates_are_of_the_seconds_that_were_counted() {
        let point =
            Point { counted: 5, requests: 12, metered: 5, memory_bytes: 41 << 20, ..idle() };

        assert_eq!(Figure::Requests.say(Some(&point)), "2.4 /s");
        assert_eq!(Figure::Memory.say(Some(&point)), "41 MiB");
        assert_eq!(
            say_both(Figure::Requests, &[(Slot::Blue, Some(point)), (Slot::Green, None)]),
            "blue 2.4 /s, green –"
        );
    }

    fn idle() -> Point {
        Point::default()
    }

    #[test]
    fn scales_are_round() {
        assert_eq!(Figure::Memory.top(1.0), 16.0 * 1024.0 * 1024.0);
        assert_eq!(Figure::Memory.top(41.0 * 1024.0 * 1024.0), 64.0 * 1024.0 * 1024.0);
        assert_eq!(Figure::Requests.top(41.0), 50.0);
        assert_eq!((step_words(6), step_words(180)), ("6 s".to_owned(), "3 min".to_owned()));
    }
}
