//! What every request passes before anybody looks at what it wants: who may speak to us at all, under
//! which name, from which page; and what every answer says to the browser.

use crate::{
    answer::{Asker, RequestId, wants_page},
    config::{Limits, public_url::PublicUrl},
    metrics::Metrics,
    peer::Peer,
};
use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header},
    middleware::Next,
    response::IntoResponse,
};
use domain::error::Problem;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::Instrument;

/// What the rules here go by.
#[derive(Debug)]
pub struct Door {
    pub public_url: PublicUrl,
    pub trusted_proxy: Vec<IpAddr>,
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
}

/// How long an answer may take to begin. A stream that has begun may go on.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Gives the request its id and its peer, and writes what came of it to the log and the counters.
pub async fn note(
    State(door): State<Arc<Door>>,
    ConnectInfo(connection): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id = RequestId::new();
    let asker = Asker { id: id.clone(), wants_page: wants_page(request.headers()) };
    let peer = Peer::of(connection, request.headers(), &door.trusted_proxy);
    let method = request.method().clone();
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(peer);

    let span = tracing::info_span!("request", request.id = %id.0, http.method = %method);
    let began = Instant::now();
    let answered = tokio::time::timeout(ANSWER_WITHIN, next.run(request)).instrument(span.clone());
    let mut response = answered.await.unwrap_or_else(|_| {
        asker.problem(&Problem::Unavailable {
            sentence: "The answer took too long. Look whether it was done before you try again."
                .to_owned(),
        })
    });
    let took = began.elapsed();

    let status = response.status();
    let route = response.extensions().get::<MatchedRoute>().map_or("other", |route| &route.0);
    door.metrics.answered(&method, route, status, took);
    span.in_scope(|| {
        let ms = took.as_millis();
        let code = status.as_u16();
        if status.is_server_error() {
            tracing::warn!(
                http.route = route,
                http.status = code,
                "{method} {route} was answered {code} after {ms} ms"
            );
        } else if method == Method::GET {
            tracing::debug!(
                http.route = route,
                http.status = code,
                "{method} {route} was answered {code} after {ms} ms"
            );
        } else {
            tracing::info!(
                http.route = route,
                http.status = code,
                "{method} {route} was answered {code} after {ms} ms"
            );
        }
    });
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// The pattern of the route that answered, for the counters: few, whatever is asked for.
#[derive(Clone, Debug)]
pub struct MatchedRoute(pub Arc<str>);

/// Carries the pattern from the route to [`note`].
pub async fn remember_route(
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(MatchedRoute(matched.as_str().into()));
    }
    response
}

/// Turns away whoever speaks plain HTTP from elsewhere, and whoever calls us by a foreign name: a page
/// of somebody else whose name was made to point here (DNS rebinding).
pub async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response<Body> {
    let (Some(peer), Some(asker)) =
        (request.extensions().get::<Peer>().copied(), request.extensions().get::<Asker>().cloned())
    else {
        return unknown();
    };
    if !peer.may_speak(&door.trusted_proxy) {
        return asker.refuse(
            StatusCode::FORBIDDEN,
            "Only this machine and the configured proxy may speak to this address.",
        );
    }
    let Some(host) = host(&request).filter(|host| door.is_ours(host)) else {
        let sentence =
            format!("This is not the name of this console. It is at {}.", door.public_url);
        return asker.refuse(StatusCode::MISDIRECTED_REQUEST, &sentence);
    };
    if let Some(better) = door.better_address(&host, &request, &asker) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::LOCATION, better);
        return response;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD)
        && !is_from_our_page(request.headers(), &host, &door.public_url)
    {
        return asker.refuse(
            StatusCode::FORBIDDEN,
            "This was sent from a page that is not ours, so it was not done.",
        );
    }
    next.run(request).await
}

