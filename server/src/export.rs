//! `/history/export.csv` and `.jsonl`: the history as a file, sent as it is read.

use crate::{answer::Asker, state::Console};
use axum::{
    body::Body,
    extract::{Extension, Path, Query, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use control::{Asked, history::Format};
use domain::{error::Problem, view::HistoryFilter};

/// Sends what the filter shows.
pub async fn history(
    State(console): State<Console>,
    Extension(asker): Extension<Asker>,
    Extension(asked): Extension<Option<Asked>>,
    Path(ending): Path<String>,
    Query(filter): Query<HistoryFilter>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(asked) = asked else { return asker.problem(&Problem::SignedOut) };
    let Some(format) = ending.strip_prefix("export.").and_then(Format::of) else {
        return asker.problem(&Problem::not_found("page"));
    };
    // It becomes a row in somebody's name, so a foreign page must not be able to ask for it. Why it is
    // a GET all the same: docs/decisions/0007-export-is-a-link.md.
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return asker
            .refuse(StatusCode::FORBIDDEN, "This was asked for by a page that is not ours.");
    }
    match console.control.export_history(&asked, filter, format).await {
        Ok(export) => {
            let mut response = Response::new(Body::from_stream(export.pieces));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(export.media_type));
            let name = format!("attachment; filename=\"{}\"", export.file_name);
            if let Ok(name) = HeaderValue::from_str(&name) {
                headers.insert(header::CONTENT_DISPOSITION, name);
            }
            response
        }
        Err(problem) => asker.problem(&problem),
    }
}
