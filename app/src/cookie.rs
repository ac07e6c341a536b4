//! What a browser keeps for us beside the sign-in: cookies that hold one word each.

use leptos::prelude::use_context;

/// The word that the request's cookie holds, where it was sent.
pub fn sent(name: &str) -> Option<String> {
    let parts = use_context::<axum::http::request::Parts>()?;
    let cookies = parts.headers.get_all(axum::http::header::COOKIE);
    cookies
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, word)| word.to_owned())
}
