//! When a caller wants a stream to be over: tonic looks at a call's timeout only until its headers are sent.

use super::parse::{self, Violations};
use tokio::time::{Instant, sleep_until};
use tonic::metadata::MetadataMap;

/// The end that a caller gave its call, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// As sent, counted from now.
    ///
    /// # Errors
    ///
    /// Where it is none of gRPC's timeouts.
    pub(super) fn of(metadata: &MetadataMap) -> Result<Self, Violations> {
        let timeout = parse::timeout(metadata)?;
        Ok(Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout))))
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
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "1m".parse().unwrap());
        tokio::select! {
            () = Deadline::of(&MetadataMap::new()).unwrap().passed() => panic!("there is no such deadline"),
            () = Deadline::of(&metadata).unwrap().passed() => {}
        }
    }
}
