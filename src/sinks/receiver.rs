//! Where to post to, and what the answers mean.

use super::Error;
use crate::fetch::{self, Bounds, Sender};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::request::Builder;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use lodewatch_client::Backoff;
use std::fmt;
use std::time::Duration;

/// How long one request may take, and how much of its answer is read.
const BOUNDS: Bounds = Bounds { bytes: 65_536, time: Duration::from_secs(10) };
/// Characters of an answer that are told.
const TOLD_MAX: usize = 300;

/// One receiver.
pub struct Receiver {
    url: Uri,
    authorization: Option<HeaderValue>,
    sender: Sender,
    /// Whether it did not take what was sent last: told when that changes, not at every try.
    is_lost: bool,
}

/// Shows where, not by which right.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.host())
    }
}

/// Why something was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may be taken later, not before this time has passed.
    Passing(Duration),
    /// It never will be as long as nobody does anything about it; in words.
    Refused(String),
}

impl Receiver {
    /// At `http://` or `https://`, with what is to stand in every request's `authorization` header.
    ///
    /// # Errors
    ///
    /// Where that is no URL or no header.
    pub fn new(url: &str, authorization: Option<&str>) -> Result<Self, Error> {
        let refused = |why| Error::Url { url: url.to_owned(), why };
        let parsed =
            url.parse::<Uri>().map_err(|_| refused("write http://HOST or https://HOST"))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) {
            return Err(refused("write http://HOST or https://HOST"));
        }
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused("name a file with --authorization-file instead of a password"));
        }
        let authorization =
            authorization.map(|line| fetch::authorization(line).ok_or(Error::Authorization));
        let authorization = authorization.transpose()?;
        let sender = Sender::new().map_err(Error::Authorities)?;
        Ok(Self { url: parsed, authorization, sender, is_lost: false })
    }

    /// Posts once, to a path below its own.
    pub(super) async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), Failure> {
        let mut request = self.request(path).header(CONTENT_TYPE, content_type);
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        let request = request.body(body).expect("a URL that was read can be posted to");
        let (failure, why) = match self.sender.send(request, BOUNDS).await {
            Ok(answer) if answer.status().is_success() => {
                if std::mem::replace(&mut self.is_lost, false) {
                    tracing::info!(receiver = self.host(), "the receiver takes alerts again");
                }
                return Ok(());
            }
            Ok(answer) => {
                let why = told(answer.status(), answer.body());
                if is_passing(answer.status()) {
                    (Failure::Passing(fetch::retry_after(answer.headers())), why)
                } else {
                    (Failure::Refused(format!("{} answered {why}", self.host())), why)
                }
            }
            Err(why) => (Failure::Passing(Duration::ZERO), why),
        };
        if !std::mem::replace(&mut self.is_lost, true) {
            tracing::warn!(receiver = self.host(), why, "the receiver does not take alerts");
        }
        Err(failure)
    }

    /// What may be told of it: path and query of a webhook are often secret.
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

/// Waits before the next try.
pub(super) async fn wait(backoff: &mut Backoff, least: Duration) {
    tokio::time::sleep(backoff.next_delay(least)).await;
}

/// Whether the same may be taken later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

fn told(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let line = body.trim().lines().next().unwrap_or_default();
    format!("{status} {}", line.chars().take(TOLD_MAX).collect::<String>()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_receiver_is_refused() {
        for bad in ["", "host", "host:9093", "ftp://host", "http://", "http://a:b@host"] {
            assert!(matches!(Receiver::new(bad, None), Err(Error::Url { .. })), "{bad}");
        }
        for bad in ["", " \n", "Bearer a\nb"] {
            let refused = Receiver::new("http://host", Some(bad));
            assert!(matches!(refused, Err(Error::Authorization)), "{bad:?}");
        }
        let receiver = Receiver::new("https://host/hook?a=b", Some("Bearer secret\n")).unwrap();
        assert_eq!(format!("{receiver:?}"), "Receiver(host)");
    }

    #[test]
    fn what_is_wrong_with_the_request_does_not_pass_by_itself() {
        let passing = [408, 425, 429, 500, 503];
        let refused = [301, 400, 401, 404, 410, 413, 422];
        let passes = |status: &u16| is_passing(StatusCode::from_u16(*status).unwrap());
        assert!(passing.iter().all(passes) && !refused.iter().any(passes));
    }
}
