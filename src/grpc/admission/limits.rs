//! Limits on open streams (in all, of one identity, of one connection), batches under way, and
//! updates a second. A call over a limit is rejected at once, with the name of the setting.
//!
//! Architecture invariant: a permit lives inside the stream or the call that it is for, and is
//! given back when that ends, however it ends.

use super::open_counts::{OpenCounts, Permit, ShareRejected};
use super::peer::{ConnectionStreamPermit, LimitKey, Peer};
use super::rates::Rates;
use crate::grpc::status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;

/// The limits, as configured.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// Open streams in all.
    pub streams: usize,
    /// Open streams of one identity.
    pub streams_per_identity: usize,
    /// Open streams of batches in all, which count as streams too.
    pub publish_streams: usize,
    /// Open streams of batches of one identity.
    pub publish_streams_per_identity: usize,
    /// Bytes of batches of all unary calls that are not answered yet.
    pub publish_calls_bytes: u32,
    /// Bytes of unary requests that have not arrived whole, and of responses that are not received
    /// yet.
    pub transfer_bytes: usize,
    /// Updates of one identity; a burst of one second's worth is allowed.
    pub updates_per_second: u32,
}

/// What one stream of batches may have unanswered.
#[derive(Debug, Clone, Copy)]
pub struct PublishCredits {
    pub batches: usize,
    /// Bytes of batches. One batch is always allowed, however large.
    pub bytes: usize,
}

/// What is in use, and the limits on it.
pub struct Limits {
    settings: LimitSettings,
    streams: Arc<OpenCounts<LimitKey>>,
    publish_streams: Arc<OpenCounts<LimitKey>>,
    /// One place per byte.
    transfers: Arc<OpenCounts<LimitKey>>,
    /// One permit per byte.
    publish_calls: Arc<Semaphore>,
    updates: Rates<LimitKey>,
}

/// One open stream. Dropping it makes room for another.
pub(in crate::grpc) struct StreamPermit {
    _stream: Permit<LimitKey>,
    _connection: ConnectionStreamPermit,
}

/// Bytes of a request or a response under way. Dropping it makes room for others.
pub(in crate::grpc) struct TransferPermit {
    bytes: Permit<LimitKey>,
    all: usize,
}

/// One open stream of batches, besides its [`StreamPermit`]. Dropping it makes room for another.
pub(in crate::grpc) struct PublishStreamPermit {
    _stream: Permit<LimitKey>,
}

impl Limits {
    /// The least that a batch counts for, in bytes: about what a call takes besides its batch.
    const CALL_BYTES_MIN: u32 = 8192;

    pub fn new(settings: LimitSettings) -> Self {
        Self {
            settings,
            streams: Arc::default(),
            publish_streams: Arc::default(),
            transfers: Arc::default(),
            publish_calls: Arc::new(Semaphore::new(to_usize(settings.publish_calls_bytes))),
            updates: Rates::new(settings.updates_per_second, Duration::from_secs(1)),
        }
    }

    /// A permit for one more stream of the peer.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(in crate::grpc) fn acquire_stream(&self, peer: &Peer) -> Result<StreamPermit, Status> {
        let connection = peer.acquire_stream().ok_or_else(|| {
            let limit = "server.streams_per_connection_max";
            status::exhausted(limit, "too many open streams on this connection")
        })?;
        let LimitSettings { streams, streams_per_identity, .. } = self.settings;
        let stream = self.streams.acquire_share(peer.limit_key(), 1, streams_per_identity, streams);
        let stream = stream.map_err(|rejected| match rejected {
            ShareRejected::Holder => {
                let limit = "server.streams_per_identity_max";
                status::exhausted(limit, "too many open streams of this identity")
            }
            ShareRejected::All => {
                let cause = "too many open streams; the last are for identities with fewer";
                status::exhausted("server.streams_max", cause)
            }
        })?;
        Ok(StreamPermit { _stream: stream, _connection: connection })
    }

    /// A permit for one more stream of batches.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(in crate::grpc) fn acquire_publish_stream(
        &self,
        peer: &Peer,
    ) -> Result<PublishStreamPermit, Status> {
        let LimitSettings { publish_streams, publish_streams_per_identity, .. } = self.settings;
        let key = peer.limit_key();
        let share = self.publish_streams.acquire_share(
            key,
            1,
            publish_streams_per_identity,
            publish_streams,
        );
        share.map(|stream| PublishStreamPermit { _stream: stream }).map_err(|rejected| {
            match rejected {
                ShareRejected::Holder => {
                    let limit = "server.publish_streams_per_identity_max";
                    status::exhausted(limit, "too many open streams of batches of this identity")
                }
                ShareRejected::All => {
                    let cause =
                        "too many open streams of batches; the last are for identities with fewer";
                    status::exhausted("server.publish_streams_max", cause)
                }
            }
        })
    }

    /// A permit for so many bytes of a request or a response under way.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is no room for them.
    pub(in crate::grpc) fn acquire_transfer(
        &self,
        peer: &Peer,
        bytes: usize,
    ) -> Result<TransferPermit, Status> {
        let all = self.settings.transfer_bytes;
        let bytes = self.transfers.acquire_share(peer.limit_key(), bytes, all, all);
        bytes.map(|bytes| TransferPermit { bytes, all }).map_err(transfers_exhausted)
    }

    /// A permit for a unary call's batch of so many bytes, until it is answered. A batch that is
    /// larger than the whole limit takes all of it. Nothing waits for a permit.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where other calls hold too much.
    pub(in crate::grpc) fn acquire_publish_call(
        &self,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, Status> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(Self::CALL_BYTES_MIN);
        let bytes = bytes.min(self.settings.publish_calls_bytes);
        let permit = Arc::clone(&self.publish_calls).try_acquire_many_owned(bytes);
        let limit = "server.publish_calls_bytes_max";
        permit.map_err(|_| status::exhausted(limit, "too many batches are not answered yet"))
    }

    /// Counts `count` updates against the peer's rate.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which says how long to wait, where they are too many; none are counted
    /// then.
    pub(in crate::grpc) fn count_updates(
        &self,
        peer: &Peer,
        count: usize,
        now: Instant,
    ) -> Result<(), Status> {
        let limit = "server.updates_per_second_max";
        self.updates
            .try_take(peer.limit_key(), count, now)
            .map_err(|wait| status::throttled(limit, "too many updates of this identity", wait))
    }
}

