//! A small answer over HTTP, as a whole: bounded in bytes and in time.

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How much of an answer is read, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest answer, in bytes.
    pub bytes: usize,
    /// The longest that all of it may take.
    pub time: Duration,
}

/// What an address answers to `GET`, by connections of a kind: in the clear, or encrypted.
///
/// # Errors
///
/// In words: where it cannot be reached, answers with something else than success, with too much, or too late.
pub async fn get<C>(connector: C, from: Uri, bounds: Bounds) -> Result<Bytes, String>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    fn text(error: &dyn Error) -> String {
        error.to_string()
    }
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let fetch = async {
        let answer = client.get(from).await.map_err(|error| text(&error))?;
        if !answer.status().is_success() {
            return Err(answer.status().to_string());
        }
        let body = Limited::new(answer.into_body(), bounds.bytes).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| text(&*error))
    };
    timeout(bounds.time, fetch).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
