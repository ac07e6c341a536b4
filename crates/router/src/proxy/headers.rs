//! What is changed in the heads of requests and answers on their way.

use super::Client;
use hyper::{
    HeaderMap, Request, Version,
    header::{
        CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE,
    },
    http::uri::PathAndQuery,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Says between two hops only. `Transfer-Encoding` is hyper's own business on both sides.
const HOP_BY_HOP: [HeaderName; 6] =
    [KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];

/// Claims about the client that only we can make.
const CLAIMS: [HeaderName; 3] =
    [FORWARDED, HeaderName::from_static("x-real-ip"), HeaderName::from_static("x-forwarded-port")];

/// Whether the client wants another protocol on this connection. HTTP/2 in clear text is not one
/// of them: it would carry requests past us.
pub fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.headers().get(UPGRADE).is_some_and(|to| {
            to.to_str().is_ok_and(|to| {
                !to.split(',').any(|one| one.trim().to_ascii_lowercase().starts_with("h2c"))
            })
        })
        && connection_options(request.headers()).any(|option| option == UPGRADE)
}

/// Whether an answer's upgrade is to WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Makes a request of the client one of ours.
pub fn prepare<B>(request: &mut Request<B>, client: &Client, upgrade: bool, cookie: &str) {
    let authority = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().insert(HOST, authority);
    }
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    *request.version_mut() = Version::HTTP_11;

    let headers = request.headers_mut();
    strip(headers, upgrade);
    for claim in &CLAIMS {
        headers.remove(claim);
    }
    // We ask the client for the body ourselves, when an instance has taken the request.
    headers.remove(EXPECT);
    withhold_cookie(headers, cookie);
    join_cookies(headers);
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(X_FORWARDED_FOR, client.address.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
}

/// Makes an instance's answer one of ours.
pub fn strip_answer(headers: &mut HeaderMap, upgraded: bool) {
    strip(headers, upgraded);
}

/// Removes what is between two hops, and what `Connection` says is.
fn strip(headers: &mut HeaderMap, upgrade: bool) {
    if headers.contains_key(CONNECTION) {
        let options: Vec<HeaderName> = connection_options(headers).collect();
        for option in options.iter().filter(|option| **option != UPGRADE && **option != HOST) {
            headers.remove(option);
        }
        headers.remove(CONNECTION);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|option| option.trim().parse().ok())
}

/// Removes one cookie and leaves the others as they were.
fn withhold_cookie(headers: &mut HeaderMap, name: &str) {
    let has = |value: &HeaderValue| {
        value.as_bytes().split(|b| *b == b';').any(|one| is_cookie(one, name))
    };
    if !headers.get_all(COOKIE).iter().any(has) {
        return;
    }
    let kept: Vec<Vec<u8>> = headers
        .get_all(COOKIE)
        .iter()
        .map(|value| {
            let others = value.as_bytes().split(|b| *b == b';').filter(|one| !is_cookie(one, name));
            others.map(<[u8]>::trim_ascii).collect::<Vec<_>>().join(&b"; "[..])
        })
        .filter(|value| !value.is_empty())
        .collect();
    headers.remove(COOKIE);
    for value in kept {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(COOKIE, value);
        }
    }
}

/// HTTP/2 may send each cookie in a header of its own; HTTP/1.1 knows one (RFC 9113, 8.2.3), and many
/// a server reads only the first.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

fn is_cookie(pair: &[u8], name: &str) -> bool {
    let pair = pair.trim_ascii();
    let end = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
    pair[..end].trim_ascii() == name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_console_s_cookie_is_withheld() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-pilothouse=secret;b=2"));
        headers.append(COOKIE, HeaderValue::from_static("__Host-pilothouse=secret"));
        headers.append(COOKIE, HeaderValue::from_static("x__Host-pilothouse=3"));

        withhold_cookie(&mut headers, "__Host-pilothouse");

        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=1; b=2", "x__Host-pilothouse=3"]);
    }

    #[test]
    fn what_connection_names_is_for_one_hop() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Secret, host"));
        headers.insert("x-secret", HeaderValue::from_static("1"));
        headers.insert(HOST, HeaderValue::from_static("api"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));

        strip(&mut headers, false);

        assert_eq!(headers.keys().collect::<Vec<_>>(), [HOST]);
    }

    #[test]
    fn http2_in_clear_text_is_no_upgrade() {
        let request = |to: &str| {
            let request = Request::get("/").header(CONNECTION, "keep-alive, Upgrade");
            request.header(UPGRADE, to).body(()).unwrap()
        };
        assert!(wants_upgrade(&request("websocket")));
        assert!(!wants_upgrade(&request("h2c")));
        assert!(!wants_upgrade(&request("websocket, H2C")));
        assert!(!wants_upgrade(&Request::get("/").header(UPGRADE, "websocket").body(()).unwrap()));
    }
}
