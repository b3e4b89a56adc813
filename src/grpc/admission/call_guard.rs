//! Calls that their callers abandon, and what follows.
//!
//! A call that its caller drops before it is answered costs the server all the same. A client that
//! does nothing else (HTTP/2 rapid reset, streams opened and left) would take the server from
//! all others. So such calls are counted, by identity where the caller is authenticated, else by
//! address:
//!
//! ```text
//! cancelled within a second, unanswered ─► its identity's rate, else its address's
//! no valid credentials                  ─► its address's rate
//! protocol error (100 calls)            ─► the connection's address's rate
//! ```
//!
//! A call is answered once the transport has taken the first message of its response, or its
//! error. A stream that ends later was of use; other limits bound its cost.
//!
//! While a rate is exceeded:
//!
//! 1. Its calls are rejected with `RESOURCE_EXHAUSTED`, except on connections that are in use: on
//!    which a caller that the gate admitted was answered. Methods that anyone may call, such as
//!    health checks, are never rejected.
//! 2. A connection on which 100 calls were abandoned or rejected is closed. Calls without valid
//!    credentials do not count on a connection that is in use.
//!
//! So a client with an outdated token cannot stop a good one behind the same address: the good
//! one's calls count by its identity. Connections of a trusted proxy carry the calls of many
//! clients: they are never closed, are not in use by any single one, and their protocol errors are
//! not counted.

use super::peer::{LimitKey, Peer};
use crate::grpc::status;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// The setting that holds the limit.
pub const ABANDONED_CALLS_LIMIT: &str = "server.abandoned_calls_per_second_max";
/// A call that is cancelled later than this is not counted: one client cannot have many of those.
const ABANDONED_WITHIN: Duration = Duration::from_secs(1);
/// How many seconds' worth of abandoned calls a rate allows at once.
pub(super) const ABANDONED_BURST: Duration = Duration::from_secs(10);
/// A connection with fewer abandoned calls than this is never closed for them.
const ABANDONED_CALLS_MIN: u32 = 100;
/// What a protocol error counts for, in abandoned calls.
const PROTOCOL_ERROR_CALLS: usize = 100;

/// How the calls of one connection ended.
#[derive(Default)]
pub(super) struct CallRecord {
    /// Abandoned or rejected calls that count towards closing the connection.
    abandoned: AtomicU32,
    is_in_use: AtomicBool,
    should_close: AtomicBool,
}

/// One call, which is abandoned if it is dropped before it is answered.
pub(in crate::grpc) struct CallGuard {
    pub(in crate::grpc) peer: Peer,
    begun: Instant,
    is_counted: bool,
}

impl CallGuard {
    pub(in crate::grpc) fn new(peer: Peer) -> Self {
        Self { peer, begun: Instant::now(), is_counted: false }
    }

    /// The transport took the first message of the response, or its error.
    pub(in crate::grpc) fn complete(&mut self) {
        let was_counted = std::mem::replace(&mut self.is_counted, true);
        if !was_counted && self.peer.identity.is_some() {
            self.peer.calls().is_in_use.store(true, Ordering::Relaxed);
        }
    }

    /// The caller has no valid credentials.
    pub(in crate::grpc) fn count_unauthenticated(&mut self) {
        self.is_counted = true;
        let counts_for_connection = !self.peer.calls().is_in_use.load(Ordering::Relaxed);
        self.peer.count_abandoned(self.peer.address_key(), 1, counts_for_connection);
    }

    /// Whether the caller may make a call that needs a role.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED`, which says how long to wait, while its rate of abandoned calls is
    /// exceeded and the connection is not in use.
    pub(in crate::grpc) fn check_rate(&mut self) -> Result<(), Status> {
        let peer = &self.peer;
        if peer.calls().is_in_use.load(Ordering::Relaxed) && !peer.is_behind_proxy() {
            return Ok(());
        }
        let Some(wait) = peer.limits().abandoned.wait(&peer.limit_key(), Instant::now()) else {
            return Ok(());
        };
        self.is_counted = true;
        self.peer.count_for_connection(true);
        Err(status::throttled(
            ABANDONED_CALLS_LIMIT,
            "too many abandoned calls of this caller",
            wait,
        ))
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if !self.is_counted && self.begun.elapsed() < ABANDONED_WITHIN {
            self.peer.count_abandoned(self.peer.limit_key(), 1, true);
        }
    }
}

impl Peer {
    /// Counts a protocol error of the client.
    pub fn count_protocol_error(&self) {
        if !self.is_behind_proxy() {
            self.count_abandoned(self.address_key(), PROTOCOL_ERROR_CALLS, true);
        }
    }

    /// Whether the connection must be closed, since too many of its calls are abandoned.
    pub fn should_close(&self) -> bool {
        self.calls().should_close.load(Ordering::Relaxed)
    }

