//! Who is at the other end of a connection, and how much of what it asked for came to nothing.
//!
//! A call that its caller drops before it is answered has cost the server all the same; a client that does nothing else (HTTP/2
//! rapid reset, streams that are opened and left) would take the server from everybody. So such calls are counted by address:
//!
//! ```text
//! dropped within a second, no valid credentials, a connection that broke the protocol ─► the address's rate
//!                                         rate exceeded: its new connections are closed, and those that did most of it
//! ```
//!
//! Whoever is connected from the same address and means well is not disturbed.

use super::counts::{Counts, Place};
use super::rates::Rates;
use crate::access::{Admission, Identity};
use crate::traces::Caller;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Extensions;

/// A call that was dropped after this had a use: nobody can have many of those.
const SOON: Duration = Duration::from_secs(1);
/// How many seconds' worth of wasted calls an address may have at once.
const WASTED_AT_ONCE: Duration = Duration::from_secs(10);
/// A connection with fewer wasted calls than this is left alone, whatever others from its address do.
const WASTED_MIN: u32 = 100;
/// What a connection that broke the protocol counts for, in calls.
const BREACH: usize = 100;

/// What every address has, as far as it is bounded.
pub struct Addresses {
    connections_max: usize,
    connections: Arc<Counts<IpAddr>>,
    wasted: Rates<IpAddr>,
}

/// A connection's place among those of its address. Dropping it makes room for another.
pub struct Arrival {
    peer: Peer,
    _place: Place<IpAddr>,
}

/// Why a connection is closed before it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// Its address has as many connections as it may have.
    Connections,
    /// Too many calls from its address came to nothing.
    Wasted,
}

impl TooMany {
    /// The setting that says how many.
    pub fn limit(self) -> &'static str {
        match self {
            Self::Connections => "server.connections_per_address_max",
            Self::Wasted => "server.abandoned_calls_per_second_max",
        }
    }
}

/// Whoever is at the other end of a connection. Every request carries it in its extensions.
#[derive(Clone)]
pub struct Peer {
    connection: Arc<Connection>,
    /// The names in the certificate that the connection was proved with; empty without one.
    pub(super) certificate: Arc<[String]>,
    /// Who makes the call; `None` before that is known, and for calls that anyone may make.
    pub(super) identity: Option<Arc<Identity>>,
    /// Where the call stands in its caller's trace.
    pub(super) caller: Option<Caller>,
}

/// What the calls of a connection have in common.
struct Connection {
    address: IpAddr,
    addresses: Arc<Addresses>,
    streams_max: u32,
    streams: AtomicU32,
    wasted: AtomicU32,
    is_wasteful: AtomicBool,
}

/// Whom limits count for: who it is, where that was proved, or else the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Identity(Arc<str>),
    Address(IpAddr),
}

/// A call, or a stream, that comes to nothing where it is dropped soon.
pub(super) struct Effort {
    peer: Peer,
    begun: Instant,
    is_spent: bool,
}

/// A stream's place on its connection. Dropping it makes room for another.
pub(super) struct StreamPlace(Arc<Connection>);

impl Addresses {
    /// So many open connections of one address, and so many wasted calls a second.
    pub fn new(connections_max: usize, wasted_per_second: u32) -> Self {
        let wasted = Rates::new(wasted_per_second, WASTED_AT_ONCE);
        Self { connections_max, connections: Arc::default(), wasted }
    }

    /// A connection begins, on which so many streams may be open.
    ///
    /// # Errors
    ///
    /// Which of the limits it is over.
    pub fn arrive(self: &Arc<Self>, from: IpAddr, streams_max: u32) -> Result<Arrival, TooMany> {
        let address = from.to_canonical();
        if !self.wasted.has_room(&site(address), Instant::now()) {
            return Err(TooMany::Wasted);
        }
        let place = self.connections.take(site(address), self.connections_max);
        let place = place.ok_or(TooMany::Connections)?;
        let connection = Connection {
            address,
            addresses: Arc::clone(self),
            streams_max,
            streams: AtomicU32::new(0),
            wasted: AtomicU32::new(0),
            is_wasteful: AtomicBool::new(false),
        };
        let connection = Arc::new(connection);
        let peer = Peer { connection, certificate: Arc::default(), identity: None, caller: None };
        Ok(Arrival { peer, _place: place })
    }
}

impl Arrival {
    /// Who is there.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl Peer {
    /// The peer that sent a request.
    pub(super) fn of(extensions: &Extensions) -> &Self {
        extensions.get().expect("the server's connections say who is there")
    }

    /// It, with the names in the certificate that its connection was proved with.
    #[must_use]
    pub fn proved(self, certificate: Arc<[String]>) -> Self {
        Self { certificate, ..self }
    }

