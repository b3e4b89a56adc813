//! Who may have how much: open streams in all, of one identity and of one connection; batches under way; updates a second.
//!
//! Architecture invariant: a permit lives inside the stream or the call that it is for, and is given back when that ends,
//! however it ends.

use super::counts::{Counts, Place};
use super::peer::{Effort, Peer, StreamPlace, Whose};
use super::rates::Rates;
use super::status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;

/// The bounds, as configured.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Open streams in all.
    pub streams: usize,
    /// Open streams of one identity.
    pub streams_per_identity: usize,
    /// Open streams of batches in all, which are streams as well.
    pub publish_streams: usize,
    /// Bytes of batches of all calls that are not answered yet.
    pub publish_calls_bytes: u32,
    /// Updates that one identity may publish in a second; a second's worth may come at once.
    pub updates_per_second: u32,
}

/// What is taken at the moment.
pub struct Limits {
    bounds: Bounds,
    streams: Arc<Semaphore>,
    publish_streams: Arc<Semaphore>,
    /// A permit a byte.
    publish_calls: Arc<Semaphore>,
    identities: Arc<Counts<Whose>>,
    updates: Rates<Whose>,
}

/// A stream's place. Dropping it makes room for another; one that its client drops soon came to nothing.
pub(super) struct StreamPermit {
    _effort: Effort,
    _identity: Place<Whose>,
    _all: OwnedSemaphorePermit,
    _connection: StreamPlace,
}

/// The place of a stream of batches. Dropping it makes room for another.
pub(super) struct PublishStreamPermit {
    _stream: StreamPermit,
    _place: OwnedSemaphorePermit,
}

impl Limits {
    /// What a batch counts for at least, in bytes: about what a call takes besides its batch.
    const CALL_BYTES_MIN: u32 = 8192;

