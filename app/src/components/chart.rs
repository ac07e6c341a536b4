//! One figure of both slots over the last two minutes, with the moments of switches marked.
//!
//! Drawn by hand: lines in a stretched picture, words beside it in their own size. Whoever does not
//! see it hears the present figure, and finds all of them in the table of [`Figures`].

use crate::{
    clock::{clock, ms},
    format,
    live::{SECONDS_KEPT, Seconds},
};
use domain::{live::SlotSample, slot::Slot};
use leptos::prelude::*;
use std::fmt::Write;
use time::OffsetDateTime;

/// Height of the picture, in the units of its lines.
const HEIGHT: f64 = 100.0;

/// What is drawn of a slot's second. `None`: nothing was measured.
pub type Figure = fn(&SlotSample) -> Option<f64>;

/// Requests in a second.
#[must_use]
pub fn requests(slot: &SlotSample) -> Option<f64> {
    Some(f64::from(slot.requests))
}

/// Failures in a second.
#[must_use]
pub fn failures(slot: &SlotSample) -> Option<f64> {
    Some(f64::from(slot.failures))
}

/// The 95th percentile of a second, in milliseconds.
#[must_use]
pub fn p95_ms(slot: &SlotSample) -> Option<f64> {
    slot.p95_us.map(|us| f64::from(us) / 1000.0)
}

/// A moment to be marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at: OffsetDateTime,
    /// "switched", "switched back".
    pub what: &'static str,
}

/// The chart of one figure.
#[component]
pub fn Chart(
    title: &'static str,
    /// What the figure is, after the title: "per second, by slot".
    unit: &'static str,
    seconds: ArcRwSignal<Seconds>,
    figure: Figure,
    /// The least top of the scale, so that noise stays flat.
    least_top: f64,
    /// The figure of now, in words.
    #[prop(into)]
    now: Signal<String>,
    #[prop(into)] marks: Signal<Vec<Mark>>,
) -> impl IntoView {
    let clock = clock();
    let drawn = Memo::new(move |_| seconds.with(|seconds| Drawn::of(seconds, figure, least_top)));
    let line = move |slot: Slot| drawn.with(|drawn| drawn.line(slot));
    let shown_marks = move || {
        let newest = drawn.with(|drawn| drawn.newest);
        marks
            .get()
            .into_iter()
            .enumerate()
            .filter_map(|(index, mark)| {
                let x = x_of(ms(mark.at), newest?)?;
                // Two switches within seconds are told below each other.
                let y = 10 + 13 * index;
                let at_right = x > 55.0;
                let words = format!("{} {}", mark.what, format::clock_ms(clock.at_home(mark.at)));
                Some(view! {
                    <line class="switch" x1=percent(x) x2=percent(x) y1="0" y2="100%" />
                    <text
                        class="switchlabel"
                        x=percent(x)
                        y=y
                        dx=if at_right { "-5" } else { "5" }
                        text-anchor=if at_right { "end" } else { "start" }
                    >
                        {words}
                    </text>
                })
            })
            .collect_view()
    };
    view! {
        <figure class="chart">
            <figcaption>
                <b>{title}</b>
                <span class="faint">{unit}</span>
                <span class="note">{move || now.get()}</span>
            </figcaption>
            <svg
                role="img"
                height="120"
                aria-label=move || format!("{title} {unit}, the last two minutes: {}", now.get())
            >
                <g class="grid">
                    <line x1="0" x2="100%" y1="50%" y2="50%" />
                    <line x1="0" x2="100%" y1="119.5" y2="119.5" />
                </g>
                <svg viewBox="0 0 120 100" preserveAspectRatio="none" height="120">
                    <path class="g" d=move || line(Slot::Green) />
                    <path class="b" d=move || line(Slot::Blue) />
                </svg>
                <text x="0" y="10">
                    {move || drawn.with(|drawn| scale(drawn.top))}
                </text>
                <text x="0" y="56">
                    {move || drawn.with(|drawn| scale(drawn.top / 2.0))}
                </text>
                {shown_marks}
            </svg>
            <div class="axis" aria-hidden="true">
                <span>"2 min ago"</span>
                <span>"1 min ago"</span>
                <span>"now"</span>
            </div>
        </figure>
    }
}

