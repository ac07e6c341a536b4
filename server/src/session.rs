//! From the cookie to who asks: looked up once for each request that may need it, and laid into the
//! request for pages, server functions and streams alike.

use crate::{
    answer::{Asker, database_is_gone},
    guard::unknown,
    peer::Peer,
    routes::OPEN,
    state::Console,
};
use app::api::context::COOKIE;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, header},
    middleware::Next,
};
use control::Asked;
use domain::{error::Problem, history::Origin};
use std::ops::RangeInclusive;

/// Of what the browser calls itself, so much is kept.
const AGENT: usize = 200;
/// A key by which a repeated request is known: longer ones are none, and so is an empty one.
const KEY: RangeInclusive<usize> = 1..=200;

/// Lays `Option<Asked>` and `Origin` into the request.
pub async fn find(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let (Some(asker), Some(peer)) =
        (request.extensions().get::<Asker>().cloned(), request.extensions().get::<Peer>().copied())
    else {
        return unknown();
    };
    let origin = Origin {
        request: asker.id.0.clone(),
        address: peer.address.to_string(),
        agent: text(request.headers(), header::USER_AGENT.as_str())
            .map(|agent| agent.chars().take(AGENT).collect())
            .unwrap_or_default(),
    };
    let mut renewed = None;
    let mut asked = None;
    if let Some(secret) = cookie(request.headers()) {
        match console.control.authenticate(&origin, &secret).await {
            Ok(Some(session)) => {
                asked = Some(Asked {
                    actor: session.actor,
                    origin: origin.clone(),
                    idempotency_key: key(request.headers()),
                });
                renewed = session.renewed;
            }
            Ok(None) => {}
            // Probes are asked most of all when something is gone: they answer for themselves.
            Err(_) if OPEN.contains(&request.uri().path()) => {}
            Err(Problem::Unavailable { .. }) => return asker.problem(&database_is_gone()),
            Err(problem) => return asker.problem(&problem),
        }
    }
    request.extensions_mut().insert(asked);
    request.extensions_mut().insert(origin);

    let mut response = next.run(request).await;
    if let Some(secret) = renewed
        && !sets_session(response.headers())
        && let Ok(value) = HeaderValue::from_str(&set_cookie(&secret))
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Whoever just signed in or out has a newer cookie than the renewed one.
fn sets_session(headers: &HeaderMap) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.strip_prefix(COOKIE).is_some_and(|rest| rest.starts_with('=')))
    })
}

/// As it is set at sign-in, in `app::api::context`.
fn set_cookie(secret: &str) -> String {
    format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn key(headers: &HeaderMap) -> Option<String> {
    let key = text(headers, "idempotency-key")?;
    KEY.contains(&key.len()).then(|| key.to_owned())
}

/// The secret of the session. Twice the same name is none: one of them is not ours.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let mut secrets = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, secret)| secret.to_owned());
    match (secrets.next(), secrets.next()) {
        (Some(secret), None) => Some(secret),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_read_and_two_of_them_are_none() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, value.parse().unwrap());
            cookie(&headers)
        };

        assert_eq!(read("theme=dark; __Host-pilothouse=abc"), Some("abc".to_owned()));
        assert_eq!(read("__Host-pilothouse=abc; __Host-pilothouse=def"), None);
        assert_eq!(read("pilothouse=abc"), None);
    }

    #[test]
    fn a_key_that_names_nothing_is_none() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", value.parse().unwrap());
            key(&headers)
        };

        assert_eq!(read("a"), Some("a".to_owned()));
        assert_eq!(read(""), None);
        assert_eq!(read(&"x".repeat(201)), None);
    }
}
