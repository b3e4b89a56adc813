//! The other end of a connection, and the caller of each of its calls.
//!
//! ```text
//! connection ─► its address: the socket's, or that in a trusted proxy's PROXY header
//!     └─ call ─► its address: the connection's, or behind a trusted proxy that of x-forwarded-for
//!          └──► its identity, once authenticated
//! ```

use super::call_guard::{ABANDONED_BURST, CallRecord};
use super::open_counts::{OpenCounts, Permit};
use super::proxies::TrustedProxies;
use super::rates::Rates;
use crate::access::{Identity, Revocation};
use crate::repeated_log::RepeatedLog;
use crate::traces::TraceParent;
use http::HeaderMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tonic::Extensions;

/// The setting that holds the limit on connections.
const CONNECTIONS_LIMIT: &str = "server.connections_per_address_max";

/// The limits on connections of a client address and on abandoned calls, and the proxies that say
/// what the client's address is.
pub struct AddressLimits {
    connections_max: usize,
    connections: Arc<OpenCounts<IpAddr>>,
    pub(super) abandoned: Rates<LimitKey>,
    proxies: TrustedProxies,
    log: RepeatedLog<(String, LimitKey)>,
}

/// A connection within its address's limits. Dropping it makes room for another.
pub struct AdmittedConnection {
    peer: Peer,
    _permit: Option<Permit<IpAddr>>,
}

/// The other end of a connection, with the caller of one request on it. Every request carries it
/// in its extensions.
#[derive(Clone)]
pub struct Peer {
    connection: Arc<Connection>,
    /// The client's, canonical.
    address: IpAddr,
    /// The names in the client certificate; empty without one.
    pub(in crate::grpc) certificate: Arc<[String]>,
    /// `None` before the caller is authenticated, and for calls that need no credentials.
    pub(in crate::grpc) identity: Option<Arc<Identity>>,
    /// The caller's span, as its request names it.
    pub(in crate::grpc) caller: Option<TraceParent>,
}

/// What the requests of a connection have in common.
struct Connection {
    limits: Arc<AddressLimits>,
    is_of_proxy: bool,
    streams_max: u32,
    streams: AtomicU32,
    calls: CallRecord,
}

/// What limits count by: the identity where it is authenticated, else the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LimitKey {
    Identity(Arc<str>),
    Address(IpAddr),
}

/// One of a connection's streams. Dropping it makes room for another.
pub(super) struct ConnectionStreamPermit(Arc<Connection>);

impl AddressLimits {
    /// `abandoned_per_second_max` is per identity or address.
    pub fn new(
        connections_max: usize,
        abandoned_per_second_max: u32,
        proxies: TrustedProxies,
    ) -> Self {
        Self {
            connections_max,
            connections: Arc::default(),
            abandoned: Rates::new(abandoned_per_second_max, ABANDONED_BURST),
            proxies,
            log: RepeatedLog::default(),
        }
    }