    fn count_abandoned(&self, key: LimitKey, calls: usize, counts_for_connection: bool) {
        let is_within = self.limits().abandoned.take_on_credit(key, calls, Instant::now());
        if counts_for_connection {
            self.count_for_connection(!is_within);
        }
    }

    /// Counts a call towards closing the connection, which is closed once the rate is exceeded.
    fn count_for_connection(&self, is_rate_exceeded: bool) {
        if self.is_behind_proxy() {
            return;
        }
        let record = self.calls();
        let own = record.abandoned.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if is_rate_exceeded && own >= ABANDONED_CALLS_MIN {
            record.should_close.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AddressLimits, TrustedProxies};
    use super::*;
    use crate::access::Identity;
    use http::HeaderMap;
    use std::sync::Arc;

    const CLIENT: &str = "192.0.2.1";
    const PROXY: &str = "10.0.0.1";

    fn limits() -> Arc<AddressLimits> {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Arc::new(AddressLimits::new(100, 100, proxies))
    }

    fn connect(limits: &Arc<AddressLimits>, from: &str) -> Peer {
        limits.admit(from.parse().unwrap(), 2).unwrap().peer()
    }

    /// A call of this identity; empty for a caller who needs none.
    fn call(peer: &Peer, identity: &str) -> CallGuard {
        let mut guard = CallGuard::new(peer.clone());
        let identity = Identity {
            is_authenticated: !identity.is_empty(),
            ..Identity::unauthenticated(identity)
        };
        guard.peer.identity = Some(Arc::new(identity));
        guard
    }

    fn is_rejected(peer: &Peer, identity: &str) -> bool {
        let mut guard = call(peer, identity);
        let rejected = guard.check_rate().is_err();
        guard.is_counted = true;
        rejected
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_abandons_calls_is_closed_and_those_in_use_go_on() {
        let limits = limits();
        let (hostile, friend) = (connect(&limits, CLIENT), connect(&limits, CLIENT));
        call(&friend, "").complete();
        for _ in 0..1000 {
            assert!(!hostile.should_close() && !is_rejected(&hostile, ""));
            drop(call(&hostile, ""));
        }
        drop((call(&hostile, ""), call(&friend, "")));
        assert!(hostile.should_close() && !friend.should_close());
        assert!(!is_rejected(&friend, ""));
        let again = connect(&limits, CLIENT);
        for _ in 0..100 {
            assert!(!again.should_close());
            assert!(is_rejected(&again, ""), "it was not answered yet");
        }
        assert!(again.should_close());
        assert!(!is_rejected(&connect(&limits, "192.0.2.2"), ""));
        // One call more than the burst was counted.
        tokio::time::advance(Duration::from_millis(30)).await;
        assert!(!is_rejected(&connect(&limits, CLIENT), ""));
    }

    #[tokio::test(start_paused = true)]
    async fn an_authenticated_caller_hurts_only_itself() {
        let limits = limits();
        let hostile = connect(&limits, CLIENT);
        for _ in 0..1001 {
            drop(call(&hostile, "hostile"));
        }
        assert!(hostile.should_close());
        let other = connect(&limits, CLIENT);
        assert!(is_rejected(&other, "hostile") && !is_rejected(&other, "friend"));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_credentials_close_their_connection_unless_it_is_in_use() {
        let limits = limits();
        let (hostile, shared) = (connect(&limits, CLIENT), connect(&limits, CLIENT));
        call(&shared, "friend").complete();
        for _ in 0..1001 {
            CallGuard::new(hostile.clone()).count_unauthenticated();
            CallGuard::new(shared.clone()).count_unauthenticated();
        }
        assert!(hostile.should_close() && !shared.should_close());
        assert!(!is_rejected(&shared, "friend"));
        assert!(!is_rejected(&connect(&limits, CLIENT), "friend"), "also on a new connection");
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_trusted_proxy_each_client_counts_for_itself() {
        let limits = limits();
        let proxy = connect(&limits, PROXY);
        let client = |address: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", address.parse().unwrap());
            proxy.clone().for_call(&headers)
        };
        let (hostile, friend) = (client(CLIENT), client("192.0.2.2"));
        assert_eq!(hostile.address().to_string(), CLIENT);
        call(&friend, "").complete();
        for _ in 0..2000 {
            drop(call(&hostile, ""));
        }
        assert!(is_rejected(&hostile, "") && !is_rejected(&friend, ""));
        proxy.count_protocol_error();
        assert!(!proxy.should_close());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_answered_or_lasted_is_never_abandoned() {
        let limits = limits();
        let peer = connect(&limits, CLIENT);
        for _ in 0..3000 {
            call(&peer, "").complete();
        }
        let guards: Vec<_> = (0..3000).map(|_| call(&peer, "")).collect();
        tokio::time::advance(ABANDONED_WITHIN).await;
        drop(guards);
        assert!(!peer.should_close() && !is_rejected(&connect(&limits, CLIENT), ""));
    }
}
