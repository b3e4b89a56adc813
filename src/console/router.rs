//! The page and the services, behind one check of host and origin.

use super::files;
use super::site::{self, Site};
use crate::config::Console;
use crate::grpc::GatedServices;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post_service;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use std::time::Duration;
use tonic_web::GrpcWebLayer;
use tower_http::cors::CorsLayer;

/// How long a browser may cache the answer to a preflight request.
const PREFLIGHT_SECONDS: u64 = 3600;

/// The routes for browsers: the page, and the services. Every request carries its
/// [`crate::grpc::Peer`].
pub fn router(settings: &Console, is_encrypted: bool, services: GatedServices) -> Router {
    let services = post_service(services).layer(GrpcWebLayer::new());
    let services = Router::new().route("/{service}/{method}", services).layer(cors(settings));
    let site = Site::new(is_encrypted, &settings.origins);
    files::add_files(services).layer(from_fn_with_state(site, site::check_site))
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
