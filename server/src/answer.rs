//! Answers that no page gives: refusals at the door, faults, and "come back in a moment".
//!
//! A browser that wants a page gets a small one that needs nothing, not even a stylesheet; everybody
//! else gets the problem as JSON, as the server functions give it. Both name the request.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use domain::error::Problem;

/// The id of a request: in the logs, on error pages and in the header `x-request-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl RequestId {
    /// A new one. Ids of others are not taken over: they could be anything.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a browser asked for something to look at.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// What the answer to a request must be made of when something is wrong.
#[derive(Clone, Debug)]
pub struct Asker {
    pub id: RequestId,
    pub wants_page: bool,
}

impl Asker {
    /// A problem, with its status.
    #[must_use]
    pub fn problem(&self, problem: &Problem) -> Response<Body> {
        let status =
            StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = if self.wants_page {
            self.page(status, &problem.to_string())
        } else {
            let body = serde_json::to_string(problem).unwrap_or_default();
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        };
        match problem {
            Problem::TooMany { seconds } => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            // The page loads itself again until it is answered.
            Problem::Unavailable { .. } => {
                response.headers_mut().insert("refresh", HeaderValue::from_static("5"));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }

    /// A refusal at the door, before anything was asked of anybody.
    #[must_use]
    pub fn refuse(&self, status: StatusCode, sentence: &str) -> Response<Body> {
        if self.wants_page {
            return self.page(status, sentence);
        }
        let line = format!("{sentence}\nRequest {}\n", self.id.0);
        (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response()
    }

    fn page(&self, status: StatusCode, sentence: &str) -> Response<Body> {
        let title = match status {
            StatusCode::NOT_FOUND => "There is nothing here",
            StatusCode::SERVICE_UNAVAILABLE => "Pilothouse can not answer right now",
            StatusCode::INTERNAL_SERVER_ERROR => "Something failed on our side",
            _ => "This can not be done",
        };
        let body = format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title} · Pilothouse</title></head><body><main><h1>{title}</h1><p>{}</p>\
             <p><a href=\"/\">To the board</a></p><p><small>Request {}</small></p></main></body></html>",
            escape(sentence),
            self.id.0,
        );
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Why the database can not be asked, as people are told it.
#[must_use]
pub fn database_is_gone() -> Problem {
    Problem::Unavailable {
        sentence: "The database does not answer, so nothing can be shown or done. What runs goes \
                   on, and so does its traffic. This page tries again every 5 seconds."
            .to_owned(),
    }
}
