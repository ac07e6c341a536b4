//! What is answered at which path.

use crate::{page::page, serve::Hello, streams};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use serde_json::json;
use std::{convert::Infallible, str::FromStr, sync::atomic::Ordering::Relaxed, time::Duration};

/// A body of any kind: whole, streamed, or the request's own.
pub type Body = BoxBody<Bytes, hyper::Error>;

const LONGEST_MS: u64 = 10 * 60 * 1000;
const BIGGEST_BYTES: u64 = 4 << 30;
const MOST_EATEN_MIB: usize = 4096;
const CHUNK: &[u8] = &[b'.'; 64 * 1024];

/// Answers one request. Every answer names the version, slot and instance that gave it, so
/// that a client can tell who spoke.
pub async fn answer(
    hello: &Hello,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = route(hello, request).await;
    let headers = response.headers_mut();
    let said_by = [
        ("x-hello-version", &hello.switches.version),
        ("x-hello-slot", &hello.switches.slot),
        ("x-hello-instance", &hello.switches.instance),
    ];
    for (name, value) in said_by {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // What was switched to another protocol is no connection of HTTP any more.
    if hello.ending.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn route(hello: &Hello, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/health" => return health(hello),
        "/ready" => return ready(hello),
        "/version" => {
            return json_answer(
                StatusCode::OK,
                &json!({ "version": hello.switches.reported_version }),
            );
        }
        _ => {}
    }

    if hello.count_and_is_broken() {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "this version broke after a while, as its image says\n",
        );
    }
    let expected = if path == "/echo" { Method::POST } else { Method::GET };
    let known = matches!(
        path.as_str(),
        "/" | "/slow" | "/fail" | "/events" | "/ws" | "/big" | "/echo" | "/told" | "/eat"
    );
    if !known {
        return text(StatusCode::NOT_FOUND, "there is nothing here\n");
    }
    if request.method() != expected
        && !(request.method() == Method::HEAD && expected == Method::GET)
    {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
        response.headers_mut().insert(
            ALLOW,
            HeaderValue::from_static(if expected == Method::GET { "GET, HEAD" } else { "POST" }),
        );
        return response;
    }
    match path.as_str() {
        "/" => whole("text/html; charset=utf-8", page(&hello.switches)),
        "/slow" => slow(&request).await,
        "/eat" => eat(&request).await,
        "/fail" => fail(hello, &request),
        "/events" => streams::events(hello),
        "/ws" => streams::web_socket(hello, request),
        "/big" => big(&request),
        "/told" => told(&request),
        _ => echo(request),
    }
}

/// `{"status":"ok","version":"1.0.0"}`, the fields that a version check reads.
fn health(hello: &Hello) -> Response<Body> {
    let (status, word) = if hello.switches.never_ready {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    } else {
        (StatusCode::OK, "ok")
    };
    json_answer(status, &json!({ "status": word, "version": hello.switches.reported_version }))
}

fn ready(hello: &Hello) -> Response<Body> {
    match hello.switches.never_ready {
        true => text(StatusCode::SERVICE_UNAVAILABLE, "not ready, as the image says\n"),
        false => text(StatusCode::OK, "ready\n"),
    }
}

/// `/slow?ms=200` answers after so long.
async fn slow(request: &Request<Incoming>) -> Response<Body> {
    let ms = asked(request, "ms").unwrap_or(1000).min(LONGEST_MS);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    text(StatusCode::OK, &format!("answered after {ms} ms\n"))
}

/// `/eat?mib=64` takes so much memory, touches all of it, and holds it for a second.
async fn eat(request: &Request<Incoming>) -> Response<Body> {
    let mib = asked(request, "mib").unwrap_or(1_usize).min(MOST_EATEN_MIB);
    let eaten = vec![1_u8; mib << 20];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes: usize = std::hint::black_box(&eaten).len();
    text(StatusCode::OK, &format!("ate {} MiB\n", bytes >> 20))
}

/// `/fail?status=503` fails always, `/fail?rate=0.1` one time in ten.
fn fail(hello: &Hello, request: &Request<Incoming>) -> Response<Body> {
    let status = asked(request, "status")
        .and_then(|code: u16| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let rate = asked(request, "rate").unwrap_or(1.0_f64).clamp(0.0, 1.0);
    let before = hello.asked_to_fail.fetch_add(1, Relaxed);
    // Fails whenever the number of failures owed grows by one.
    let owed = |requests: u64| (requests as f64 * rate).floor();
    match owed(before + 1) > owed(before) {
        true => text(status, "failed, as asked\n"),
        false => text(StatusCode::OK, "this one is fine\n"),
    }
}

/// `/big?bytes=1000000` sends so much, in pieces.
fn big(request: &Request<Incoming>) -> Response<Body> {
    let size_bytes = asked(request, "bytes").unwrap_or(1 << 20).min(BIGGEST_BYTES);
    let pieces = stream::unfold(size_bytes, |left| async move {
        let now = left.min(CHUNK.len() as u64);
        let piece = Bytes::from_static(&CHUNK[..now as usize]);
        (now > 0).then_some((Ok(Frame::data(piece)), left - now))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    response
}

/// `/told?name=API_KEY` says whether this variable is set and how long it is, never what it is.
fn told(request: &Request<Incoming>) -> Response<Body> {
    let name: String = asked(request, "name").unwrap_or_default();
    let value = std::env::var_os(&name).filter(|_| !name.is_empty());
    let bytes = value.as_ref().map(|value| value.len());
    json_answer(StatusCode::OK, &json!({ "set": value.is_some(), "bytes": bytes }))
}

/// Sends the request's body back as it comes, so a slow sender is answered slowly.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body().boxed());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    response
}

/// A number or word of the query, if it is there and can be read.
fn asked<T: FromStr>(request: &Request<Incoming>, name: &str) -> Option<T> {
    let query = request.uri().query()?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1
        .parse()
        .ok()
}

/// A plain sentence.
pub fn text(status: StatusCode, sentence: &str) -> Response<Body> {
    let mut response = whole("text/plain; charset=utf-8", sentence.to_owned());
    *response.status_mut() = status;
    response
}

fn json_answer(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = whole("application/json", value.to_string());
    *response.status_mut() = status;
    response
}

fn whole(kind: &'static str, body: String) -> Response<Body> {
    let mut response =
        Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
