//! The app, mounted: its pages, its server functions, and what both find in their context.

use crate::{container_logs, state::Console};
use app::api::logs::Find;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header, request::Parts},
    middleware::from_fn,
};
use control::{Asked, Control};
use domain::history::Origin;
use leptos::prelude::*;
use leptos_axum::{
    AxumRouteListing, LeptosRoutes, ResponseOptions, generate_route_list,
    render_app_async_with_context,
};

/// All pages of the app.
#[must_use]
pub fn list() -> Vec<AxumRouteListing> {
    generate_route_list(app::App)
}

/// Pages and server functions.
pub fn routes(console: &Console) -> Router<Console> {
    let (control, options) = (console.control.clone(), console.leptos.clone());
    let find = container_logs::find(console);
    Router::new()
        .leptos_routes_with_context(
            console,
            list(),
            move || provide(control.clone(), find.clone()),
            move || shell(options.clone()),
        )
        // A form without scripts that is refused comes back with what was typed.
        .layer(from_fn(app::api::kept::give_back))
}

/// The page for an address that is none.
pub async fn not_found(State(console): State<Console>, request: Request) -> Response<Body> {
    let (control, options) = (console.control.clone(), console.leptos.clone());
    let find = container_logs::find(&console);
    let draw = render_app_async_with_context(
        move || provide(control.clone(), find.clone()),
        move || shell(options.clone()),
    );
    let mut response = draw(request).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// What `app::api::context` finds: the verbs, who asks, and from where.
fn provide(control: Control, find: Find) {
    provide_context(control);
    provide_context(find);
    let Some(request) = use_context::<Parts>() else { return };
    let asked = request.extensions.get::<Option<Asked>>().cloned().flatten();
    provide_context(asked);
    if let Some(origin) = request.extensions.get::<Origin>() {
        provide_context(origin.clone());
    }
}

/// The HTML around a page, and the policy that belongs to it: only scripts with this answer's nonce
/// run, nothing is inline, nobody frames us.
fn shell(options: LeptosOptions) -> impl IntoView {
    if let (Some(nonce), Some(response)) =
        (leptos::nonce::use_nonce(), use_context::<ResponseOptions>())
    {
        let policy = format!(
            "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; \
             style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; \
             manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
             object-src 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    app::shell(options)
}
