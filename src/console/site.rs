//! Which requests are meant for us, and come from a page that may ask.
//!
//! Without authentication whoever reaches the address is the operator, and any page that somebody opens runs in a browser that
//! does. So a page of another origin is refused, whatever it asks for; and in the clear, where no certificate proves the name, a
//! name that anybody could point at this machine (DNS rebinding) is not answered to.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What a page of ours may do: nothing that is not of this very origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What the console is to a browser.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Whether connections are encrypted.
    is_encrypted: bool,
    /// Others whose pages may ask.
    origins: Arc<[String]>,
}

impl Site {
    pub(super) fn new(is_encrypted: bool, origins: &[String]) -> Self {
        Self { is_encrypted, origins: origins.into() }
    }

    /// Whether a request may be answered.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let host = uri.authority().cloned().or(host);
        let host = host.ok_or((StatusCode::BAD_REQUEST, "the request names no host\n"))?;
        if !self.is_encrypted && !is_here(host.host()) && !self.is_listed(&host) {
            let why = "in the clear, only addresses, localhost and the hosts of console.origins are answered to\n";
            return Err((StatusCode::MISDIRECTED_REQUEST, why));
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let own = format!("{}://{host}", if self.is_encrypted { "https" } else { "http" });
        let is = |one: &String| origin.as_bytes() == one.as_bytes();
        if is(&own) || self.origins.iter().any(is) {
            return Ok(());
        }
        Err((
            StatusCode::FORBIDDEN,
            "pages of this origin may not ask; console.origins lists those that may\n",
        ))
    }

    /// Whether it is the host of an origin in the list.
    fn is_listed(&self, host: &Authority) -> bool {
        let is = |one: &String| one.split_once("://").is_some_and(|(_, of)| of == host.as_str());
        self.origins.iter().any(is)
    }
}

/// Whether it is an address or `localhost`, which nobody else can give away.
fn is_here(host: &str) -> bool {
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || ipv6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// Refuses what is not meant for us or comes from elsewhere, and tells browsers what a page of ours may do.
pub(super) async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = match site.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_encrypted: bool, host: &str, origin: Option<&str>) -> u16 {
        let listed = ["https://desk.example".to_owned(), "http://near.example:8080".to_owned()];
        let mut headers = HeaderMap::new();
        if !host.is_empty() {
            headers.insert(HOST, host.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        let checked = Site::new(is_encrypted, &listed).check(&Uri::from_static("/"), &headers);
        checked.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_name_that_anybody_can_point_here_is_not_answered_to_in_the_clear() {
        for host in ["127.0.0.1:50062", "[::1]:50062", "localhost:50062", "LocalHost", "10.0.0.7"] {
            assert_eq!(check(false, host, None), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:50062",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            assert_eq!(check(false, host, None), 421, "{host}");
            assert_eq!(check(true, host, None), 200, "{host}: its certificate proves it");
        }
        assert_eq!(check(false, "desk.example", None), 200);
        assert_eq!(check(false, "near.example:8080", None), 200);
        assert_eq!(check(false, "near.example", None), 421);
        assert_eq!(check(false, "", None), 400);
    }

    #[test]
    fn a_page_of_another_origin_may_not_ask() {
        let host = "127.0.0.1:50062";
        for fine in ["http://127.0.0.1:50062", "https://desk.example", "http://near.example:8080"] {
            assert_eq!(check(false, host, Some(fine)), 200, "{fine}");
        }
        for foreign in [
            "https://127.0.0.1:50062",
            "http://127.0.0.1:50063",
            "http://localhost:50062",
            "null",
            "https://desk.example.org",
        ] {
            assert_eq!(check(false, host, Some(foreign)), 403, "{foreign}");
        }
        assert_eq!(check(true, "node.example", Some("https://node.example")), 200);
        assert_eq!(check(true, "node.example", Some("http://node.example")), 403);
    }
}
