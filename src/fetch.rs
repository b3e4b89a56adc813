//! Small HTTP requests, whole answers, limited in bytes and in time.
//!
//! [`get`] fetches an address once, a [`Poller`] fetches what has changed, an [`HttpSender`] posts
//! again and again over connections that it keeps.

mod poller;

pub use poller::{FetchError, Poller, Validators};

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

/// The longest delay that a server may ask for; a longer one is shortened to this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// The user agent: some servers reject requests without one.
pub const AGENT: &str = concat!("lodewatch/", env!("CARGO_PKG_VERSION"));

/// The limits of an answer.
#[derive(Debug, Clone, Copy)]
pub struct AnswerLimits {
    pub bytes_max: usize,
    /// For the request and the whole answer.
    pub timeout: Duration,
}

/// A connector of `http` and `https` addresses that trusts the certificate authorities of the
/// system.
///
/// # Errors
///
/// Where the authorities cannot be read.
pub fn connector() -> Result<HttpsConnector<HttpConnector>, std::io::Error> {
    let connector = HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(connector.https_or_http().enable_http1().build())
}

/// Fetches an address.
///
/// # Errors
///
/// Why the request failed: the address cannot be reached, or answers with an error, too much or too
/// late.
pub async fn get<C>(connector: C, from: Uri, limits: AnswerLimits) -> Result<Bytes, String>
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
        let body = Limited::new(answer.into_body(), limits.bytes_max).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| text(&*error))
    };
    timeout(limits.timeout, fetch).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// Parses the one line of a file as the value of an `authorization` header.
pub fn parse_authorization(file: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(file.trim()).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// The delay that an answer asks for, in seconds, as nearly every server writes it; at most five
/// minutes.
pub fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(RETRY_AFTER_MAX)
}

/// Sends requests over connections that it keeps. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct HttpSender(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpSender {
    /// Trusts the certificate authorities of the system.
    ///
    /// # Errors
    ///
    /// Where the authorities cannot be read.
    pub fn new() -> Result<Self, std::io::Error> {
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector()?)))
    }

    /// Sends a request and returns the answer of any status. Redirects are not followed. The
    /// body of an answer of too many bytes is dropped.
    ///
    /// # Errors
    ///
    /// Why there is no answer. Whether the request arrived is unknown then.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limits: AnswerLimits,
    ) -> Result<Response<Bytes>, String> {
        let exchange = async {
            let answer = self.0.request(request.map(Full::new)).await;
            let (head, body) = answer.map_err(|error| with_causes(&error))?.into_parts();
            let body = Limited::new(body, limits.bytes_max).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok(Response::from_parts(head, body))
        };
        timeout(limits.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

/// An error with its causes: the text of the outermost one does not say why.
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
    fn the_delay_that_a_server_asks_for_is_limited() {
        let delay = |value: &str| {
            let value = value.parse().unwrap();
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)])).as_secs()
        };
        assert_eq!((delay("7"), delay("86400"), delay("tomorrow")), (7, 300, 0));
    }
}
