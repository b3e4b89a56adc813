//! The other end of a connection, and how many of its calls it abandons.
//!
//! A call that its caller drops before it is answered costs the server all the same. A client that
//! does nothing else (HTTP/2 rapid reset, streams opened and left) would take the server from
//! all others. So such calls are counted by address:
//!
//! ```text
//! dropped within a second, no valid credentials, a protocol error ─► the address's rate
//!           rate exceeded: its new connections are closed, and those that did most of it
//! ```
//!
//! Other connections from the same address are not disturbed.

use super::open_counts::{OpenCounts, Permit};
use super::rates::Rates;
use crate::access::{Identity, Revocation};
use crate::traces::TraceParent;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Extensions;

/// A call that is dropped later than this is not counted as abandoned: it was of use, and one
/// client cannot have many of those.
const ABANDONED_WITHIN: Duration = Duration::from_secs(1);
/// How many seconds' worth of abandoned calls an address may have at once.
const ABANDONED_BURST: Duration = Duration::from_secs(10);
/// A connection with fewer abandoned calls than this is never closed for those of its address.
const ABANDONED_CALLS_MIN: u32 = 100;
/// What a protocol error counts for, in abandoned calls.
const PROTOCOL_ERROR_CALLS: usize = 100;

/// The limits that every client address has: open connections, and abandoned calls a second.
pub struct AddressLimits {
    connections_max: usize,
    connections: Arc<OpenCounts<IpAddr>>,
    abandoned: Rates<IpAddr>,
}

/// A connection within its address's limits. Dropping it makes room for another.
pub struct AdmittedConnection {
    peer: Peer,
    _permit: Permit<IpAddr>,
}

/// The limit for which a connection is closed as soon as it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionRejected {
    TooManyConnections,
    TooManyAbandonedCalls,
}

impl ConnectionRejected {
    /// The setting that holds the limit.
    pub fn limit(self) -> &'static str {
        match self {
            Self::TooManyConnections => "server.connections_per_address_max",
            Self::TooManyAbandonedCalls => "server.abandoned_calls_per_second_max",
        }
    }
}

/// The other end of a connection, with the caller of one request on it. Every request carries it
/// in its extensions.
#[derive(Clone)]
pub struct Peer {
    connection: Arc<Connection>,
    /// The names in the client certificate; empty without one.
    pub(in crate::grpc) certificate: Arc<[String]>,
    /// `None` before the caller is authenticated, and for calls that need no credentials.
    pub(in crate::grpc) identity: Option<Arc<Identity>>,
    /// The caller's span, as its request names it.
    pub(in crate::grpc) caller: Option<TraceParent>,
}

/// What the requests of a connection have in common.
struct Connection {
    address: IpAddr,
    limits: Arc<AddressLimits>,
    streams_max: u32,
    streams: AtomicU32,
    abandoned: AtomicU32,
    should_close: AtomicBool,
}

/// What limits count by: the identity where it is authenticated, else the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LimitKey {
    Identity(Arc<str>),
    Address(IpAddr),
}

/// Counts a call or stream as abandoned if it is dropped soon and was not completed.
pub(in crate::grpc) struct CallGuard {
    peer: Peer,
    begun: Instant,
    is_complete: bool,
}

/// One of a connection's streams. Dropping it makes room for another.
pub(super) struct ConnectionStreamPermit(Arc<Connection>);

impl AddressLimits {
    /// Both limits are per address.
    pub fn new(connections_max: usize, abandoned_per_second_max: u32) -> Self {
        let abandoned = Rates::new(abandoned_per_second_max, ABANDONED_BURST);
        Self { connections_max, connections: Arc::default(), abandoned }
    }

    /// Counts a new connection, on which at most `streams_max` streams may be open.
    ///
    /// # Errors
    ///
    /// The limit that its address exceeds.
    pub fn admit(
        self: &Arc<Self>,
        from: IpAddr,
        streams_max: u32,
    ) -> Result<AdmittedConnection, ConnectionRejected> {
        let address = from.to_canonical();
        if !self.abandoned.has_room(&site(address), Instant::now()) {
            return Err(ConnectionRejected::TooManyAbandonedCalls);
        }
        let permit = self.connections.acquire(site(address), self.connections_max);
        let permit = permit.ok_or(ConnectionRejected::TooManyConnections)?;
        let connection = Connection {
            address,
            limits: Arc::clone(self),
            streams_max,
            streams: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            should_close: AtomicBool::new(false),
        };
        let connection = Arc::new(connection);
        let peer = Peer { connection, certificate: Arc::default(), identity: None, caller: None };
        Ok(AdmittedConnection { peer, _permit: permit })
    }
}

