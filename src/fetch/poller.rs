//! Fetches an address if it has changed since the last request.

use super::{AGENT, AnswerLimits, connector, retry_after, with_causes};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
    USER_AGENT,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;
use tower_http::follow_redirect::FollowRedirect;
use tower_http::follow_redirect::policy::{
    Action, And, Attempt, FilterCredentials, Policy, PolicyExt,
};
use tower_service::Service;

/// Redirects that one request follows.
const REDIRECTS_MAX: usize = 5;

/// How a server names the version of its answer, for the next request. Persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `etag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `last-modified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()));
        Self { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
    }
}

/// An address could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchError {
    pub why: String,
    /// The delay that the server asks for before the next attempt.
    pub retry_after: Duration,
}

/// Fetches an address again and again, and follows redirects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Poller(FollowRedirect<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, Redirects>);

/// An authorization is not sent to another host.
type Redirects = And<FilterCredentials, RedirectLimits>;

impl Poller {
    /// Trusts the certificate authorities of the system.
    ///
    /// # Errors
    ///
    /// Where the authorities cannot be read.
    pub fn new() -> Result<Self, std::io::Error> {
        let limits = RedirectLimits { left: REDIRECTS_MAX };
        let redirects = FilterCredentials::new().and::<_, Empty<Bytes>, ()>(limits);
        // No connection stays open between two requests.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector()?);
        Ok(Self(FollowRedirect::with_policy(client, redirects)))
    }

    /// Fetches the whole answer with its version; `None` where the version is still `known`. The
    /// `authorization` is sent to this host only, wherever it redirects to.
    ///
    /// # Errors
    ///
    /// The address cannot be reached, or answers with an error, too much, too little or too late.
    pub async fn get(
        &self,
        from: &Uri,
        known: &Validators,
        authorization: Option<HeaderValue>,
        limits: AnswerLimits,
    ) -> Result<Option<(Bytes, Validators)>, FetchError> {
        let failure = |why| FetchError { why, retry_after: Duration::ZERO };
        let fetch = async {
            let answer = self.0.clone().call(conditional_request(from, known, authorization)).await;
            let answer = answer.map_err(|error| failure(with_causes(&error)))?;
            if answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            if !answer.status().is_success() {
                let retry_after = retry_after(answer.headers());
                return Err(FetchError { why: explain(&answer), retry_after });
            }
            let validators = Validators::of(answer.headers());
            let too_much =
                || failure(format!("more than {} bytes, which is the limit", limits.bytes_max));
            // The size that the server announces.
            let announced = answer.body().size_hint().lower();
            if usize::try_from(announced).is_ok_and(|bytes| bytes > limits.bytes_max) {
                return Err(too_much());
            }
            let body = Limited::new(answer.into_body(), limits.bytes_max).collect().await;
            let body = body.map_err(|error| {
                let is_too_much = error.is::<LengthLimitError>();
                if is_too_much { too_much() } else { failure(with_causes(&*error)) }
            });
            Ok(Some((body?.to_bytes(), validators)))
        };
        let late = || failure(format!("no complete answer within {} s", limits.timeout.as_secs()));
        timeout(limits.timeout, fetch).await.unwrap_or_else(|_| Err(late()))
    }
}

fn conditional_request(
    from: &Uri,
    known: &Validators,
    authorization: Option<HeaderValue>,
) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    request.uri_mut().clone_from(from);
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
    let mut unless = |name: HeaderName, text: &Option<String>| {
        let value = text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        headers.extend(value.map(|value| (name, value)));
    };
    unless(IF_NONE_MATCH, &known.etag);
    unless(IF_MODIFIED_SINCE, &known.last_modified);
    request
}

/// `503 Service Unavailable`; of a redirect that was not followed also the target, without its
/// query, which may hold a secret.
fn explain<B>(answer: &Response<B>) -> String {
    let location =
        answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()?.split('?').next());
    match location.filter(|_| answer.status().is_redirection()) {
        Some(to) => format!("{}, a redirect to {to} that is not followed", answer.status()),
        None => answer.status().to_string(),
    }
}

/// Follows a few redirects, and none from `https` to `http`.
#[derive(Debug, Clone)]
struct RedirectLimits {
    left: usize,
}

impl<B, E> Policy<B, E> for RedirectLimits {
    fn redirect(&mut self, attempt: &Attempt<'_>) -> Result<Action, E> {
        let follows = self.may_follow(attempt.previous(), attempt.location());
        Ok(if follows { Action::Follow } else { Action::Stop })
    }
}

impl RedirectLimits {
    fn may_follow(&mut self, from: &Uri, to: &Uri) -> bool {
        let is_encrypted = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTPS);
        let is_downgrade = is_encrypted(from) && !is_encrypted(to);
        let left = self.left.checked_sub(1).filter(|_| !is_downgrade);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_authorization;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const LIMITS: AnswerLimits = AnswerLimits { bytes_max: 10, timeout: Duration::from_mins(1) };