    /// Whether a trusted proxy has this address.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.contains(address)
    }

    /// Counts a new connection, on which at most `streams_max` streams may be open. Connections of
    /// a trusted proxy, and their streams, have no limit of their own: one of its clients would use
    /// it up for the others.
    ///
    /// # Errors
    ///
    /// The setting of the limit that its address exceeds.
    pub fn admit(
        self: &Arc<Self>,
        from: IpAddr,
        streams_max: u32,
    ) -> Result<AdmittedConnection, &'static str> {
        let (address, is_of_proxy) = (from.to_canonical(), self.is_proxy(from));
        let permit = if is_of_proxy {
            None
        } else {
            let permit = self.connections.acquire(site(address), self.connections_max);
            Some(permit.ok_or(CONNECTIONS_LIMIT)?)
        };
        let connection = Arc::new(Connection {
            limits: Arc::clone(self),
            is_of_proxy,
            streams_max: if is_of_proxy { u32::MAX } else { streams_max },
            streams: AtomicU32::new(0),
            calls: CallRecord::default(),
        });
        let certificate = Arc::default();
        let peer = Peer { connection, address, certificate, identity: None, caller: None };
        Ok(AdmittedConnection { peer, _permit: permit })
    }

    /// Logs that a client reached a limit.
    pub fn log_limit(&self, limit: &str, address: IpAddr) {
        self.log_limit_of(limit, LimitKey::Address(address.to_canonical()), address);
    }

    fn log_limit_of(&self, limit: &str, key: LimitKey, address: IpAddr) {
        self.log.write((limit.to_owned(), key.clone()), || {
            let limit = limit.to_owned();
            Box::new(move |times| match &key {
                LimitKey::Identity(identity) => {
                    let identity = &**identity;
                    tracing::warn!(limit, identity, %address, times, "limit reached");
                }
                LimitKey::Address(_) => tracing::warn!(limit, %address, times, "limit reached"),
            })
        });
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

    /// The peer of a call with these headers: behind a trusted proxy, they name the client's
    /// address and the caller's span.
    #[must_use]
    pub(in crate::grpc) fn for_call(mut self, headers: &HeaderMap) -> Self {
        self.caller = TraceParent::from_headers(headers);
        if self.is_behind_proxy() {
            self.address = self.limits().proxies.client_of(self.address, headers);
        }
        self
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
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

    /// Logs that the caller reached a limit.
    pub(in crate::grpc) fn log_limit(&self, limit: &str) {
        self.limits().log_limit_of(limit, self.limit_key(), self.address);
    }

    pub(super) fn limit_key(&self) -> LimitKey {
        match &self.identity {
            Some(identity) if identity.is_authenticated => {
                LimitKey::Identity(Arc::clone(&identity.name))
            }
            Some(_) | None => self.address_key(),
        }
    }

    pub(super) fn address_key(&self) -> LimitKey {
        LimitKey::Address(site(self.address))
    }

    pub(super) fn limits(&self) -> &AddressLimits {
        &self.connection.limits
    }

    pub(super) fn calls(&self) -> &CallRecord {
        &self.connection.calls
    }

    /// Whether the connection is a trusted proxy's, and so carries the calls of many clients.
    pub(super) fn is_behind_proxy(&self) -> bool {
        self.connection.is_of_proxy
    }

    /// Counts one more stream on the connection; `None` where it has as many as it may.
    pub(super) fn acquire_stream(&self) -> Option<ConnectionStreamPermit> {
        let connection = &self.connection;
        let more = |open: u32| (open < connection.streams_max).then(|| open.saturating_add(1));
        connection.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ConnectionStreamPermit(Arc::clone(connection)))
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

    fn admit(limits: &Arc<AddressLimits>, from: &str) -> Result<AdmittedConnection, &'static str> {
        limits.admit(from.parse().unwrap(), 2)
    }

    #[test]
    fn an_address_has_a_limited_number_of_connections() {
        let limits = Arc::new(AddressLimits::new(2, 1000, TrustedProxies::default()));
        let (first, _second) =
            (admit(&limits, "192.0.2.1").unwrap(), admit(&limits, "::ffff:192.0.2.1").unwrap());
        assert_eq!(admit(&limits, "192.0.2.1").err(), Some(CONNECTIONS_LIMIT));
        drop(admit(&limits, "192.0.2.2").unwrap());
        drop(first);
        drop(admit(&limits, "192.0.2.1").unwrap());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_connections_as_it_opens() {
        let proxies = TrustedProxies::new(vec!["192.0.2.1/32".parse().unwrap()]);
        let limits = Arc::new(AddressLimits::new(1, 1000, proxies));
        let all = ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"];
        let open = all.map(|from| admit(&limits, from).unwrap());
        let streams = open.each_ref().map(|one| [(); 3].map(|()| one.peer().acquire_stream()));
        assert!(streams[0].iter().all(Option::is_some));
        assert!(streams[3][2].is_none());
        assert_eq!(admit(&limits, "192.0.2.2").err(), Some(CONNECTIONS_LIMIT));
    }

    #[test]
    fn one_network_of_ipv6_counts_as_one_address() {
        let site = |text: &str| super::site(text.parse().unwrap());
        assert_eq!(site("2001:db8::1"), site("2001:db8::ffff:0:1"));
        assert_ne!(site("2001:db8::1"), site("2001:db8:0:1::1"));
    }
}
