//! What happened in the time that is shown: rollouts, switches and restarts, as a list with links
//! whose numbers stand in the charts; and where there are no figures, in words.

use super::figure::{moment, step_words};
use crate::{clock::clock, components::when::At, format};
use domain::{
    samples::{Grain, Span},
    slot::Slot,
    view::{Mark, MarkOf, Past},
};
use leptos::prelude::*;
use time::OffsetDateTime;

/// Restarts that are told of, the newest.
const MOST_RESTARTS: usize = 20;
/// Gaps that are told of, the newest.
const MOST_GAPS: usize = 6;

/// Something to be marked and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub at_ms: i64,
    pub class: &'static str,
    pub words: String,
    pub href: Option<String>,
}

/// All of it, oldest first.
pub(super) fn noted(past: &Past) -> Vec<Noted> {
    let mut all: Vec<_> = past.marks.iter().map(of_mark).chain(restarts(past)).collect();
    all.sort_by_key(|note| note.at_ms);
    all
}

fn of_mark(mark: &Mark) -> Noted {
    let release = &mark.release;
    let (class, words) = match mark.what {
        MarkOf::Asked => ("asked", format!("rollout of {release} was asked for")),
        MarkOf::Switched(slot) => ("switch", format!("traffic switched to {release} in {slot}")),
        MarkOf::Back(slot) => ("switch", format!("traffic switched back from {release} to {slot}")),
        MarkOf::Ended(phase) => ("asked", format!("rollout of {release} is {phase}")),
    };
    let href = Some(format!("/rollouts/{}", mark.rollout));
    Noted { at_ms: mark.at_ms, class, words, href }
}

fn restarts(past: &Past) -> Vec<Noted> {
    let span = past.course.span;
    let mut found = Vec::new();
    for (index, step) in past.course.points.iter().enumerate().rev() {
        for slot in Slot::ALL {
            let times = step.of(slot).map_or(0, |point| point.restarts);
            if times > 0 && found.len() < MOST_RESTARTS {
                let times = format::counted(times.into(), "restart", "restarts");
                let (at_ms, words) = (span.at(index) * 1000, format!("{times} in {slot}"));
                found.push(Noted { at_ms, class: "restart", words, href: None });
            }
        }
    }
    found
}

/// Where a moment lies, in percent from the left.
#[allow(clippy::cast_precision_loss)] // Milliseconds of a week.
pub(super) fn place(past: &Past, at_ms: i64) -> Option<f64> {
    let Span { from, to, .. } = past.course.span;
    let share = (at_ms - from * 1000) as f64 / ((to - from).max(1) * 1000) as f64;
    (0.0..=1.0).contains(&share).then_some(share * 100.0)
}

/// The list below the charts.
#[component]
pub(super) fn Notes(shown: RwSignal<Past>) -> impl IntoView {
    // Changes seldom: a link that has the focus keeps it.
    let notes = Memo::new(move |_| shown.with(|past| (noted(past), past.marks_left_out)));
    let gaps = Memo::new(move |_| shown.with(gaps));
    let clock = clock();
    view! {
        {move || {
            let (notes, left_out) = notes.get();
            (!notes.is_empty())
                .then(|| {
                    view! {
                        <ol class="marks" aria-label="What happened">
                            {notes.into_iter().map(|note| view! { <One note /> }).collect_view()}
                        </ol>
                        {(left_out > 0)
                            .then(|| {
                                let many = format::count(left_out.into());
                                view! {
                                    <p class="faint">{format!("{many} earlier marks are not shown.")}</p>
                                }
                            })}
                    }
                })
        }}
        {move || {
            let (span, gaps) = gaps.get();
            gaps.into_iter()
                .map(|gap| {
                    let (from, to) = (moment(clock, span, gap.from), moment(clock, span, gap.to));
                    let long = format::duration((gap.to - gap.from) * 1000);
                    let words = format!("No {} from {from} to {to} ({long}): {}", gap.of, gap.why);
                    view! { <p class="gap-words">{words}</p> }
                })
                .collect_view()
        }}
    }
}