/// The lines of both slots, and the scale they are drawn in.
#[derive(Clone, Debug, PartialEq)]
struct Drawn {
    newest: Option<i64>,
    top: f64,
    blue: String,
    green: String,
}

impl Drawn {
    fn of(seconds: &Seconds, figure: Figure, least_top: f64) -> Self {
        let most = seconds
            .iter()
            .flat_map(|second| Slot::ALL.map(|slot| figure(second.slots.of(slot)).unwrap_or(0.0)))
            .fold(0.0, f64::max);
        let top = round_up(most.max(least_top));
        let newest = seconds.back().map(|second| second.at);
        let line = |slot| path(seconds, slot, figure, top);
        Self { newest, top, blue: line(Slot::Blue), green: line(Slot::Green) }
    }

    fn line(&self, slot: Slot) -> String {
        match slot {
            Slot::Blue => self.blue.clone(),
            Slot::Green => self.green.clone(),
        }
    }
}

/// A slot's line. It breaks where seconds are missing, and where a slot without traffic did nothing.
#[allow(clippy::cast_precision_loss)] // At most 120 seconds.
fn path(seconds: &Seconds, slot: Slot, figure: Figure, top: f64) -> String {
    let Some(newest) = seconds.back().map(|second| second.at) else {
        return String::new();
    };
    let mut line = String::new();
    let mut before: Option<i64> = None;
    for (index, second) in seconds.iter().enumerate() {
        let value = figure(second.slots.of(slot));
        let idle = |at: usize| {
            seconds.get(at).is_none_or(|second| {
                second.live != Some(slot) && figure(second.slots.of(slot)).unwrap_or(0.0) == 0.0
            })
        };
        // The foot of a falling line belongs to it.
        let quiet = idle(index) && index.checked_sub(1).is_none_or(idle) && idle(index + 1);
        let Some(value) = value.filter(|_| !quiet) else {
            before = None;
            continue;
        };
        let x = SECONDS_KEPT as f64 - (newest - second.at) as f64;
        let y = HEIGHT - (value / top).min(1.0) * HEIGHT;
        let step = if before == Some(second.at - 1) { 'L' } else { 'M' };
        let _ = write!(line, "{step}{x:.0},{y:.1}");
        before = Some(second.at);
    }
    line
}

/// Where a moment lies, in percent from the left; `None` outside of the picture.
#[allow(clippy::cast_precision_loss)] // Minutes in milliseconds.
fn x_of(at_ms: i64, newest: i64) -> Option<f64> {
    // A second's figures are of its whole length: its point lies at its end.
    let before_ms = (newest + 1) * 1000 - at_ms;
    let x = 100.0 - before_ms as f64 / (SECONDS_KEPT as f64 * 10.0);
    (0.0..=100.0).contains(&x).then_some(x)
}

fn percent(x: f64) -> String {
    format!("{x:.2}%")
}

/// The next of 1, 2, 4, 5, 8 times a power of ten: half of it is round, too.
#[must_use]
pub fn round_up(value: f64) -> f64 {
    let mut unit = 1.0;
    while unit * 10.0 < value {
        unit *= 10.0;
    }
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0]
        .map(|step| step * unit)
        .into_iter()
        .find(|top| *top >= value)
        .unwrap_or(value)
}

fn scale(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        format!("{value:.1}")
    } else {
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // Never negative.
        format::count(value as u64)
    }
}

/// The same figures as a table, ten seconds a row: for those who read, and for those who copy.
#[component]
pub fn Figures(seconds: ArcRwSignal<Seconds>) -> impl IntoView {
    let rows = move || seconds.with(tens);
    view! {
        <details class="figures-table">
            <summary>"The figures as a table"</summary>
            <div class="scroll" tabindex="0" role="region" aria-label="Figures of the last two minutes">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Seconds ago"</th>
                            <th scope="col" class="n">"Requests/s, blue"</th>
                            <th scope="col" class="n">"green"</th>
                            <th scope="col" class="n">"Errors, blue"</th>
                            <th scope="col" class="n">"green"</th>
                            <th scope="col" class="n">"p95, blue"</th>
                            <th scope="col" class="n">"green"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {move || {
                            rows()
                                .into_iter()
                                .map(|(ago, cells)| {
                                    view! {
                                        <tr>
                                            <th scope="row">{ago}</th>
                                            {cells
                                                .into_iter()
                                                .map(|cell| view! { <td class="n">{cell}</td> })
                                                .collect_view()}
                                        </tr>
                                    }
                                })
                                .collect_view()
                        }}
                    </tbody>
                </table>
            </div>
        </details>
    }
}

