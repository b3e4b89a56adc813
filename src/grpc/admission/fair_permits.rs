//! Permits that identities share: one identity holds at most half of them, rounded up.

use super::open_counts::{OpenCounts, Permit};
use super::peer::{LimitKey, Peer};
use crate::grpc::status;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// A number of permits, of which one identity holds at most half, rounded up: no identity alone
/// keeps the others out, unless there is only one permit.
pub struct FairPermits {
    all: Arc<Semaphore>,
    identities: Arc<OpenCounts<LimitKey>>,
    per_identity_max: usize,
    /// The setting that holds their number.
    limit: &'static str,
    /// What they are for, as in `too many … at once`.
    what: &'static str,
}

/// One permit. Dropping it makes room for another call.
pub(in crate::grpc) struct FairPermit {
    _identity: Permit<LimitKey>,
    _all: OwnedSemaphorePermit,
}

impl FairPermits {
    pub fn new(max: usize, limit: &'static str, what: &'static str) -> Self {
        let per_identity_max = max.div_ceil(2);
        let all = Arc::new(Semaphore::new(max));
        Self { all, identities: Arc::default(), per_identity_max, limit, what }
    }

    /// A permit for the peer. Nothing waits for one.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(in crate::grpc) fn acquire(&self, peer: &Peer) -> Result<FairPermit, Status> {
        let full = |whose: &str| {
            status::exhausted(self.limit, &format!("too many {} {whose} at once", self.what))
        };
        let identity = self.identities.acquire(peer.limit_key(), self.per_identity_max);
        let identity = identity.ok_or_else(|| full("of this identity"))?;
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| full("in all"))?;
        Ok(FairPermit { _identity: identity, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::super::AddressLimits;
    use super::*;
    use std::net::IpAddr;

    fn peer(last: u8) -> Peer {
        let limits = Arc::new(AddressLimits::new(1, 1000));
        limits.admit(IpAddr::from([192, 0, 2, last]), 2).unwrap().peer()
    }

    #[test]
    fn one_identity_holds_at_most_half() {
        let permits = FairPermits::new(3, "server.simulations_max", "simulations");
        let (first, second) = (permits.acquire(&peer(1)), permits.acquire(&peer(1)));
        assert!(first.is_ok() && second.is_ok(), "half of three, rounded up");
        let over = permits.acquire(&peer(1)).err().unwrap();
        assert!(over.message().contains("of this identity at once"), "{}", over.message());
        let third = permits.acquire(&peer(2));
        assert!(third.is_ok());
        let over = permits.acquire(&peer(2)).err().unwrap();
        assert!(over.message().contains("in all at once"), "{}", over.message());
        drop(first);
        assert!(permits.acquire(&peer(2)).is_ok());
    }
}
