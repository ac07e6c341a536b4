//! The same figures as a table, and what each instance used.

use super::{
    figure::{Figure, moment},
    notes::step_of,
};
use crate::{
    clock::{Clock, clock},
    components::slot::SlotMark,
    format,
};
use domain::{
    samples::course::{Course, Point},
    slot::Slot,
    view::{InstancePast, Past},
};
use leptos::prelude::*;

/// A row for each point of which there is something, newest first.
#[component]
pub(super) fn Table(shown: RwSignal<Past>, download: String) -> impl IntoView {
    let clock = clock();
    let slots = Memo::new(move |_| shown.with(|past| past.course.slots()));
    let caption = move || {
        shown.with(|past| {
            format!(
                "Figures in {}, a row for each {}, newest first",
                past.environment,
                step_of(past)
            )
        })
    };
    let groups = move || {
        slots
            .get()
            .into_iter()
            .map(|of| {
                view! {
                    <th scope="colgroup" colspan="7">
                        <SlotMark of />
                    </th>
                }
            })
            .collect_view()
    };
    let heads = move || {
        slots
            .get()
            .into_iter()
            .map(|_| {
                let titles = Figure::ALL.map(Figure::title).into_iter();
                titles
                    .chain(["Longest gap", "Restarts"])
                    .map(|title| view! { <th scope="col" class="n">{title}</th> })
                    .collect_view()
            })
            .collect_view()
    };
    let rows = move || shown.with(|past| rows(&past.course, &slots.get(), clock));
    view! {
        <p class="take">
            <a class="button small" href=download download="" rel="external">
                "Download as CSV"
            </a>
        </p>
        <div class="scroll tall" tabindex="0" role="region" aria-label="Table of the figures">
            <table class="figures-kept">
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col" rowspan="2">
                            "From"
                        </th>
                        {groups}
                    </tr>
                    <tr>{heads}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn rows(course: &Course, slots: &[Slot], clock: Clock) -> impl IntoView + use<> {
    let there = course.points.iter().enumerate().rev();
    there
        .filter(|(_, step)| slots.iter().any(|slot| step.of(*slot).is_some()))
        .map(|(index, step)| {
            let at = moment(clock, course.span, course.span.at(index));
            let cells = slots
                .iter()
                .flat_map(|slot| cells(step.of(*slot).as_ref()))
                .map(|cell| view! { <td class="n">{cell}</td> })
                .collect_view();
            view! {
                <tr>
                    <th scope="row">{at}</th>
                    {cells}
                </tr>
            }
        })
        .collect_view()
}

fn cells(point: Option<&Point>) -> Vec<String> {
    let counted = point.filter(|point| point.counted > 0);
    let metered = point.filter(|point| point.metered > 0);
    let dash = || "–".to_owned();
    let gap = counted
        .map_or_else(dash, |point| format!("{} ms", format::count(point.longest_gap_ms.into())));
    let restarts = metered.map_or_else(dash, |point| point.restarts.to_string());
    Figure::ALL.iter().map(|figure| figure.say(point)).chain([gap, restarts]).collect()
}

/// What each instance used, the newest first.
#[component]
pub(super) fn Instances(shown: RwSignal<Past>) -> impl IntoView {
    let clock = clock();
    let all = Memo::new(move |_| shown.with(|past| (past.course.span, past.instances.clone())));
    view! {
        {move || {
            let (span, instances) = all.get();
            (!instances.is_empty())
                .then(|| {
                    let rows = instances
                        .into_iter()
                        .map(|one| {
                            let (from, to) = (moment(clock, span, one.from), moment(clock, span, one.to));
                            view! { <Instance one when=format!("{from} to {to}") /> }
                        })
                        .collect_view();
                    view! {
                        <details class="by-instance">
                            <summary>"By instance"</summary>
                            <div class="scroll" tabindex="0" role="region" aria-label="Use by instance">
                                <table>
                                    <caption class="unseen">
                                        "What each instance used in this time"
                                    </caption>
                                    <thead>
                                        <tr>
                                            <th scope="col">"Instance"</th>
                                            <th scope="col">"Measured"</th>
                                            <th scope="col" class="n">"CPU"</th>
                                            <th scope="col" class="n">"at most"</th>
                                            <th scope="col" class="n">"Memory"</th>
                                            <th scope="col" class="n">"at most"</th>
                                            <th scope="col" class="n">"Restarts"</th>
                                        </tr>
                                    </thead>
                                    <tbody>{rows}</tbody>
                                </table>
                            </div>
                        </details>
                    }
                })
        }}
    }
}

#[component]
fn Instance(one: InstancePast, when: String) -> impl IntoView {
    let class = match one.slot {
        Slot::Blue => "slot blue",
        Slot::Green => "slot green",
    };
    let cpu = |percent: f32| Figure::Cpu.say_value(percent.into());
    view! {
        <tr>
            <th scope="row">
                <span class=class>{one.name}</span>
            </th>
            <td>{when}</td>
            <td class="n">{cpu(one.cpu_percent)}</td>
            <td class="n">{cpu(one.cpu_percent_most)}</td>
            <td class="n">{format::bytes(one.memory_bytes)}</td>
            <td class="n">{format::bytes(one.memory_bytes_most)}</td>
            <td class="n">{one.restarts.to_string()}</td>
        </tr>
    }
}