#[component]
fn One(note: Noted) -> impl IntoView {
    let at = i128::from(note.at_ms) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    view! {
        <li class=note.class>
            <At at />
            " "
            {match note.href {
                Some(href) => view! { <a href=href>{note.words}</a> }.into_any(),
                None => note.words.into_any(),
            }}
        </li>
    }
}

/// A stretch without figures.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gap {
    from: i64,
    to: i64,
    of: &'static str,
    why: &'static str,
}

/// The newest gaps, oldest first. Where traffic was not counted nothing is known; where only usage is
/// missing the router remembered what the control plane did not see.
fn gaps(past: &Past) -> (Span, Vec<Gap>) {
    let course = &past.course;
    let span = course.span;
    let nothing = course.gaps(|point| point.counted > 0 || point.metered > 0);
    let no_use = course.gaps(|point| point.metered > 0);
    let of = |&(from, to): &(usize, usize)| {
        let all = nothing.contains(&(from, to));
        Gap {
            from: span.at(from),
            to: span.at(to),
            of: if all { "figures" } else { "CPU and memory" },
            why: if all {
                "nothing ran, or Pilothouse did not."
            } else {
                "Pilothouse did not run; requests were counted by the router meanwhile."
            },
        }
    };
    let mut gaps: Vec<_> = no_use.iter().chain(&nothing).map(of).collect();
    gaps.sort_by_key(|gap| (gap.from, gap.to));
    gaps.dedup();
    // One step is no news where a step is a second.
    gaps.retain(|gap| span.grain == Grain::Minutes || gap.to - gap.from > 1);
    let over = gaps.len().saturating_sub(MOST_GAPS);
    gaps.drain(..over);
    (span, gaps)
}

/// For the caption of the table.
pub(super) fn step_of(past: &Past) -> String {
    step_words(past.course.span.step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        id::{PlacementId, RolloutId},
        samples::course::{Course, Point},
        slot::PerSlot,
    };
    use uuid::Uuid;

    fn past(points: Vec<Option<Point>>) -> Past {
        let to = i64::try_from(points.len()).unwrap() * 2;
        let span = Span { from: 0, to, step: 2, grain: Grain::Seconds };
        let points = points.into_iter().map(|blue| PerSlot { blue, green: None }).collect();
        Past {
            placement: PlacementId(Uuid::nil()),
            environment: "local".parse().unwrap(),
            environments: Vec::new(),
            range: None,
            goes_on: true,
            course: Course { span, read_to: to - 1, points },
            marks: Vec::new(),
            marks_left_out: 0,
            instances: Vec::new(),
        }
    }

    fn point(counted: u32, metered: u32, restarts: u32) -> Option<Point> {
        Some(Point { counted, metered, restarts, ..Point::default() })
    }

    #[test]
    fn restarts_and_rollouts_stand_in_one_list_by_time() {
        let mut past = past(vec![point(2, 2, 0), point(2, 2, 2), point(2, 2, 0)]);
        let rollout = RolloutId(Uuid::nil());
        let mark = |at_ms, what| Mark { at_ms, what, rollout, release: "2.0".to_owned() };
        past.marks = vec![mark(500, MarkOf::Asked), mark(5500, MarkOf::Switched(Slot::Green))];

        let words: Vec<_> = noted(&past).into_iter().map(|note| note.words).collect();

        assert_eq!(
            words,
            [
                "rollout of 2.0 was asked for",
                "2 restarts in blue",
                "traffic switched to 2.0 in green",
            ]
        );
        assert_eq!((place(&past, 3000), place(&past, 7000)), (Some(50.0), None));
    }

    #[test]
    fn a_gap_says_what_is_missing_and_what_the_router_still_knew() {
        let two = || point(2, 2, 0);
        let past = past(vec![two(), point(2, 0, 0), point(2, 0, 0), two(), None, two()]);

        let (_, gaps) = gaps(&past);

        let told: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.to, gap.of)).collect();
        assert_eq!(told, [(2, 6, "CPU and memory"), (8, 10, "figures")]);
    }
}
