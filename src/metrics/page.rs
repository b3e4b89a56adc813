//! The page that Prometheus reads.

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::prometheus_text;
use std::sync::Arc;

/// `/metrics` and nothing else: what `text` gives, which may look things up on the disk.
pub fn page(text: impl Fn() -> String + Send + Sync + 'static) -> Router {
    let text = Arc::new(text);
    let answer = async move || {
        let text = tokio::task::spawn_blocking(move || text()).await;
        ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text.expect("no metric panics"))
    };
    Router::new().route("/metrics", get(answer))
}
