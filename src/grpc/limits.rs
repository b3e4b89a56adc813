//! Who may have how much: open streams in all, of one identity and of one connection; updates a second.
//!
//! Architecture invariant: a permit lives inside the stream that it is for, and is given back when the stream ends, however it
//! ends.

use super::status;
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
    /// Updates that one identity may publish in a second; a second's worth may come at once.
    pub updates_per_second: u32,
}

/// Whoever is at the other end of a connection. Every request carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address it comes from, until clients prove who they are.
    identity: IpAddr,
    /// One permit for every stream of the connection.
    streams: Arc<Semaphore>,
}

impl Peer {
    /// A peer whose connection may have so many streams open.
    pub fn new(address: IpAddr, streams_max: usize) -> Self {
        Self { identity: address.to_canonical(), streams: Arc::new(Semaphore::new(streams_max)) }
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
    identities: Arc<Identities>,
    rate: Mutex<BTreeMap<IpAddr, Instant>>,
}

/// Open streams of every identity that has any.
#[derive(Default)]
struct Identities(Mutex<BTreeMap<IpAddr, usize>>);

/// A stream's place. Dropping it makes room for another.
pub(super) struct StreamPermit {
    identity: IpAddr,
    identities: Arc<Identities>,
    _all: OwnedSemaphorePermit,
    _connection: OwnedSemaphorePermit,
}

impl Limits {
    /// Rates of more identities than this are forgotten as soon as they no longer hold anyone back.
    const RATES_KEPT: usize = 1024;

    /// Nothing is taken yet.
    pub fn new(bounds: Bounds) -> Self {
        let streams = Arc::new(Semaphore::new(bounds.streams));
        Self { bounds, streams, identities: Arc::default(), rate: Mutex::default() }
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
        let count = open.entry(peer.identity).or_default();
        if *count >= self.bounds.streams_per_identity {
            return Err(full("server.streams_per_identity_max", "of this address"));
        }
        *count = count.saturating_add(1);
        Ok(StreamPermit {
            identity: peer.identity,
            identities: Arc::clone(&self.identities),
            _all: all,
            _connection: connection,
        })
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
        let free_at = rates.entry(peer.identity).or_insert(now);
        let taken = free_at.saturating_duration_since(now).saturating_add(cost);
        if taken > SECOND {
            let limit = "server.updates_per_second_max";
            let wait = taken.saturating_sub(SECOND);
            return Err(status::throttled(limit, "too many updates of this address", wait));
        }
        *free_at = now + taken;
        Ok(())
    }
}

impl Identities {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.identities.lock();
        let count = open.get_mut(&self.identity).expect("a permit is counted");
        *count = count.saturating_sub(1);
        if *count == 0 {
            open.remove(&self.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    const BOUNDS: Bounds = Bounds { streams: 4, streams_per_identity: 3, updates_per_second: 1000 };

    fn peer(last: u8) -> Peer {
        Peer::new(IpAddr::from([192, 0, 2, last]), 2)
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
            let peer = Peer::new(IpAddr::from(number.to_be_bytes()), 1);
            let now = start + Duration::from_millis(number.into());
            limits.updates(&peer, 1, now).unwrap();
        }
        assert!(limits.rate.lock().unwrap().len() <= Limits::RATES_KEPT + 1);
    }
}