impl TransferPermit {
    /// Adds so many bytes to the permit.
    ///
    /// # Errors
    ///
    /// As of [`Limits::acquire_transfer`].
    pub(in crate::grpc) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        self.bytes.grow(bytes, self.all, self.all).map_err(transfers_exhausted)
    }
}

fn transfers_exhausted(_: ShareRejected) -> Status {
    let cause = "too many bytes of requests and responses are under way";
    status::exhausted("server.transfer_bytes_max", cause)
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{AddressLimits, TrustedProxies};
    use super::*;
    use std::net::IpAddr;
    use tonic_types::StatusExt;

    const SETTINGS: LimitSettings = LimitSettings {
        streams: 5,
        streams_per_identity: 3,
        publish_streams: 3,
        publish_streams_per_identity: 2,
        transfer_bytes: 1000,
        publish_calls_bytes: 3 * Limits::CALL_BYTES_MIN,
        updates_per_second: 1000,
    };

    fn peer(last: u8) -> Peer {
        let limits = Arc::new(AddressLimits::new(1, 1000, TrustedProxies::default()));
        let connection = limits.admit(IpAddr::from([192, 0, 2, last]), 2);
        connection.unwrap().peer()
    }

    fn limit<T>(result: Result<T, Status>) -> String {
        let status = result.err().expect("a rejection");
        assert!(status.get_details_retry_info().is_some());
        status.get_details_quota_failure().unwrap().violations[0].subject.clone()
    }

    #[test]
    fn a_stream_over_a_limit_is_rejected_with_its_name_until_another_ends() {
        let limits = Limits::new(SETTINGS);
        let (here, same, other, third) = (peer(1), peer(1), peer(2), peer(3));
        let first = limits.acquire_stream(&here).unwrap();
        let _second = limits.acquire_stream(&here).unwrap();
        assert_eq!(limit(limits.acquire_stream(&here)), "server.streams_per_connection_max");
        let _third = limits.acquire_stream(&same).unwrap();
        assert_eq!(limit(limits.acquire_stream(&same)), "server.streams_per_identity_max");
        let _fourth = limits.acquire_stream(&other).unwrap();
        assert_eq!(limit(limits.acquire_stream(&other)), "server.streams_max");
        let last = limits.acquire_stream(&third).unwrap();
        assert_eq!(limit(limits.acquire_stream(&peer(4))), "server.streams_max");
        drop((first, last));
        limits.acquire_stream(&other).unwrap();
    }

    #[test]
    fn a_stream_of_batches_over_the_limit_is_rejected_until_another_ends() {
        let limits = Limits::new(SETTINGS);
        let first = limits.acquire_publish_stream(&peer(1)).unwrap();
        let _second = limits.acquire_publish_stream(&peer(1)).unwrap();
        let rejected = limits.acquire_publish_stream(&peer(1));
        assert_eq!(limit(rejected), "server.publish_streams_per_identity_max");
        let _third = limits.acquire_publish_stream(&peer(2)).unwrap();
        assert_eq!(limit(limits.acquire_publish_stream(&peer(3))), "server.publish_streams_max");
        limits.acquire_stream(&peer(3)).unwrap();
        drop(first);
        limits.acquire_publish_stream(&peer(3)).unwrap();
    }

    #[test]
    fn a_call_over_the_limit_of_bytes_is_rejected_until_another_is_answered() {
        let limits = Limits::new(SETTINGS);
        let (small, two, all) = (1, 2 * to_usize(Limits::CALL_BYTES_MIN), usize::MAX);
        let first = limits.acquire_publish_call(two).unwrap();
        let second = limits.acquire_publish_call(small).unwrap();
        assert_eq!(limit(limits.acquire_publish_call(small)), "server.publish_calls_bytes_max");
        drop(first);
        let third = limits.acquire_publish_call(small).unwrap();
        assert_eq!(limit(limits.acquire_publish_call(all)), "server.publish_calls_bytes_max");
        drop((second, third));
        let alone = limits.acquire_publish_call(all).unwrap();
        assert_eq!(limit(limits.acquire_publish_call(small)), "server.publish_calls_bytes_max");
        drop(alone);
    }

    #[test]
    fn updates_over_the_rate_are_rejected_with_the_time_to_wait() {
        let (limits, start) = (Limits::new(SETTINGS), Instant::now());
        limits.count_updates(&peer(1), 1000, start).unwrap();
        let status = limits.count_updates(&peer(1), 100, start).unwrap_err();
        let wait = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_millis(100)));
        assert_eq!(limit(Err::<(), _>(status)), "server.updates_per_second_max");
        limits.count_updates(&peer(2), 1000, start).unwrap();
    }
}
