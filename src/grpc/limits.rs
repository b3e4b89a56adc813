//! Who may have how much: open streams in all, of one identity and of one connection; batches under way; updates a second.
//!
//! Architecture invariant: a permit lives inside the stream or the call that it is for, and is given back when that ends,
//! however it ends.

use super::status;
use crate::access::Identity;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::{Extensions, Status};

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

/// Whoever is at the other end of a connection. Every request carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address it comes from.
    pub(super) address: IpAddr,
    /// The names in the certificate that the connection was proved with; empty without one.
    pub(super) certificate: Arc<[String]>,
    /// Who makes the call; `None` before that is known, and for calls that anyone may make.
    pub(super) identity: Option<Arc<Identity>>,
    /// One permit for every stream of the connection.
    streams: Arc<Semaphore>,
}

/// Whom limits count for: who it is, where that was proved, or else the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Identity(Arc<str>),
    Address(IpAddr),
}

impl Peer {
    /// A peer whose connection may have so many streams open.
    pub fn new(address: IpAddr, certificate: Arc<[String]>, streams_max: usize) -> Self {
        let (address, streams) = (address.to_canonical(), Arc::new(Semaphore::new(streams_max)));
        Self { address, certificate, identity: None, streams }
    }

    /// Who publishes.
    pub(super) fn publisher(&self) -> &Identity {
        self.identity.as_deref().expect("the gate lets only those publish whom it knows")
    }

    fn whose(&self) -> Whose {
        match &self.identity {
            Some(identity) if identity.proved => Whose::Identity(Arc::clone(&identity.name)),
            Some(_) | None => Whose::Address(self.address),
        }
    }

    /// The peer that sent a request.
    pub(super) fn of(extensions: &Extensions) -> &Self {
        extensions.get().expect("the server's connections say who is there")
    }
}

/// What is taken at the moment.
pub struct Limits {
    bounds: Bounds,
    streams: Arc<Semaphore>,
    publish_streams: Arc<Semaphore>,
    /// A permit a byte.
    publish_calls: Arc<Semaphore>,
    identities: Arc<Identities>,
    rate: Mutex<BTreeMap<Whose, Instant>>,
}

/// Open streams of every identity that has any.
#[derive(Default)]
struct Identities(Mutex<BTreeMap<Whose, usize>>);

/// A stream's place. Dropping it makes room for another.
pub(super) struct StreamPermit {
    whose: Whose,
    identities: Arc<Identities>,
    _all: OwnedSemaphorePermit,
    _connection: OwnedSemaphorePermit,
}

/// The place of a stream of batches. Dropping it makes room for another.
pub(super) struct PublishStreamPermit {
    _stream: StreamPermit,
    _place: OwnedSemaphorePermit,
}

impl Limits {
    /// What a batch counts for at least, in bytes: about what a call takes besides its batch.
    const CALL_BYTES_MIN: u32 = 8192;

    /// Rates of more identities than this are forgotten as soon as they no longer hold anyone back.
    const RATES_KEPT: usize = 1024;

    /// Nothing is taken yet.
    pub fn new(bounds: Bounds) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            bounds,
            streams: semaphore(bounds.streams),
            publish_streams: semaphore(bounds.publish_streams),
            publish_calls: semaphore(to_usize(bounds.publish_calls_bytes)),
            identities: Arc::default(),
            rate: Mutex::default(),
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
        let connection = of(&peer.streams)
            .map_err(|_| full("server.streams_per_connection_max", "on this connection"))?;
        let all = of(&self.streams).map_err(|_| full("server.streams_max", "in all"))?;
        let mut open = self.identities.lock();
        let whose = peer.whose();
        let count = open.entry(whose.clone()).or_default();
        if *count >= self.bounds.streams_per_identity {
            return Err(full("server.streams_per_identity_max", "of this identity"));
        }
        *count = count.saturating_add(1);
        Ok(StreamPermit {
            whose,
            identities: Arc::clone(&self.identities),
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
        const SECOND: Duration = Duration::from_secs(1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let cost = SECOND.saturating_mul(count) / self.bounds.updates_per_second;
        let mut rates = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() > Self::RATES_KEPT {
            rates.retain(|_, free_at| *free_at > now);
        }
        // When all that was taken so far will have been earned.
        let free_at = rates.entry(peer.whose()).or_insert(now);
        let taken = free_at.saturating_duration_since(now).saturating_add(cost);
        if taken > SECOND {
            let limit = "server.updates_per_second_max";
            let wait = taken.saturating_sub(SECOND);
            return Err(status::throttled(limit, "too many updates of this identity", wait));
        }
        *free_at = now + taken;
        Ok(())
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Identities {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Whose, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.identities.lock();
        let count = open.get_mut(&self.whose).expect("a permit is counted");
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    const BOUNDS: Bounds = Bounds {
        streams: 4,
        streams_per_identity: 3,
        publish_streams: 1,
        publish_calls_bytes: 3 * Limits::CALL_BYTES_MIN,
        updates_per_second: 1000,
    };

    fn peer(last: u8) -> Peer {
        Peer::new(IpAddr::from([192, 0, 2, last]), Arc::default(), 2)
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
    fn updates_beyond_the_rate_are_refused_until_time_has_earned_them() {
        let (limits, start) = (Limits::new(BOUNDS), Instant::now());
        let after = |ms: u64| start + Duration::from_millis(ms);
        limits.updates(&peer(1), 600, start).unwrap();
        limits.updates(&peer(1), 400, start).unwrap();
        let status = limits.updates(&peer(1), 100, start).unwrap_err();
        let wait = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_millis(100)));
        assert_eq!(limit(Err::<(), _>(status)), "server.updates_per_second_max");
        limits.updates(&peer(2), 1000, start).unwrap();
        limits.updates(&peer(1), 100, after(100)).unwrap();
        limits.updates(&peer(1), 1, after(100)).unwrap_err();
        limits.updates(&peer(1), 1000, after(1100)).unwrap();
    }

    #[test]
    fn identities_that_have_gone_are_forgotten() {
        let (limits, start) = (Limits::new(BOUNDS), Instant::now());
        drop(limits.stream(&peer(1)).unwrap());
        assert!(limits.identities.lock().is_empty());
        for number in 0..5000_u32 {
            let peer = Peer::new(IpAddr::from(number.to_be_bytes()), Arc::default(), 1);
            let now = start + Duration::from_millis(number.into());
            limits.updates(&peer, 1, now).unwrap();
        }
        assert!(limits.rate.lock().unwrap().len() <= Limits::RATES_KEPT + 1);
    }
}