/// Sums of ten seconds, the newest first.
fn tens(seconds: &Seconds) -> Vec<(String, [String; 6])> {
    let Some(newest) = seconds.back().map(|second| second.at) else {
        return Vec::new();
    };
    let row = |ten: i64| {
        let of_ten: Vec<_> =
            seconds.iter().filter(|second| (newest - second.at) / 10 == ten).collect();
        if of_ten.is_empty() {
            return None;
        }
        let sum = |slot: Slot, of: fn(&SlotSample) -> u32| -> u64 {
            of_ten.iter().map(|second| u64::from(of(second.slots.of(slot)))).sum()
        };
        let rate = |slot| {
            #[allow(clippy::cast_precision_loss)] // Counts of ten seconds.
            let rate = sum(slot, |slot| slot.requests) as f64 / of_ten.len() as f64;
            format!("{rate:.0}")
        };
        let errors = |slot| format::count(sum(slot, |slot| slot.failures));
        let p95 = |slot: Slot| {
            let worst = of_ten.iter().filter_map(|second| second.slots.of(slot).p95_us).max();
            worst.map_or_else(|| "–".to_owned(), format::latency)
        };
        let (blue, green) = (Slot::Blue, Slot::Green);
        let cells = [rate(blue), rate(green), errors(blue), errors(green), p95(blue), p95(green)];
        Some((format!("{} to {}", ten * 10, ten * 10 + 10), cells))
    };
    (0..SECONDS_KEPT / 10).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{id::PlacementId, live::Sample, slot::PerSlot};

    fn second(at: i64, live: Slot, blue: u32, green: u32) -> Sample {
        let slot = |requests| SlotSample { requests, ..SlotSample::default() };
        Sample {
            placement: PlacementId(Default::default()),
            at,
            live: Some(live),
            slots: PerSlot { blue: slot(blue), green: slot(green) },
            trouble: None,
        }
    }

    #[test]
    fn a_switch_draws_one_line_that_falls_and_one_that_rises() {
        let seconds: Seconds = [
            second(1, Slot::Green, 0, 100),
            second(2, Slot::Blue, 60, 40),
            second(3, Slot::Blue, 100, 0),
            second(4, Slot::Blue, 100, 0),
        ]
        .into_iter()
        .collect();

        let drawn = Drawn::of(&seconds, requests, 10.0);

        assert_eq!(drawn.top, 100.0);
        assert_eq!(drawn.green, "M117,0.0L118,60.0L119,100.0");
        assert_eq!(drawn.blue, "M117,100.0L118,40.0L119,0.0L120,0.0");
    }

    #[test]
    fn a_gap_is_not_drawn_over() {
        let seconds: Seconds =
            [second(1, Slot::Blue, 5, 0), second(9, Slot::Blue, 5, 0)].into_iter().collect();

        assert_eq!(Drawn::of(&seconds, requests, 10.0).blue.matches('M').count(), 2);
    }

    #[test]
    fn a_moment_outside_of_the_picture_is_not_marked() {
        assert_eq!(x_of(119_000, 119), Some(100.0 - 1000.0 / 1200.0));
        assert_eq!(x_of(60_000, 119), Some(50.0));
        assert_eq!(x_of(-5000, 119), None);
        assert_eq!(x_of(125_000, 119), None);
    }

    #[test]
    fn scales_end_at_round_figures() {
        assert_eq!([0.5, 3.0, 41.0, 238.0, 900.0].map(round_up), [1.0, 4.0, 50.0, 400.0, 1000.0]);
    }

    #[test]
    fn the_table_says_what_the_lines_show() {
        let seconds: Seconds = (1..=20).map(|at| second(at, Slot::Blue, 10, 0)).collect();
        let rows = tens(&seconds);

        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].0, "0 to 10");
        assert_eq!(rows[0].1[0], "10");
        assert_eq!(rows[0].1[4], "–");
    }
}