    /// Nothing is taken yet.
    pub fn new(bounds: Bounds) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            bounds,
            streams: semaphore(bounds.streams),
            publish_streams: semaphore(bounds.publish_streams),
            publish_calls: semaphore(to_usize(bounds.publish_calls_bytes)),
            identities: Arc::default(),
            updates: Rates::new(bounds.updates_per_second, Duration::from_secs(1)),
        }
    }

    /// A place for one more stream.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(super) fn stream(&self, peer: &Peer) -> Result<StreamPermit, Status> {
        let of = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_owned();
        let full = |limit: &str, whose: &str| {
            status::exhausted(limit, &format!("too many open streams {whose}"))
        };
        let connection = peer.stream();
        let connection = connection
            .ok_or_else(|| full("server.streams_per_connection_max", "on this connection"))?;
        let all = of(&self.streams).map_err(|_| full("server.streams_max", "in all"))?;
        let identity = self.identities.take(peer.whose(), self.bounds.streams_per_identity);
        let identity =
            identity.ok_or_else(|| full("server.streams_per_identity_max", "of this identity"))?;
        Ok(StreamPermit {
            _effort: peer.effort(),
            _identity: identity,
            _all: all,
            _connection: connection,
        })
    }

    /// A place for one more stream of batches.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(super) fn publish_stream(&self, peer: &Peer) -> Result<PublishStreamPermit, Status> {
        let place = Arc::clone(&self.publish_streams).try_acquire_owned();
        let limit = "server.publish_streams_max";
        let full = |_| status::exhausted(limit, "too many open streams of batches");
        Ok(PublishStreamPermit { _place: place.map_err(full)?, _stream: self.stream(peer)? })
    }

    /// Room for a call's batch of so many bytes, until it is answered. One that is larger than all the room takes all of it.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where others have taken it: nobody waits for room.
    pub(super) fn publish_call(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(Self::CALL_BYTES_MIN);
        let bytes = bytes.min(self.bounds.publish_calls_bytes);
        let room = Arc::clone(&self.publish_calls).try_acquire_many_owned(bytes);
        let limit = "server.publish_calls_bytes_max";
        room.map_err(|_| status::exhausted(limit, "too many batches are not answered yet"))
    }

    /// Takes so many updates from what the peer may publish at this moment.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which says when there is room again, where they are too many; nothing is taken then.
    pub(super) fn updates(&self, peer: &Peer, count: usize, now: Instant) -> Result<(), Status> {
        let taken = self.updates.take(peer.whose(), count, now);
        let limit = "server.updates_per_second_max";
        taken.map_err(|wait| status::throttled(limit, "too many updates of this identity", wait))
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::peer::Addresses;
    use super::*;
    use std::net::IpAddr;
    use tonic_types::StatusExt;

    const BOUNDS: Bounds = Bounds {
        streams: 4,
        streams_per_identity: 3,
        publish_streams: 1,
        publish_calls_bytes: 3 * Limits::CALL_BYTES_MIN,
        updates_per_second: 1000,
    };

    fn peer(last: u8) -> Peer {
        let addresses = Arc::new(Addresses::new(1, 1000));
        let arrival = addresses.arrive(IpAddr::from([192, 0, 2, last]), 2);
        arrival.unwrap().peer()
    }

    fn limit<T>(result: Result<T, Status>) -> String {
        let status = result.err().expect("a refusal");
        assert!(status.get_details_retry_info().is_some());
        status.get_details_quota_failure().unwrap().violations[0].subject.clone()
    }

    #[test]
    fn a_stream_too_many_is_refused_by_the_name_of_the_limit_until_another_ends() {
        let limits = Limits::new(BOUNDS);
        let (here, same, other, third) = (peer(1), peer(1), peer(2), peer(3));
        let first = limits.stream(&here).unwrap();
        let _second = limits.stream(&here).unwrap();
        assert_eq!(limit(limits.stream(&here)), "server.streams_per_connection_max");
        let _third = limits.stream(&same).unwrap();
        assert_eq!(limit(limits.stream(&same)), "server.streams_per_identity_max");
        let _fourth = limits.stream(&other).unwrap();
        assert_eq!(limit(limits.stream(&third)), "server.streams_max");
        drop(first);
        let again = limits.stream(&third).unwrap();
        assert_eq!(limit(limits.stream(&third)), "server.streams_max");
        drop(again);
        limits.stream(&here).unwrap();
    }

    #[test]
    fn a_stream_of_batches_too_many_is_refused_until_another_ends() {
        let limits = Limits::new(BOUNDS);
        let first = limits.publish_stream(&peer(1)).unwrap();
        assert_eq!(limit(limits.publish_stream(&peer(2))), "server.publish_streams_max");
        limits.stream(&peer(2)).unwrap();
        drop(first);
        limits.publish_stream(&peer(2)).unwrap();
    }

    #[test]
    fn a_call_for_which_there_is_no_room_is_refused_until_another_is_answered() {
        let limits = Limits::new(BOUNDS);
        let (small, two, all) = (1, 2 * to_usize(Limits::CALL_BYTES_MIN), usize::MAX);
        let first = limits.publish_call(two).unwrap();
        let second = limits.publish_call(small).unwrap();
        assert_eq!(limit(limits.publish_call(small)), "server.publish_calls_bytes_max");
        drop(first);
        let third = limits.publish_call(small).unwrap();
        assert_eq!(limit(limits.publish_call(all)), "server.publish_calls_bytes_max");
        drop((second, third));
        let alone = limits.publish_call(all).unwrap();
        assert_eq!(limit(limits.publish_call(small)), "server.publish_calls_bytes_max");
        drop(alone);
    }

    #[test]
    fn updates_beyond_the_rate_are_refused_and_say_how_long_to_wait() {
        let (limits, start) = (Limits::new(BOUNDS), Instant::now());
        limits.updates(&peer(1), 1000, start).unwrap();
        let status = limits.updates(&peer(1), 100, start).unwrap_err();
        let wait = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_millis(100)));
        assert_eq!(limit(Err::<(), _>(status)), "server.updates_per_second_max");
        limits.updates(&peer(2), 1000, start).unwrap();
    }
}
