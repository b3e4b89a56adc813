//! Permits that identities share: one identity holds at most half of them, rounded up.

use super::open_counts::{OpenCounts, Permit, ShareRejected};
use super::peer::{LimitKey, Peer};
use crate::grpc::status;
use std::sync::Arc;
use tonic::Status;

/// A number of permits, of which one identity holds at most half, rounded up: no identity alone
/// keeps the others out, unless there is only one permit.
pub struct FairPermits {
    open: Arc<OpenCounts<LimitKey>>,
    max: usize,
    /// The setting that holds their number.
    limit: &'static str,
    /// What they are for, as in `too many … at once`.
    what: &'static str,
}

/// One permit. Dropping it makes room for another call.
pub(in crate::grpc) struct FairPermit {
    _permit: Permit<LimitKey>,
}

impl FairPermits {
    pub fn new(max: usize, limit: &'static str, what: &'static str) -> Self {
        Self { open: Arc::default(), max, limit, what }
    }

    /// A permit for the peer. Nothing waits for one.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which names the setting, where there is none.
    pub(in crate::grpc) fn acquire(&self, peer: &Peer) -> Result<FairPermit, Status> {
        let permit = self.open.acquire_share(peer.limit_key(), 1, self.max.div_ceil(2), self.max);
        let permit = permit.map_err(|rejected| {
            let whose = match rejected {
                ShareRejected::Holder => "of this identity",
                ShareRejected::All => "in all",
            };
            status::exhausted(self.limit, &format!("too many {} {whose} at once", self.what))
        })?;
        Ok(FairPermit { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AddressLimits, TrustedProxies};
    use super::*;
    use std::net::IpAddr;

    fn peer(last: u8) -> Peer {
        let limits = Arc::new(AddressLimits::new(1, 1000, TrustedProxies::default()));
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
        let last = permits.acquire(&peer(2)).err().unwrap();
        assert!(last.message().contains("in all at once"), "it is for an identity with fewer");
        assert!(permits.acquire(&peer(3)).is_ok());
    }
}