/// The answer where a layer that must come before has not been passed: that is never so, and never yes.
pub(crate) fn unknown() -> Response<Body> {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Bounds the body in size. A body that does not say how long it is may be too long all the same: what
/// was to read it then had an error, whatever it made of that.
pub async fn bound(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response<Body> {
    let limit = door.limits.body_bytes;
    let asker = request.extensions().get::<Asker>().cloned();
    let refuse = |asker: Asker| {
        let sentence = format!("That is more than {} KiB. Nothing was changed.", limit / 1024);
        asker.refuse(StatusCode::PAYLOAD_TOO_LARGE, &sentence)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return asker.map_or_else(unknown, refuse);
    }
    let over = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&over);
    let request = request.map(|body| {
        Body::new(Limited::new(body, limit).map_err(move |error| {
            noted.fetch_or(error.is::<LengthLimitError>(), Ordering::Relaxed);
            error
        }))
    });
    let response = next.run(request).await;
    match asker {
        Some(asker) if over.load(Ordering::Relaxed) => refuse(asker),
        _ => response,
    }
}

/// Says to the browser how careful to be, on every answer.
pub async fn harden(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // Pages bring their own with a nonce; what is public says so itself.
    for (name, value) in UNLESS_SAID {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if door.public_url.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

const ALWAYS: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    // Not `no-referrer`: a form without scripts is led back by it.
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("x-permitted-cross-domain-policies", "none"),
];

const UNLESS_SAID: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

impl Door {
    /// Whether people may call us so. Any port: a forwarded one is as good, and names are what can
    /// be made to point here.
    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        name == self.public_url.host()
            || ["localhost", "127.0.0.1", "[::1]"].contains(&name.as_str())
    }

    /// From a loopback address browsers do not accept our cookie, from `localhost` they do.
    fn better_address(&self, host: &str, request: &Request, asker: &Asker) -> Option<HeaderValue> {
        let is_number = matches!(name_of(host)?.as_str(), "127.0.0.1" | "[::1]");
        let is_page = *request.method() == Method::GET && asker.wants_page;
        if !is_number || !is_page || self.public_url.host() != "localhost" {
            return None;
        }
        let port = host.parse::<http::uri::Authority>().ok()?.port_u16().unwrap_or(80);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        HeaderValue::from_str(&PublicUrl::localhost(port).link(path)).ok()
    }
}

/// The `Host` header, or what stands for it in HTTP/2. More than one is none.
fn host(request: &Request) -> Option<String> {
    let mut named = request.headers().get_all(header::HOST).iter();
    match (named.next(), named.next(), request.uri().authority()) {
        (Some(host), None, _) => host.to_str().ok().map(str::to_ascii_lowercase),
        (None, _, Some(authority)) => Some(authority.as_str().to_ascii_lowercase()),
        _ => None,
    }
}

fn name_of(host: &str) -> Option<String> {
    let authority: http::uri::Authority = host.parse().ok()?;
    (!authority.as_str().contains('@')).then(|| authority.host().to_owned())
}

/// Whether the browser says that a page of ours sent this. Nothing said is no.
fn is_from_our_page(headers: &HeaderMap, host: &str, public_url: &PublicUrl) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else { return false };
    if origin == public_url.to_string() {
        return true;
    }
    // On loopback the port may be a forwarded one; the name was checked before.
    origin.parse::<Uri>().is_ok_and(|origin| {
        !public_url.is_https()
            && origin.scheme_str() == Some("http")
            && origin.authority().is_some_and(|authority| authority.as_str() == host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let url: PublicUrl = "https://pilothouse.example.com".parse().unwrap();
        let host = "pilothouse.example.com";
        let ours = |pairs: &[(&'static str, &str)]| is_from_our_page(&headers(pairs), host, &url);

        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("origin", "https://pilothouse.example.com")]));
        assert!(!ours(&[
            ("sec-fetch-site", "same-site"),
            ("origin", "https://pilothouse.example.com")
        ]));
        assert!(!ours(&[("sec-fetch-site", "none")]));
        assert!(!ours(&[("origin", "http://pilothouse.example.com")]));
        assert!(!ours(&[("origin", "https://pilothouse.example.com.evil.org")]));
        assert!(!ours(&[("origin", "null")]));
        assert!(!ours(&[]));
    }

    #[test]
    fn on_loopback_a_forwarded_port_is_as_good() {
        let url = PublicUrl::localhost(7300);
        let origin = headers(&[("origin", "http://localhost:9000")]);

        assert!(is_from_our_page(&origin, "localhost:9000", &url));
        assert!(!is_from_our_page(&origin, "localhost:7300", &url));
    }
}
