//! When a caller wants a call to be over: a stream too, for as long as it lasts.

use super::parse::{self, Violations};
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Extensions;

/// The end that a caller gave its call, if it did. Every request carries it in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// As sent, counted from now.
    ///
    /// # Errors
    ///
    /// Where it is none of gRPC's timeouts.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Violations> {
        let timeout = parse::timeout(headers)?;
        Ok(Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout))))
    }

    /// At this instant.
    #[cfg(test)]
    pub(super) fn new(at: Option<Instant>) -> Self {
        Self(at)
    }

    /// That of a request.
    pub(super) fn of(extensions: &Extensions) -> Self {
        *extensions.get().expect("every call is given its deadline")
    }

    /// The instant, where there is one.
    pub(super) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Waits until it has passed; for ever where there is none.
    pub(super) async fn passed(self) {
        match self.0 {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_passes_and_none_never_does() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "1m".parse().unwrap());
        tokio::select! {
            () = Deadline::parse(&HeaderMap::new()).unwrap().passed() => panic!("there is no such deadline"),
            () = Deadline::parse(&headers).unwrap().passed() => {}
        }
    }
}
