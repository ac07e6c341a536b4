//! The route table, and what every request goes through, from the outside in.
//!
//! ```text
//! note      request id, peer, deadline, log line, counters
//! harden    headers that tell the browser to be careful, on every answer
//! survive   a panic becomes a 500 with the request's id
//! admit     whoever may speak to us, by our name, from our pages
//! bound     so much body and no more
//!   /livez /readyz /metrics /pkg /fonts      nobody needs to be known
//!   session   the cookie becomes who asks
//!     pages, server functions, /live, /history/export.*, /builds/{id}/log
//!     /logs/{placement}/download, /samples/{placement}/download
//! ```

use crate::{
    answer::Asker,
    build_logs, container_logs, export, files,
    guard::{self, Door},
    live, pages, probes, samples, session,
    state::Console,
};
use axum::{Router, body::Body, extract::Request, http::Response, middleware, routing::get};
use domain::error::Problem;
use futures::FutureExt;
use middleware::{Next, from_fn, from_fn_with_state};
use std::{panic::AssertUnwindSafe, path::Path, sync::Arc, sync::atomic::Ordering};

/// What is served without knowing who asks. Also for the test that walks all routes.
pub const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// What is served besides the pages and server functions of the app.
pub const OWN: [&str; 5] = [
    "/live",
    "/history/{export}",
    "/logs/{placement}/download",
    "/builds/{id}/log",
    "/samples/{placement}/download",
];

/// Everything that is served.
pub fn all(console: &Console, door: &Arc<Door>, site: &Path) -> Router {
    let known = Router::new()
        .route("/live", get(live::open))
        .route("/history/{export}", get(export::history))
        .route("/logs/{placement}/download", get(container_logs::download))
        .route("/builds/{id}/log", get(build_logs::download))
        .route("/samples/{placement}/download", get(samples::download))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .merge(pages::routes(console))
        .fallback(pages::not_found)
        .layer(from_fn_with_state(console.clone(), session::find));
    Router::new()
        .route("/livez", get(probes::livez))
        .merge(files::routes(site))
        .merge(known)
        .layer(from_fn(guard::remember_route))
        .layer(from_fn_with_state(door.clone(), guard::bound))
        .layer(from_fn_with_state(door.clone(), guard::admit))
        .layer(from_fn_with_state(door.clone(), survive))
        .layer(from_fn_with_state(door.clone(), guard::harden))
        .layer(from_fn_with_state(door.clone(), guard::note))
        .with_state(console.clone())
}

/// A fault of ours ends one request, not the server; the person gets an id to quote.
async fn survive(
    axum::extract::State(door): axum::extract::State<Arc<Door>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let asker = request.extensions().get::<Asker>().cloned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            door.metrics.panics.fetch_add(1, Ordering::Relaxed);
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            tracing::error!(panic = said.unwrap_or("something"), "A request ended in a fault");
            let id = asker.as_ref().map(|asker| asker.id.0.clone()).unwrap_or_default();
            let problem = Problem::Internal { request: id };
            asker.map_or_else(guard::unknown, |asker| asker.problem(&problem))
        }
    }
}
