//! What the server lays ready for a server function: who asks, from where, and whom to ask.
//!
//! `server` provides [`control::Control`], [`control::Asked`] (as an `Option`) and
//! [`domain::history::Origin`] in the context of every request. Nothing else of the request is
//! read here, but for the two headers that tell a form without scripts from one with them.
#![cfg(feature = "ssr")]

use axum::http::{HeaderValue, Method, StatusCode, header, request::Parts};
use control::{Asked, Control};
use domain::{error::Problem, history::Origin};
use leptos::prelude::{expect_context, use_context};
use leptos_axum::ResponseOptions;

/// The verbs.
#[must_use]
pub fn control() -> Control {
    expect_context()
}

/// Who asks, if somebody is signed in.
#[must_use]
pub fn maybe_asked() -> Option<Asked> {
    use_context::<Option<Asked>>().flatten()
}

/// Who asks. Nobody signed in is a problem.
pub fn asked() -> Result<Asked, Problem> {
    maybe_asked().ok_or(Problem::SignedOut)
}

/// Where the request came from: for those who are not signed in yet.
#[must_use]
pub fn origin() -> Origin {
    expect_context()
}

/// Goes to another page of ours, with and without scripts.
pub fn go_to(path: &str) {
    leptos_axum::redirect(path);
}

/// Gives the answer the status of the problem.
///
/// A page that was asked for without a session leads to the sign-in instead. A form that was sent
/// without scripts keeps its redirect back to the page, which then shows the problem: a status here
/// would put raw JSON on the screen.
pub fn answer_with(problem: &Problem) {
    let (Some(request), Some(response)) =
        (use_context::<Parts>(), use_context::<ResponseOptions>())
    else {
        return;
    };
    let is_page = request.method == Method::GET;
    if !is_page && wants_html(&request) {
        return;
    }
    if is_page && matches!(problem, Problem::SignedOut) {
        let here = request.uri.path_and_query().map_or("/", |here| here.as_str());
        let sign_in = format!("/sign-in?next={}", super::typed::escaped(here));
        // Not `go_to`: who does not ask for HTML by name would get it with a 200.
        response.set_status(StatusCode::FOUND);
        if let Ok(sign_in) = HeaderValue::from_str(&sign_in) {
            response.insert_header(header::LOCATION, sign_in);
        }
        return;
    }
    if let Problem::TooMany { seconds } = problem {
        response.insert_header(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if let Ok(status) = StatusCode::from_u16(problem.status()) {
        response.set_status(status);
    }
}

fn wants_html(request: &Parts) -> bool {
    let accept = request.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The cookie that holds a session's secret. `__Host-`: only over TLS or loopback, only for this
/// host, never for a part of it.
pub const COOKIE: &str = "__Host-pilothouse";

/// Hands the secret of a new session to the browser.
pub fn begin_session(secret: &str) {
    set_cookie(&format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax"));
}

/// Takes the cookie from the browser.
pub fn drop_session() {
    set_cookie(&format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"));
}

/// Holds the token of an invitation that was made by a form without scripts, on its way to the page
/// that shows the link. Only in the browser that made it, for a minute, until it was shown.
const MADE: &str = "__Host-pilothouse-invitation";

/// Whether the request is a form that was sent without scripts.
#[must_use]
pub fn is_plain_form() -> bool {
    use_context::<Parts>()
        .is_some_and(|request| request.method == Method::POST && wants_html(&request))
}

/// Gives the token of a link to the browser that just made it.
pub fn hand_over(token: &str) {
    set_cookie(&format!("{MADE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60"));
}

/// Takes the token back, once.
#[must_use]
pub fn handed_over() -> Option<String> {
    let request = use_context::<Parts>().filter(|request| request.method == Method::GET)?;
    let token = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, token)| (name == MADE).then(|| token.to_owned()))?;
    set_cookie(&format!("{MADE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
    Some(token)
}

fn set_cookie(cookie: &str) {
    if let (Some(response), Ok(value)) =
        (use_context::<ResponseOptions>(), HeaderValue::from_str(cookie))
    {
        response.append_header(header::SET_COOKIE, value);
    }
}
