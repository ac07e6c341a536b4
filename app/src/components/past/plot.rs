//! One chart, and the cursor that all of them share: moved by mouse and finger over any of them, and
//! by the keys of a slider above them.

use super::{
    figure::{Figure, moment, say_both},
    line::{Drawn, HEIGHT},
    notes::{noted, place},
};
use crate::clock::clock;
use domain::{samples::course::Point, slot::Slot, view::Past};
use leptos::{ev, html::Div, prelude::*};

/// What both slots did in one step, as far as there is something of them.
type Both = Vec<(Slot, Option<Point>)>;

/// The points under the cursor, of the slots of which there is something.
fn under(past: &Past, cursor: Option<i64>) -> Option<(usize, Both)> {
    let index = past.course.span.index(cursor?)?;
    let step = past.course.points.get(index)?;
    let points = past.course.slots().into_iter().map(|slot| (slot, *step.of(slot)));
    Some((index, points.collect()))
}

/// The points that are newest, where there is no cursor: the last of which there is something.
fn newest(past: &Past) -> Both {
    let slots = past.course.slots();
    let there = |step: &&domain::slot::PerSlot<Option<Point>>| {
        slots.iter().any(|slot| step.of(*slot).is_some())
    };
    let last = past.course.points.iter().rev().find(there);
    slots.iter().map(|slot| (*slot, last.and_then(|step| *step.of(*slot)))).collect()
}

#[allow(clippy::cast_precision_loss)] // At most 600 points.
fn percent(index: f64, width: usize) -> String {
    format!("{:.3}%", index * 100.0 / width.max(1) as f64)
}

/// The chart of one figure.
#[component]
pub(super) fn Plot(
    shown: RwSignal<Past>,
    cursor: RwSignal<Option<i64>>,
    figure: Figure,
) -> impl IntoView {
    let plot = NodeRef::<Div>::new();
    let drawn = Memo::new(move |_| shown.with(|past| Drawn::of(&past.course, figure)));
    let said = move || {
        shown.with(|past| match under(past, cursor.get()) {
            Some((_, points)) => points,
            None => newest(past),
        })
    };
    let point_at = move |event: &ev::PointerEvent| {
        let Some(width) = plot.get_untracked().map(|plot| plot.offset_width()) else { return };
        shown.with_untracked(|past| {
            let share = f64::from(event.offset_x()) / f64::from(width.max(1));
            cursor.set(Some(at_share(past, share)));
        });
    };
    let leave = move |event: ev::PointerEvent| {
        // A finger that is lifted leaves what it pointed at to be read.
        if event.pointer_type() == "mouse" {
            cursor.set(None);
        }
    };
    view! {
        <figure class="chart">
            <figcaption>
                <b>{figure.title()}</b>
                <span class="faint">{figure.unit()}</span>
                <span class="note">
                    {move || {
                        said()
                            .into_iter()
                            .map(|(slot, point)| {
                                let class = match slot {
                                    Slot::Blue => "slot blue",
                                    Slot::Green => "slot green",
                                };
                                let said = figure.say(point.as_ref());
                                view! { <span class=class title=slot.to_string()>{said}</span> }
                            })
                            .collect_view()
                    }}
                </span>
            </figcaption>
            <div
                class="plot"
                node_ref=plot
                on:pointermove=move |event| point_at(&event)
                on:pointerdown=move |event| point_at(&event)
                on:pointerleave=leave
            >
                <svg
                    role="img"
                    height="120"
                    aria-label=move || {
                        let now = say_both(figure, &said());
                        format!("{} {}: {now}", figure.title(), figure.unit())
                    }
                >
                    <g class="grid">
                        <line x1="0" x2="100%" y1="50%" y2="50%" />
                        <line x1="0" x2="100%" y1="119.5" y2="119.5" />
                    </g>
                    {move || gaps(&drawn.get())}
                    <svg
                        viewBox=move || format!("0 0 {} {HEIGHT}", drawn.with(|drawn| drawn.width))
                        preserveAspectRatio="none"
                        height="120"
                    >
                        <path class="g" d=move || drawn.with(|drawn| drawn.green.clone()) />
                        <path class="b" d=move || drawn.with(|drawn| drawn.blue.clone()) />
                    </svg>
                    <text x="0" y="10">
                        {move || drawn.with(|drawn| figure.say_value(drawn.top))}
                    </text>
                    <text x="0" y="56">
                        {move || drawn.with(|drawn| figure.say_value(drawn.top / 2.0))}
                    </text>
                    {move || shown.with(|past| marks(past, figure))}
                    {move || shown.with(|past| hair(past, cursor.get(), figure, &drawn.get()))}
                </svg>
            </div>
        </figure>
    }
}

/// The second at which the step begins that lies at this share of the width.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn at_share(past: &Past, share: f64) -> i64 {
    let count = past.course.points.len().max(1);
    let index = (share.clamp(0.0, 1.0) * count as f64) as usize;
    past.course.span.at(index.min(count - 1))
}

