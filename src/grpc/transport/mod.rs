//! What the calls of all services have in common: who makes it, how long it may take, how its
//! end is counted.
//!
//! ```text
//! connection ─► GatedServices ─► gate (credentials, role) ─► deadline, stream permit ─► service
//!                   └─ the response's end is counted, and bounded ◄───────────────────────┘
//! ```
//!
//! - `calls`: one call of a peer, from the connection to the services and back
//! - `bounded_codec`: requests that would take far more memory than their bytes are rejected
//! - `call_end`: when a call is over, whether its caller takes what it is sent or not
//! - `call_body`: the body of every response
//! - `request_body`: the body of every unary request
//! - `call_metrics`: counts how calls end
//! - `deadline`: `grpc-timeout`
//! - `pre_encoded`: response bodies of messages that are encoded already

mod bounded_codec;
mod call_body;
mod call_end;
mod call_metrics;
mod calls;
mod deadline;
mod pre_encoded;
mod request_body;

pub(in crate::grpc) use bounded_codec::BoundedCodec;
pub use call_end::run_call;
pub(in crate::grpc) use call_metrics::count_rejection;
pub use call_metrics::methods;
pub use calls::{CallEndSettings, GatedServices};
pub(in crate::grpc) use deadline::Deadline;
pub(in crate::grpc) use pre_encoded::{PreEncodedBody, respond_with};

#[cfg(test)]
mod tests {
    use super::super::admission::{AddressLimits, LimitSettings, Limits, Peer, TrustedProxies};
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    /// Limits with room for so many bytes under way, and a peer.
    pub(super) fn limits_of_bytes(transfer_bytes: usize) -> (Arc<Limits>, Peer) {
        let addresses = Arc::new(AddressLimits::new(1, 1, TrustedProxies::default()));
        let peer = addresses.admit(Ipv4Addr::LOCALHOST.into(), 1).unwrap().peer();
        let limits = Limits::new(LimitSettings {
            streams: 1,
            streams_per_identity: 1,
            publish_streams: 1,
            publish_streams_per_identity: 1,
            publish_calls_bytes: 1,
            transfer_bytes,
            updates_per_second: 1,
        });
        (Arc::new(limits), peer)
    }
}
