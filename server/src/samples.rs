//! `/samples/{placement}/download`: the figures of the charts as a file.

use crate::{answer::Asker, state::Console};
use axum::{
    body::Body,
    extract::{Extension, Path, Query, State, rejection::QueryRejection},
    http::{HeaderValue, Response, header},
};
use control::Asked;
use domain::{
    error::Problem,
    id::{PlacementId, RolloutId},
    samples::Range,
};
use serde::Deserialize;

/// Which time is wanted: of a rollout, else a range.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    range: Range,
    rollout: Option<RolloutId>,
}

/// Sends at most as many lines as a chart has points: all of it at once.
pub async fn download(
    State(console): State<Console>,
    Extension(asker): Extension<Asker>,
    Extension(asked): Extension<Option<Asked>>,
    Path(placement): Path<String>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Response<Body> {
    let Some(asked) = asked else { return asker.problem(&Problem::SignedOut) };
    let (Ok(placement), Ok(Query(wish))) = (placement.parse::<PlacementId>(), wish) else {
        return asker.problem(&Problem::not_found("page"));
    };
    let found = console.control.course_of(&asked, placement, wish.rollout, wish.range).await;
    let (place, course) = match found {
        Ok(found) => found,
        Err(problem) => return asker.problem(&problem),
    };
    let mut response = Response::new(Body::from(course.to_csv()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // All of it is names, which need no quotes.
    let of = wish.rollout.map_or_else(|| wish.range.to_string(), |rollout| rollout.short());
    let name = format!("{}-{}-{}-{of}.csv", place.project, place.service, place.environment);
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}
