//! TLS handshakes that failed.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandshakeFailure {
    /// The client's certificate has expired.
    CertificateExpired,
    CertificateNotValidYet,
    /// No authority of `tls.client_ca` signed the client's certificate.
    UnknownAuthority,
    /// Any other fault of the client's certificate.
    CertificateInvalid,
    /// The client ended the handshake by an alert; mostly it does not trust the server's
    /// certificate.
    RejectedByClient,
    /// No protocol, version or cipher in common.
    Incompatible,
    /// What the client sent is not TLS, or breaks its rules.
    Protocol,
    /// The client disconnected, as probes of a port do.
    Disconnected,
    /// No end within `server.handshake_timeout`.
    Timeout,
}

impl HandshakeFailure {
    const ALL: [Self; 9] = [
        Self::CertificateExpired,
        Self::CertificateNotValidYet,
        Self::UnknownAuthority,
        Self::CertificateInvalid,
        Self::RejectedByClient,
        Self::Incompatible,
        Self::Protocol,
        Self::Disconnected,
        Self::Timeout,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotValidYet => "certificate_not_valid_yet",
            Self::UnknownAuthority => "unknown_authority",
            Self::CertificateInvalid => "certificate_invalid",
            Self::RejectedByClient => "rejected_by_client",
            Self::Incompatible => "incompatible",
            Self::Protocol => "protocol",
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
        }
    }
}

/// Failed TLS handshakes, by reason. Clones share the counters.
#[derive(Debug, Clone)]
pub struct HandshakeMetrics(Family<[(&'static str, &'static str); 1], Counter>);

impl Default for HandshakeMetrics {
    /// Every reason at zero: `rate()` does not see the first increment of a new series.
    fn default() -> Self {
        let failed = Family::default();
        for failure in HandshakeFailure::ALL {
            drop(failed.get_or_create(&[("reason", failure.name())]));
        }
        Self(failed)
    }
}

impl HandshakeMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        ours.register("handshakes_failed", "TLS handshakes that failed, by reason", self.0.clone());
    }

    pub fn count(&self, failure: HandshakeFailure) {
        self.0.get_or_create(&[("reason", failure.name())]).inc();
    }
}