impl AdmittedConnection {
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl Peer {
    /// The peer that sent a request.
    pub(in crate::grpc) fn of(extensions: &Extensions) -> &Self {
        extensions.get().expect("the server adds the peer to every request")
    }

    /// The same peer, with the names in its client certificate.
    #[must_use]
    pub fn with_certificate(self, names: Arc<[String]>) -> Self {
        Self { certificate: names, ..self }
    }

    pub(in crate::grpc) fn address(&self) -> IpAddr {
        self.connection.address
    }

    pub(in crate::grpc) fn publisher(&self) -> &Identity {
        self.identity.as_deref().expect("the gate lets only identified callers publish")
    }

    /// The identity's name; empty without one.
    pub(in crate::grpc) fn name(&self) -> Arc<str> {
        self.identity.as_ref().map(|identity| Arc::clone(&identity.name)).unwrap_or_default()
    }

    /// Ends when the credentials are revoked; never, where no authentication is configured.
    pub(in crate::grpc) fn revocation(&self) -> Revocation {
        self.identity.as_ref().map(|identity| identity.revocation.clone()).unwrap_or_default()
    }

    pub(super) fn limit_key(&self) -> LimitKey {
        match &self.identity {
            Some(identity) if identity.is_authenticated => {
                LimitKey::Identity(Arc::clone(&identity.name))
            }
            Some(_) | None => LimitKey::Address(self.address()),
        }
    }

    /// Counts one more stream on the connection; `None` where it has as many as it may.
    pub(super) fn acquire_stream(&self) -> Option<ConnectionStreamPermit> {
        let connection = &self.connection;
        let more = |open: u32| (open < connection.streams_max).then(|| open.saturating_add(1));
        connection.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ConnectionStreamPermit(Arc::clone(connection)))
    }

    /// Begins a call, which is abandoned unless its guard is completed.
    pub(in crate::grpc) fn guard_call(&self) -> CallGuard {
        CallGuard { peer: self.clone(), begun: Instant::now(), is_complete: false }
    }

    /// Counts a protocol error of the client.
    pub fn record_protocol_error(&self) {
        self.record_abandoned(PROTOCOL_ERROR_CALLS);
    }

    /// Whether the connection must be closed, since too many of its calls are abandoned.
    pub fn should_close(&self) -> bool {
        self.connection.should_close.load(Ordering::Relaxed)
    }

    fn record_abandoned(&self, calls: usize) {
        let connection = &self.connection;
        let own = connection.abandoned.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let rate = &connection.limits.abandoned;
        let had_room = rate.take_on_credit(site(connection.address), calls, Instant::now());
        if !had_room && own >= ABANDONED_CALLS_MIN {
            connection.should_close.store(true, Ordering::Relaxed);
        }
    }
}

impl CallGuard {
    /// The call was answered: it is not abandoned.
    pub(in crate::grpc) fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if !self.is_complete && self.begun.elapsed() < ABANDONED_WITHIN {
            self.peer.record_abandoned(1);
        }
    }
}

impl Drop for ConnectionStreamPermit {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The network that a client is given: one address of IPv4, 2^64 of IPv6.
fn site(address: IpAddr) -> IpAddr {
    const PREFIX: u128 = !0 << 64;
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & PREFIX).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(
        limits: &Arc<AddressLimits>,
        last: u8,
    ) -> Result<AdmittedConnection, ConnectionRejected> {
        limits.admit(IpAddr::from([192, 0, 2, last]), 2)
    }

    #[test]
    fn an_address_has_a_limited_number_of_connections() {
        let limits = Arc::new(AddressLimits::new(2, 1000));
        let (first, _second) = (admit(&limits, 1).unwrap(), admit(&limits, 1).unwrap());
        assert_eq!(admit(&limits, 1).err(), Some(ConnectionRejected::TooManyConnections));
        drop(admit(&limits, 2).unwrap());
        drop(first);
        drop(admit(&limits, 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_abandons_calls_is_closed_and_others_of_its_address_go_on() {
        let limits = Arc::new(AddressLimits::new(10, 100));
        let connections = (admit(&limits, 1).unwrap(), admit(&limits, 1).unwrap());
        let (hostile, friend) = (connections.0.peer(), connections.1.peer());
        for _ in 0..1000 {
            assert!(!hostile.should_close());
            drop(hostile.guard_call());
        }
        hostile.guard_call().complete();
        assert!(!hostile.should_close());
        drop((hostile.guard_call(), friend.guard_call()));
        assert!(hostile.should_close() && !friend.should_close());
        assert_eq!(admit(&limits, 1).err(), Some(ConnectionRejected::TooManyAbandonedCalls));
        drop(admit(&limits, 2).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(admit(&limits, 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_lasted_is_never_abandoned() {
        let limits = Arc::new(AddressLimits::new(10, 1));
        let peer = admit(&limits, 1).unwrap().peer();
        let guards: Vec<_> = (0..1000).map(|_| peer.guard_call()).collect();
        tokio::time::advance(ABANDONED_WITHIN).await;
        drop(guards);
        assert!(!peer.should_close());
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one_address() {
        let site = |text: &str| super::site(text.parse().unwrap());
        assert_eq!(site("2001:db8::1"), site("2001:db8::ffff:0:1"));
        assert_ne!(site("2001:db8::1"), site("2001:db8:0:1::1"));
    }
}
