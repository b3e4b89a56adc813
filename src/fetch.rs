//! A small answer over HTTP, as a whole: bounded in bytes and in time.
//!
//! [`get`] fetches what somebody has, a [`Poller`] what has changed since it was there last; a [`Sender`] posts to somebody again
//! and again, over connections that it keeps.

mod poller;

pub use poller::{Failure, Poller, Validators};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// The longest that somebody may ask to wait; what is longer is taken for this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// Who asks: some servers refuse whoever does not say.
pub const AGENT: &str = concat!("lodewatch/", env!("CARGO_PKG_VERSION"));

/// How much of an answer is read, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest answer, in bytes.
    pub bytes: usize,
    /// The longest that all of it may take.
    pub time: Duration,
}

/// Makes connections, encrypted where an address begins with `https`; trusts the system's authorities.
///
/// # Errors
///
/// Where they cannot be read.
pub fn connector() -> Result<HttpsConnector<HttpConnector>, std::io::Error> {
    let connector = HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(connector.https_or_http().enable_http1().build())
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

/// The one line of a file, as the value of an `authorization` header; `None` where it cannot be one.
pub fn authorization(file: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(file.trim()).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// How long an answer asks to wait, in seconds as nearly everybody writes it; at most five minutes.
pub fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(RETRY_AFTER_MAX)
}

/// Connections over which requests are sent, encrypted where an address begins with `https`. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Sender(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Sender {
    /// Trusts the system's authorities.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn new() -> Result<Self, std::io::Error> {
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector()?)))
    }

    /// What is answered to a request, whatever its status; redirects are not followed. An answer of too many bytes is taken
    /// without them.
    ///
    /// # Errors
    ///
    /// In words: where nobody can be reached, or nobody answers in time. Whether the request was heard is then not known.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        bounds: Bounds,
    ) -> Result<Response<Bytes>, String> {
        let exchange = async {
            let answer = self.0.request(request.map(Full::new)).await;
            let (head, body) = answer.map_err(|error| with_causes(&error))?.into_parts();
            let body = Limited::new(body, bounds.bytes).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok(Response::from_parts(head, body))
        };
        timeout(bounds.time, exchange).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

/// The library's own words do not say why.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_may_ask_to_wait_within_bounds() {
        let asks = |value: &str| {
            let value = value.parse().unwrap();
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)])).as_secs()
        };
        assert_eq!((asks("7"), asks("86400"), asks("tomorrow")), (7, 300, 0));
    }
}
