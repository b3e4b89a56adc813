//! Which requests are for this server, and come from a page that may call it.
//!
//! Without authentication every client that reaches the address is the operator, and so is every
//! page in the browser of such a client. So requests from pages of other origins are rejected. And
//! without TLS, where no certificate verifies the host name, only names are accepted that an
//! attacker cannot point at this machine (DNS rebinding).

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

/// What our page may load and call: only this origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[derive(Debug, Clone)]
pub(super) struct Site {
    is_encrypted: bool,
    /// Other origins whose pages may call.
    origins: Arc<[String]>,
}

impl Site {
    pub(super) fn new(is_encrypted: bool, origins: &[String]) -> Self {
        Self { is_encrypted, origins: origins.into() }
    }

    /// Accepts or rejects a request by its host and origin.
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let host = uri.authority().cloned().or(host);
        let host = host.ok_or((StatusCode::BAD_REQUEST, "request rejected: it names no host\n"))?;
        if !self.is_encrypted && !is_local(host.host()) && !self.is_listed(&host) {
            let why = "request rejected: this host is not accepted without TLS; use an address or localhost, or add the host to console.origins\n";
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
            "request rejected: pages of this origin may not call; add it to console.origins\n",
        ))
    }

    /// Whether it is the host of a listed origin.
    fn is_listed(&self, host: &Authority) -> bool {
        let is = |one: &String| one.split_once("://").is_some_and(|(_, of)| of == host.as_str());
        self.origins.iter().any(is)
    }
}

/// Whether it is an address or `localhost`, which no attacker can point elsewhere.
fn is_local(host: &str) -> bool {
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || ipv6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// Rejects requests for other hosts and from other origins, and restricts what our page may do.
pub(super) async fn check_site(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = match site.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(rejection) => rejection.into_response(),
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
    fn a_name_that_an_attacker_can_point_here_is_rejected_without_tls() {
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
            assert_eq!(check(true, host, None), 200, "{host}: its certificate verifies it");
        }
        assert_eq!(check(false, "desk.example", None), 200);
        assert_eq!(check(false, "near.example:8080", None), 200);
        assert_eq!(check(false, "near.example", None), 421);
        assert_eq!(check(false, "", None), 400);
    }

    #[test]
    fn a_page_of_another_origin_is_rejected() {
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