#[allow(clippy::cast_precision_loss)] // At most 600 points.
fn gaps(drawn: &Drawn) -> impl IntoView + use<> {
    let width = drawn.width;
    let gaps = drawn.gaps.iter().map(|&(from, to)| {
        let (x, wide) = (percent(from as f64, width), percent((to - from) as f64, width));
        view! { <rect class="gap" x=x width=wide y="0" height="120" /> }
    });
    gaps.collect_view()
}

/// The lines of what happened, with the number by which the list below tells of each.
fn marks(past: &Past, figure: Figure) -> impl IntoView + use<> {
    let lines = noted(past).into_iter().enumerate().filter_map(|(index, note)| {
        let x = format!("{:.3}%", place(past, note.at_ms)?);
        let number = (index + 1).to_string();
        // Those within seconds of each other are told below each other, inside of the picture.
        let y = 22 + 12 * (index % 3);
        let at_right = place(past, note.at_ms)? > 95.0;
        let first = matches!(figure, Figure::Requests | Figure::Cpu);
        Some(view! {
            <line class=note.class x1=x.clone() x2=x.clone() y1="0" y2="100%" />
            {first
                .then(|| {
                    view! {
                        <text
                            class="switchlabel"
                            x=x
                            y=y
                            dx=if at_right { "-3" } else { "3" }
                            text-anchor=if at_right { "end" } else { "start" }
                        >
                            {number}
                        </text>
                    }
                })}
        })
    });
    lines.collect_view()
}

/// The cursor's line, with a square on blue's and a circle on green's.
#[allow(clippy::cast_precision_loss)] // At most 600 points.
fn hair(
    past: &Past,
    cursor: Option<i64>,
    figure: Figure,
    drawn: &Drawn,
) -> Option<impl IntoView + use<>> {
    let (index, points) = under(past, cursor)?;
    let x = percent(index as f64 + 0.5, drawn.width);
    let marks = points
        .into_iter()
        .filter_map(|(slot, point)| {
            let y = drawn.y(figure.of(&point?)?) * 1.2;
            let x = x.clone();
            Some(match slot {
                Slot::Blue => {
                    let y = format!("{:.1}", y - 3.5);
                    view! {
                        <svg x=x y=y class="at">
                            <rect class="b" x="-3.5" y="0" width="7" height="7" />
                        </svg>
                    }
                    .into_any()
                }
                Slot::Green => {
                    view! { <circle class="g" cx=x cy=format!("{y:.1}") r="4" /> }.into_any()
                }
            })
        })
        .collect_view();
    Some(view! {
        <line class="hair" x1=x.clone() x2=x.clone() y1="0" y2="100%" />
        {marks}
    })
}

/// The slider, and what there is at its place. Only where the wasm runs: it does nothing by itself.
#[component]
pub(super) fn Cursor(shown: RwSignal<Past>, cursor: RwSignal<Option<i64>>) -> impl IntoView {
    let clock = clock();
    let runs = RwSignal::new(false);
    Effect::new(move |_| runs.set(true));
    let last = move || shown.with(|past| past.course.points.len().saturating_sub(1));
    let index = move || {
        let at = cursor.get();
        shown.with(|past| at.and_then(|at| past.course.span.index(at))).unwrap_or_else(last)
    };
    let at = move || {
        shown.with(|past| {
            let span = past.course.span;
            let (index, _) = under(past, cursor.get())?;
            Some(moment(clock, span, span.at(index)))
        })
    };
    let words = move || {
        let Some(at) = at() else { return "now".to_owned() };
        let points = shown.with(|past| under(past, cursor.get())).map(|(_, points)| points);
        let said = Figure::ALL.map(|figure| {
            format!("{} {}", figure.title(), say_both(figure, points.as_deref().unwrap_or(&[])))
        });
        format!("{at}: {}", said.join("; "))
    };
    let slide = move |event: ev::Event| {
        if let Ok(index) = event_target_value(&event).parse::<usize>() {
            cursor.set(Some(shown.with_untracked(|past| past.course.span.at(index))));
        }
    };
    let escape = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            cursor.set(None);
        }
    };
    view! {
        <div class="cursor" hidden=move || !runs.get()>
            <label>
                <span class="soft">"Moment"</span>
                <input
                    type="range"
                    min="0"
                    max=move || last().to_string()
                    step="1"
                    prop:value=move || index().to_string()
                    aria-valuetext=words
                    on:input=slide
                    on:keydown=escape
                />
            </label>
            <span class="at">{move || at().unwrap_or_else(|| "newest".to_owned())}</span>
        </div>
    }
}

/// The times at the left, in the middle and at the right.
#[component]
pub(super) fn Axis(shown: RwSignal<Past>) -> impl IntoView {
    let clock = clock();
    let times = move || {
        shown.with(|past| {
            let span = past.course.span;
            let middle = span.from + (span.to - span.from) / 2;
            [span.from, middle, span.to].map(|at| view! { <span>{moment(clock, span, at)}</span> })
        })
    };
    view! {
        <p class="axis soft" aria-hidden="true">
            {times}
        </p>
    }
}
