//! What the router says itself: small pages that need nothing else, and say which host they mean.

use super::AnswerBody;
use crate::witness::Failure;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue},
};

/// The request can not be understood.
pub fn bad_request(why: &str) -> Response<AnswerBody> {
    page(StatusCode::BAD_REQUEST, "Bad request", why)
}

/// The rest of the request did not come.
pub fn stalled() -> Response<AnswerBody> {
    let why = "The request did not arrive whole in time.";
    let mut page = page(StatusCode::REQUEST_TIMEOUT, "Out of time", why);
    page.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    page
}

/// No route has this host name.
pub fn unknown_host(host: &str) -> Response<AnswerBody> {
    let why = format!("No service is reached under the host name {}.", escape(host));
    page(StatusCode::NOT_FOUND, "Unknown host name", &why)
}

/// There is a route, and nothing behind it.
pub fn no_slot(host: &str, preview: bool) -> Response<AnswerBody> {
    let which = if preview { "no slot to preview" } else { "no live slot" };
    let why = format!("{} has {which} at the moment.", escape(host));
    page(StatusCode::SERVICE_UNAVAILABLE, "Nothing is live", &why)
}

/// The instance behind the route failed.
pub fn failed(failure: Failure, host: &str) -> Response<AnswerBody> {
    let host = if host.is_empty() { "The service".into() } else { escape(host) };
    match failure {
        Failure::Refused => {
            let why = format!("No instance of {host} takes connections.");
            page(StatusCode::BAD_GATEWAY, "Service unreachable", &why)
        }
        Failure::CutOff => {
            let why = format!("An instance of {host} ended the connection without an answer.");
            page(StatusCode::BAD_GATEWAY, "No answer", &why)
        }
        Failure::TimedOut => {
            let why = format!("No instance of {host} answered in time.");
            page(StatusCode::GATEWAY_TIMEOUT, "Out of time", &why)
        }
    }
}

fn page(status: StatusCode, title: &str, why: &str) -> Response<AnswerBody> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32rem;\
         padding:0 1rem;color-scheme:light dark}}small{{opacity:.7}}</style>\
         <h1>{title}</h1><p>{why}</p><p><small>{} · Pilothouse router</small></p></html>\n",
        status.as_u16()
    );
    let mut response = Response::new(AnswerBody::page(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A host name has no character to escape; this holds if that ever changes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
