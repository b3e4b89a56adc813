//! The routes for browsers: the page, compiled in, and the services, behind one check of host and
//! origin.

use super::site::{self, Site};
use crate::config::Console;
use crate::grpc::GatedServices;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post_service};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::time::Duration;
use tonic_web::GrpcWebLayer;
use tower_http::cors::CorsLayer;
use xxhash_rust::xxh3::xxh3_128;

/// Path, content type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/dist/app.js")),
    ("/app.css", "text/css; charset=utf-8", include_str!("page/dist/app.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// How long a browser may cache the answer to a preflight request.
const PREFLIGHT_SECONDS: u64 = 3600;

/// The routes for browsers: the page, and the services. Every request carries its
/// [`crate::grpc::Peer`].
pub fn router(settings: &Console, is_encrypted: bool, services: GatedServices) -> Router {
    let services = post_service(services).layer(GrpcWebLayer::new());
    let services = Router::new().route("/{service}/{method}", services).layer(cors(settings));
    let site = Site::new(is_encrypted, &settings.origins);
    add_files(services).layer(from_fn_with_state(site, site::check_site))
}

/// Lets pages of the configured origins call the services.
fn cors(settings: &Console) -> CorsLayer {
    let name = HeaderName::from_static;
    let origins = settings.origins.iter().map(|one| {
        HeaderValue::from_str(one).expect("the settings accept only origins of plain text")
    });
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            name("grpc-timeout"),
            name("x-grpc-web"),
            name("x-user-agent"),
        ])
        .expose_headers(["grpc-status", "grpc-message", "grpc-status-details-bin"].map(name))
        .max_age(Duration::from_secs(PREFLIGHT_SECONDS))
}

/// Adds the routes to the page. A browser revalidates it every time, so that the page is never of
/// another version than the server.
fn add_files(router: Router) -> Router {
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
    use lodewatch_core::domain::Country;
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