    /// The address it comes from.
    pub(super) fn address(&self) -> IpAddr {
        self.connection.address
    }

    /// Who publishes.
    pub(super) fn publisher(&self) -> &Identity {
        self.identity.as_deref().expect("the gate lets only those publish whom it knows")
    }

    /// Who it is, for what is told of it.
    pub(super) fn name(&self) -> Arc<str> {
        self.identity.as_ref().map(|identity| Arc::clone(&identity.name)).unwrap_or_default()
    }

    /// Until when it may go on; for ever where nobody must prove anything.
    pub(super) fn admission(&self) -> Admission {
        self.identity.as_ref().map(|identity| identity.admission.clone()).unwrap_or_default()
    }

    /// Whom limits count it for.
    pub(super) fn whose(&self) -> Whose {
        match &self.identity {
            Some(identity) if identity.proved => Whose::Identity(Arc::clone(&identity.name)),
            Some(_) | None => Whose::Address(self.address()),
        }
    }

    /// A place for one more stream on the connection; `None` where there is none.
    pub(super) fn stream(&self) -> Option<StreamPlace> {
        let connection = &self.connection;
        let more = |open: u32| (open < connection.streams_max).then(|| open.saturating_add(1));
        connection.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(StreamPlace(Arc::clone(connection)))
    }

    /// Work begins for it.
    pub(super) fn effort(&self) -> Effort {
        Effort { peer: self.clone(), begun: Instant::now(), is_spent: false }
    }

    /// The connection broke the protocol.
    pub fn has_breached(&self) {
        self.waste(BREACH);
    }

    /// Whether the connection is to be closed, since what it asks for comes to nothing.
    pub fn is_wasteful(&self) -> bool {
        self.connection.is_wasteful.load(Ordering::Relaxed)
    }

    /// So many calls came to nothing.
    pub(super) fn waste(&self, calls: usize) {
        let connection = &self.connection;
        let own = connection.wasted.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let rate = &connection.addresses.wasted;
        let had_room = rate.owe(site(connection.address), calls, Instant::now());
        if !had_room && own >= WASTED_MIN {
            connection.is_wasteful.store(true, Ordering::Relaxed);
        }
    }
}

impl Effort {
    /// It came to something.
    pub(super) fn spent(mut self) {
        self.is_spent = true;
    }
}

impl Drop for Effort {
    fn drop(&mut self) {
        if !self.is_spent && self.begun.elapsed() < SOON {
            self.peer.waste(1);
        }
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All addresses that one subscriber of a network is given: one of IPv4, 2^64 of IPv6.
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

    fn arrive(addresses: &Arc<Addresses>, last: u8) -> Result<Arrival, TooMany> {
        addresses.arrive(IpAddr::from([192, 0, 2, last]), 2)
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let addresses = Arc::new(Addresses::new(2, 1000));
        let (first, _second) = (arrive(&addresses, 1).unwrap(), arrive(&addresses, 1).unwrap());
        assert_eq!(arrive(&addresses, 1).err(), Some(TooMany::Connections));
        drop(arrive(&addresses, 2).unwrap());
        drop(first);
        drop(arrive(&addresses, 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_wastes_calls_is_cut_off_and_others_of_its_address_go_on() {
        let addresses = Arc::new(Addresses::new(10, 100));
        let arrivals = (arrive(&addresses, 1).unwrap(), arrive(&addresses, 1).unwrap());
        let (hostile, friend) = (arrivals.0.peer(), arrivals.1.peer());
        for _ in 0..1000 {
            assert!(!hostile.is_wasteful());
            drop(hostile.effort());
        }
        hostile.effort().spent();
        assert!(!hostile.is_wasteful());
        drop((hostile.effort(), friend.effort()));
        assert!(hostile.is_wasteful() && !friend.is_wasteful());
        assert_eq!(arrive(&addresses, 1).err(), Some(TooMany::Wasted));
        drop(arrive(&addresses, 2).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(arrive(&addresses, 1).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_lasted_is_never_wasted() {
        let addresses = Arc::new(Addresses::new(10, 1));
        let peer = arrive(&addresses, 1).unwrap().peer();
        let efforts: Vec<_> = (0..1000).map(|_| peer.effort()).collect();
        tokio::time::advance(SOON).await;
        drop(efforts);
        assert!(!peer.is_wasteful());
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one_address() {
        let site = |text: &str| super::site(text.parse().unwrap());
        assert_eq!(site("2001:db8::1"), site("2001:db8::ffff:0:1"));
        assert_ne!(site("2001:db8::1"), site("2001:db8:0:1::1"));
    }
}
