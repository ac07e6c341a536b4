//! What the last builds of a service took: time, size, and how much of them an earlier one had left.

use super::trend::{Limit, MOST, Point, Trend};
use crate::format;
use domain::build::{Phase, view::BuildPoint};
use leptos::prelude::*;

/// Three trends, and the same figures as a table. Nothing where there is nothing to compare.
#[component]
pub fn BuildTrends(
    /// Oldest first.
    points: Vec<BuildPoint>,
    /// Of the service, now.
    size_budget_bytes: u64,
) -> impl IntoView {
    if points.len() < 2 {
        return ().into_any();
    }
    let shown = points[points.len().saturating_sub(MOST)..].to_vec();
    let limit = Limit {
        #[allow(clippy::cast_precision_loss)] // Drawn 88 pixels high.
        value: size_budget_bytes as f64,
        said: format!("budget {}", format::bytes(size_budget_bytes)),
    };
    let took =
        |point: &BuildPoint| Some(f64::from(u32::try_from(point.took_ms).unwrap_or(u32::MAX)));
    #[allow(clippy::cast_precision_loss)] // As above.
    let size = |point: &BuildPoint| point.size_bytes.map(|size| size as f64);
    view! {
        <section>
            <h2>"The last builds"</h2>
            <div class="trends">
                <Trend
                    title="Duration"
                    unit="of each build"
                    points=drawn(&shown, took, said_took)
                    now=newest(&shown, said_took)
                />
                <Trend
                    title="Size"
                    unit="of the image"
                    points=drawn(&shown, size, said_size)
                    now=newest(&shown, said_size)
                    limit
                />
                <Trend
                    title="Cache"
                    unit="steps that were there already"
                    points=drawn(&shown, cached, said_cached)
                    now=newest(&shown, said_cached)
                />
            </div>
            <Figures points=shown />
        </section>
    }
    .into_any()
}

fn drawn(
    points: &[BuildPoint],
    value: impl Fn(&BuildPoint) -> Option<f64>,
    said: fn(&BuildPoint) -> Option<String>,
) -> Vec<Point> {
    let point = |point: &BuildPoint| Point {
        value: value(point),
        said: format!("build {}: {}", point.number, said(point).unwrap_or_else(|| "–".to_owned())),
        is_bad: point.phase != Phase::Succeeded,
    };
    points.iter().map(point).collect()
}

/// The newest figure there is.
fn newest(points: &[BuildPoint], said: fn(&BuildPoint) -> Option<String>) -> String {
    points.iter().rev().find_map(said).unwrap_or_else(|| "–".to_owned())
}

#[allow(clippy::unnecessary_wraps)] // One of three of the same kind.
fn said_took(point: &BuildPoint) -> Option<String> {
    Some(format::duration(i64::try_from(point.took_ms).unwrap_or(i64::MAX)))
}

fn said_size(point: &BuildPoint) -> Option<String> {
    point.size_bytes.map(format::bytes)
}

fn cached(point: &BuildPoint) -> Option<f64> {
    let count = point.count;
    (count.steps > 0).then(|| f64::from(count.cached) / f64::from(count.steps))
}

fn said_cached(point: &BuildPoint) -> Option<String> {
    cached(point).map(|_| format!("{} of {}", point.count.cached, point.count.steps))
}

#[component]
fn Figures(points: Vec<BuildPoint>) -> impl IntoView {
    let or_none = |said: Option<String>| said.unwrap_or_else(|| "–".to_owned());
    view! {
        <details class="figures-table">
            <summary>"The figures as a table"</summary>
            <div class="scroll" tabindex="0" role="region" aria-label="Figures of the last builds">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Build"</th>
                            <th scope="col">"Result"</th>
                            <th scope="col" class="n">"Took"</th>
                            <th scope="col" class="n">"Size"</th>
                            <th scope="col" class="n">"Steps cached"</th>
                        </tr>
                    </thead>
                    <tbody>
                        {points
                            .into_iter()
                            .rev()
                            .map(|point| {
                                view! {
                                    <tr>
                                        <th scope="row">
                                            <a class="link" href=format!("/builds/{}", point.id)>
                                                {point.number}
                                            </a>
                                        </th>
                                        <td>{point.phase.as_str()}</td>
                                        <td class="n">{or_none(said_took(&point))}</td>
                                        <td class="n">{or_none(said_size(&point))}</td>
                                        <td class="n">{or_none(said_cached(&point))}</td>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
        </details>
    }
}
