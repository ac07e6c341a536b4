//! What was typed comes back with the refusal, also where a form is sent without scripts.
//!
//! Such a form is answered with a redirect back to its page. The refusal is in the address already
//! (`__path`, `__err`); the layer here adds what was typed, a parameter for each field, so that the
//! page can draw the form as it was left. Secrets are not added, nor what would make the address
//! longer than browsers send as a referrer. An address that has been through this before is cleaned
//! first: it must say what happened last, and only that.

use leptos_router::params::ParamsMap;

/// The fields that never go into an address. A password field of the app can only have one of
/// these names, see `components::field::Secret`.
pub const SECRET: [&str; 5] = ["password", "again", "current", "token", "secret"];

/// Fixed fields that say what a page was drawn with. They tell no form from its twins: after a
/// refusal the page is drawn anew, with other ones.
pub const DRAWN_WITH: [&str; 2] = ["based_on", "newest"];

/// The parameter that gives back the field `name`.
#[must_use]
pub fn key(name: &str) -> String {
    format!("_.{name}")
}

/// Whether an address brings back the form of the function at `path` with these fixed fields.
/// Secrets are not given back, so they tell nothing; nor does what the page was drawn with.
#[must_use]
pub fn came_back(query: &ParamsMap, path: &str, hidden: &[(&'static str, String)]) -> bool {
    query.get_str("__path") == Some(path)
        && query.get_str("__err").is_some()
        && hidden
            .iter()
            .filter(|(name, _)| !SECRET.contains(name) && !DRAWN_WITH.contains(name))
            .all(|(name, value)| query.get_str(&key(name)) == Some(value.as_str()))
}

#[cfg(feature = "ssr")]
pub use layer::give_back;

#[cfg(feature = "ssr")]
mod layer {
    use super::SECRET;
    use axum::{
        body::{Body, to_bytes},
        extract::Request,
        http::{HeaderValue, Method, StatusCode, header},
        middleware::Next,
        response::{IntoResponse, Response},
    };

    /// The longest body of a form.
    const LONGEST_FORM_BYTES: usize = 2 << 20;
    /// Browsers cut a longer referrer down to the host, and the next refusal would lose the page.
    const LONGEST_ADDRESS: usize = 4000;

    /// The layer. It goes around the server functions; what is not a plain form passes through.
    pub async fn give_back(request: Request, next: Next) -> Response {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let plain_form = request.method() == Method::POST
            && accept.is_some_and(|accept| accept.contains("text/html"));
        if !plain_form {
            return next.run(request).await;
        }

        let (head, body) = request.into_parts();
        let Ok(typed) = to_bytes(body, LONGEST_FORM_BYTES).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "This form is too long. Nothing was changed.")
                .into_response();
        };
        let request = Request::from_parts(head, Body::from(typed.clone()));
        let mut response = next.run(request).await;

        let address =
            response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let given_back =
            address.map(|address| with_typed(address, &String::from_utf8_lossy(&typed)));
        if let Some(address) = given_back.and_then(|address| HeaderValue::from_str(&address).ok()) {
            response.headers_mut().insert(header::LOCATION, address);
        }
        response
    }

    /// The address with the last refusal and what was typed, or without both where all went well.
    fn with_typed(address: &str, typed: &str) -> String {
        let (page, query) = address.split_once('?').unwrap_or((address, ""));
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let all: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let last = |wanted: &str| all.iter().rfind(|pair| name(pair) == wanted).copied();

        let mut pairs: Vec<String> = all
            .iter()
            .filter(|pair| !name(pair).starts_with('_'))
            .map(|pair| (*pair).to_owned())
            .collect();
        if let (Some(path), Some(error)) = (last("__path"), last("__err")) {
            pairs.extend([path.to_owned(), error.to_owned()]);
            let mut room = LONGEST_ADDRESS.saturating_sub(page.len() + length(&pairs));
            for pair in typed.split('&').filter(|pair| !SECRET.contains(&name(pair).as_str())) {
                let pair = format!("_.{pair}");
                if pair.len() < room {
                    room -= pair.len() + 1;
                    pairs.push(pair);
                }
            }
        }
        if pairs.is_empty() { page.to_owned() } else { format!("{page}?{}", pairs.join("&")) }
    }

    fn length(pairs: &[String]) -> usize {
        pairs.iter().map(|pair| pair.len() + 1).sum()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_refused_form_comes_back_with_what_was_typed_but_no_secret() {
            let address = "http://localhost:7300/people?__path=%2Fapi%2Fpeople%2Fadd&__err=abc";
            let back = with_typed(address, "name=Ana+B&password=hunter2hunter2");

            assert_eq!(back, format!("{address}&_.name=Ana+B"));
        }

        #[test]
        fn only_the_last_refusal_is_in_the_address_and_it_does_not_grow() {
            let once = with_typed("/x?__path=p&__err=1", "name=a");
            let twice = with_typed(&format!("{once}&__path=p&__err=2"), "name=b");

            assert_eq!(twice, "/x?__path=p&__err=2&_.name=b");
        }

        #[test]
        fn what_went_well_leaves_a_clean_address_and_the_page_its_own_parameters() {
            assert_eq!(with_typed("/history?days=7&_.name=a", "name=b"), "/history?days=7");
            assert_eq!(with_typed("/rollouts/1", "name=b"), "/rollouts/1");
        }

        #[test]
        fn what_is_too_long_is_left_out_and_the_rest_is_kept() {
            let long = format!("variables={}&size=2", "x".repeat(5000));
            assert_eq!(with_typed("/x?__path=p&__err=1", &long), "/x?__path=p&__err=1&_.size=2");
        }
    }
}
