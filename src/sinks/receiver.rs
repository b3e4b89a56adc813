//! A receiver of posts, and what its answers mean.

use super::Error;
use crate::fetch::{self, AnswerLimits, HttpSender};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Builder;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use lodewatch_client::Backoff;
use std::fmt;
use std::time::Duration;

/// The limits of one request and its answer.
const LIMITS: AnswerLimits = AnswerLimits { bytes_max: 65_536, timeout: Duration::from_secs(10) };
/// Characters of an answer that are logged.
const ANSWER_CHARS_MAX: usize = 300;

/// An address that accepts posts.
pub struct Receiver {
    url: Uri,
    authorization: Option<HeaderValue>,
    sender: HttpSender,
    /// Whether the last request failed. Changes are logged, not every attempt.
    is_failing: bool,
}

/// Shows the host without the path and the authorization, which are often secret.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.host())
    }
}

/// Why a request was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PostError {
    /// Temporarily; retry it after at least this time.
    Unavailable(Duration),
    /// Until a person changes something, for this reason.
    Rejected(String),
}

impl Receiver {
    /// A receiver at `http://` or `https://`, with the value of every request's `authorization`
    /// header.
    ///
    /// # Errors
    ///
    /// Where the URL or the header is invalid.
    pub fn new(url: &str, authorization: Option<&str>) -> Result<Self, Error> {
        let invalid = |advice| Error::Url { url: url.to_owned(), advice };
        let parsed =
            url.parse::<Uri>().map_err(|_| invalid("write http://HOST or https://HOST"))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) {
            return Err(invalid("write http://HOST or https://HOST"));
        }
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid("name a file with --authorization-file instead of a password"));
        }
        let authorization =
            authorization.map(|line| fetch::parse_authorization(line).ok_or(Error::Authorization));
        let authorization = authorization.transpose()?;
        let sender = HttpSender::new().map_err(Error::Authorities)?;
        Ok(Self { url: parsed, authorization, sender, is_failing: false })
    }

    /// Posts once, to a path below the receiver's own.
    pub(super) async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), PostError> {
        let mut request = self.request(path).header(CONTENT_TYPE, content_type);
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        let request = request.body(body).expect("a URL that was read can be posted to");
        let (error, why) = match self.sender.send(request, LIMITS).await {
            Ok(answer) if answer.status().is_success() => {
                if std::mem::replace(&mut self.is_failing, false) {
                    tracing::info!(receiver = self.host(), "receiver available again");
                }
                return Ok(());
            }
            Ok(answer) => {
                let why = shown(answer.status(), answer.body());
                if is_temporary(answer.status()) {
                    (PostError::Unavailable(fetch::retry_after(answer.headers())), why)
                } else {
                    (PostError::Rejected(format!("{} answered {why}", self.host())), why)
                }
            }
            Err(why) => (PostError::Unavailable(Duration::ZERO), why),
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(receiver = self.host(), why, "receiver unavailable");
        }
        Err(error)
    }

    /// The part of the URL that may be logged: path and query of a webhook are often secret.
    fn host(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    fn request(&self, path: &str) -> Builder {
        let base = self.url.to_string();
        let url =
            if path.is_empty() { base } else { format!("{}{path}", base.trim_end_matches('/')) };
        let request = Request::post(url).header(USER_AGENT, fetch::AGENT);
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }
}

/// Waits before the next attempt.
pub(super) async fn wait(backoff: &mut Backoff, at_least: Duration) {
    tokio::time::sleep(backoff.next_delay(at_least)).await;
}

/// Whether the same request may be accepted later.
fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

fn shown(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let line = body.trim().lines().next().unwrap_or_default();
    format!("{status} {}", line.chars().take(ANSWER_CHARS_MAX).collect::<String>())
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_receiver_is_rejected() {
        for bad in ["", "host", "host:9093", "ftp://host", "http://", "http://a:b@host"] {
            assert!(matches!(Receiver::new(bad, None), Err(Error::Url { .. })), "{bad}");
        }
        for bad in ["", " \n", "Bearer a\nb"] {
            let rejected = Receiver::new("http://host", Some(bad));
            assert!(matches!(rejected, Err(Error::Authorization)), "{bad:?}");
        }
        let receiver = Receiver::new("https://host/hook?a=b", Some("Bearer secret\n")).unwrap();
        assert_eq!(format!("{receiver:?}"), "Receiver(host)");
    }

    #[test]
    fn an_error_of_the_request_is_not_temporary() {
        let temporary = [408, 425, 429, 500, 503];
        let permanent = [301, 400, 401, 404, 410, 413, 422];
        let is_temporary_code = |status: &u16| is_temporary(StatusCode::from_u16(*status).unwrap());
        assert!(
            temporary.iter().all(is_temporary_code) && !permanent.iter().any(is_temporary_code)
        );
    }
}