    /// A server that answers each connection with the next of these; returns its address and the
    /// requests.
    async fn server(answers: &'static [&str]) -> (Uri, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}/a/b", listener.local_addr().unwrap()).parse().unwrap();
        let asked = async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                asked.push(String::from_utf8(request).unwrap().to_lowercase());
                let _ = stream.write_all(answer.replace('\n', "\r\n").as_bytes()).await;
            }
            asked
        };
        (at, tokio::spawn(asked))
    }

    async fn get(
        from: &Uri,
        known: &Validators,
    ) -> Result<Option<(Bytes, Validators)>, FetchError> {
        let secret = parse_authorization("Bearer secret\n");
        Poller::new().unwrap().get(from, known, secret, LIMITS).await
    }

    #[tokio::test]
    async fn an_unchanged_answer_is_not_sent_again() {
        let answers = &[
            "HTTP/1.1 200 OK\netag: W/\"1\"\nlast-modified: Sat, 28 Nov 2026 07:00:00 GMT\ncontent-length: 3\n\nabc",
            "HTTP/1.1 304 Not Modified\n\n",
        ];
        let (at, asked) = server(answers).await;
        let (bytes, validators) = get(&at, &Validators::default()).await.unwrap().unwrap();
        assert_eq!(bytes, "abc");
        assert_eq!(get(&at, &validators).await, Ok(None));
        let asked = asked.await.unwrap();
        let is_conditional = asked.iter().map(|request| {
            request.contains("if-none-match: w/\"1\"\r\n")
                && request.contains("if-modified-since: sat, 28 nov 2026 07:00:00 gmt\r\n")
        });
        assert_eq!(is_conditional.collect::<Vec<_>>(), [false, true]);
        assert!(asked[0].contains("user-agent: lodewatch/"), "{asked:?}");
    }

    #[tokio::test]
    async fn redirects_are_followed_with_all_headers_and_up_to_a_limit() {
        const ON: &str = "HTTP/1.1 302 Found\nlocation: ../c\ncontent-length: 0\n\n";
        let known = Validators { etag: Some("\"1\"".to_owned()), last_modified: None };
        let (at, asked) = server(&[ON, "HTTP/1.1 200 OK\ncontent-length: 1\n\nx"]).await;
        assert_eq!(get(&at, &known).await.unwrap().unwrap().0, "x");
        let asked = asked.await.unwrap();
        assert!(asked[1].starts_with("get /c "), "{asked:?}");
        assert!(asked[1].contains("if-none-match: \"1\""), "{asked:?}");
        assert!(asked[1].contains("authorization: bearer secret"), "{asked:?}");
        let (at, asked) = server(&[ON; 1 + REDIRECTS_MAX]).await;
        let failure = get(&at, &known).await.unwrap_err();
        assert_eq!(failure.why, "302 Found, a redirect to ../c that is not followed");
        assert_eq!(asked.await.unwrap().len(), 1 + REDIRECTS_MAX);
    }

    #[tokio::test]
    async fn an_authorization_is_sent_to_no_other_host() {
        let (elsewhere, asked_elsewhere) =
            server(&["HTTP/1.1 200 OK\ncontent-length: 1\n\nx"]).await;
        let on = format!("HTTP/1.1 307 On\nlocation: {elsewhere}\ncontent-length: 0\n\n");
        let (at, asked) = server(Box::leak(Box::new([&*on.leak()]))).await;
        assert_eq!(get(&at, &Validators::default()).await.unwrap().unwrap().0, "x");
        assert!(asked.await.unwrap()[0].contains("authorization: bearer secret"));
        assert!(!asked_elsewhere.await.unwrap()[0].contains("authorization"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_too_large_truncated_late_or_an_error_is_not_accepted() {
        for (answer, why, seconds) in [
            ("HTTP/1.1 200 OK\ncontent-length: 11\n\n0123456789a", "more than 10 bytes", 0),
            ("HTTP/1.1 200 OK\ncontent-length: 9\n\n0123", "body", 0),
            ("HTTP/1.1 503 Busy\nretry-after: 7\ncontent-length: 0\n\n", "503 Service", 7),
            ("HTTP/1.1 404 Not Found\ncontent-length: 0\n\n", "404 Not Found", 0),
        ] {
            let answers: &[&str] = Box::leak(Box::new([answer]));
            let (at, _asked) = server(answers).await;
            let failure = get(&at, &Validators::default()).await.unwrap_err();
            assert!(failure.why.contains(why), "{failure:?}");
            assert_eq!(failure.retry_after.as_secs(), seconds);
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
        let failure = get(&at, &Validators::default()).await.unwrap_err();
        assert_eq!(failure.why, "no complete answer within 60 s");
    }

    #[test]
    fn no_redirect_leads_from_https_to_http() {
        let mut limits = RedirectLimits { left: 9 };
        let mut follows = |from: &str, to: &str| {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            limits.may_follow(&from, &to)
        };
        assert!(follows("http://a", "http://b") && follows("http://a", "https://b"));
        assert!(follows("https://a", "https://b") && !follows("https://a", "http://a"));
    }
}
