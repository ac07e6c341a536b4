//! The last two minutes of one figure as a line, without axes: is it steady, does it grow?

use crate::live::{SECONDS_KEPT, Seconds};
use domain::{live::SlotSample, slot::Slot};
use leptos::prelude::*;
use std::fmt::Write;

const WIDTH: f64 = 72.0;
const HEIGHT: f64 = 18.0;

/// Requests a second of the live slot; its CPU while nobody asks anything. Its place is kept while
/// nothing is known. The figures beside it say the same, so it is not read out.
#[component]
pub fn Sparkline(seconds: ArcRwSignal<Seconds>) -> impl IntoView {
    let line = move || seconds.with(path);
    view! {
        <svg class="spark" width="72" height="18" viewBox="0 0 72 18" aria-hidden="true">
            <path d=line />
        </svg>
    }
}

/// What one slot uses, summed over its instances.
#[must_use]
pub fn cpu_percent(slot: &SlotSample) -> f32 {
    slot.instances.iter().map(|instance| instance.cpu_percent).sum()
}

/// The line from left to right, the newest second at the right edge.
fn path(seconds: &Seconds) -> String {
    let Some(newest) = seconds.back().map(|second| second.at) else {
        return String::new();
    };
    let live = |sample: &domain::live::Sample| -> Option<(i64, f64, f64)> {
        let slot = sample.slots.of(sample.live.unwrap_or(Slot::Blue));
        Some((sample.at, f64::from(slot.requests), f64::from(cpu_percent(slot))))
    };
    let points: Vec<_> = seconds.iter().filter_map(live).collect();
    let busy = points.iter().any(|&(_, requests, _)| requests > 0.0);
    let value = |&(_, requests, cpu): &(i64, f64, f64)| if busy { requests } else { cpu };
    // An idle slot draws a flat line instead of noise, and a busy one its changes: the line is a
    // shape, the figures are beside it.
    let most = points.iter().map(value).fold(if busy { 4.0 } else { 10.0 }, f64::max);
    let least = points.iter().map(value).fold(most, f64::min);
    let foot = (2.0 * least - most).max(0.0).min(most * 0.6);

    let mut line = String::new();
    #[allow(clippy::cast_precision_loss)] // At most 120 seconds.
    for point in &points {
        let x = WIDTH - (newest - point.0) as f64 * WIDTH / SECONDS_KEPT as f64;
        let y = HEIGHT - 2.0 - (value(point) - foot) / (most - foot) * (HEIGHT - 4.0);
        let step = if line.is_empty() { 'M' } else { 'L' };
        let _ = write!(line, "{step}{x:.1},{y:.1}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{id::PlacementId, live::Sample, slot::PerSlot};

    #[test]
    fn the_newest_second_is_at_the_right_edge_and_nothing_draws_nothing() {
        let sample = |at, requests| Sample {
            placement: PlacementId(Default::default()),
            at,
            live: Some(Slot::Green),
            slots: PerSlot {
                blue: SlotSample::default(),
                green: SlotSample { requests, ..SlotSample::default() },
            },
            trouble: None,
        };

        assert_eq!(path(&Seconds::default()), "");
        let line = path(&[sample(10, 0), sample(11, 50)].into_iter().collect());
        assert_eq!(line, "M71.4,16.0L72.0,2.0");
    }
}
