//! Which host a request is for.

use hyper::{Request, Version, header::HOST};
use std::borrow::Cow;

/// The host that a request names, as the table knows it: lower case, without port and final dot.
/// None: it names none, more than one, or something that is no host.
///
/// A target in absolute form (and `:authority` in HTTP/2) goes before the header, as RFC 9112 3.2.2
/// has it.
pub fn of<B>(request: &Request<B>) -> Option<Cow<'_, str>> {
    let mut named = request.headers().get_all(HOST).iter();
    let header = match (named.next(), named.next()) {
        (Some(header), None) => Some(header.to_str().ok()?),
        (Some(_), Some(_)) => return None,
        (None, _) => None,
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    if header.is_none() && request.version() < Version::HTTP_2 {
        return None;
    }
    normalize(authority.or(header)?)
}

fn normalize(authority: &str) -> Option<Cow<'_, str>> {
    let host = match authority.strip_prefix('[') {
        // An IPv6 address: never a route, but a valid host.
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_port = |p: &str| p.strip_prefix(':').is_some_and(is_port);
            return (address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || is_port(port)))
            .then_some(Cow::Borrowed(address));
        }
        None => match authority.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
            None => authority,
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !host.as_bytes().iter().all(good) {
        return None;
    }
    Some(if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

fn is_port(port: &str) -> bool {
    port.is_empty() || port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_case_port_and_final_dot() {
        for same in
            ["api.example.org", "API.Example.ORG", "api.example.org:7380", "api.example.org."]
        {
            assert_eq!(normalize(same).as_deref(), Some("api.example.org"), "{same}");
        }
        assert_eq!(normalize("[::1]:80").as_deref(), Some("::1"));
        assert_eq!(normalize("127.0.0.1:7380").as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn what_is_no_host_is_none() {
        for odd in
            ["", ":80", ".", "a b", "a/b", "user@api", "api:port", "api:99999", "[::1", "[x]", "ä"]
        {
            assert_eq!(normalize(odd), None, "{odd}");
        }
    }
}
