//! The page, compiled in.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use xxhash_rust::xxh3::xxh3_128;

/// Path, content type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/dist/app.js")),
    ("/app.css", "text/css; charset=utf-8", include_str!("page/dist/app.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Adds the routes to the page. A browser revalidates it every time, so that the page is never of
/// another version than the server.
pub(super) fn add_files(router: Router) -> Router {
    FILES.into_iter().fold(router, |router, (path, kind, text)| {
        let tag = format!("\"{:032x}\"", xxh3_128(text.as_bytes()));
        let tag = HeaderValue::from_str(&tag).expect("digits in quotes are a header");
        let kind = HeaderValue::from_static(kind);
        let handler =
            move |headers: HeaderMap| std::future::ready(respond(&headers, tag, kind, text));
        router.route(path, get(handler))
    })
}

fn respond(
    request: &HeaderMap,
    tag: HeaderValue,
    kind: HeaderValue,
    text: &'static str,
) -> Response {
    let is_cached = request.get(IF_NONE_MATCH) == Some(&tag);
    let headers =
        [(ETAG, tag), (CACHE_CONTROL, HeaderValue::from_static("no-cache")), (CONTENT_TYPE, kind)];
    if is_cached {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use crate::domain::Country;
    use std::collections::BTreeMap;

    #[test]
    fn the_page_names_countries_as_the_server_does() {
        let page: BTreeMap<&str, &str> =
            serde_json::from_str(include_str!("page/src/countries.json")).unwrap();
        let codes = rust_iso3166::ALL.iter().map(|one| one.alpha3);
        let all = codes.map(|code| (code, Country::from_alpha3(code).unwrap().name()));
        assert_eq!(page, all.collect());
    }
}
