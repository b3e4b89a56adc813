//! What the calls of all services have in common: who makes it, how long it may take, how its
//! end is counted.
//!
//! ```text
//! connection ─► handle_call ─► gate (credentials, role) ─► deadline ─► service
//!                   └─ the response's end is counted ◄───────────────────┘
//! ```
//!
//! - `calls`: one call of a peer, from the connection to the services and back
//! - `bounded_codec`: requests that would take far more memory than their bytes are rejected
//! - `call_metrics`: counts how calls end
//! - `deadline`: `grpc-timeout`
//! - `pre_encoded`: response bodies of messages that are encoded already

mod bounded_codec;
mod call_metrics;
mod calls;
mod deadline;
mod pre_encoded;

pub(in crate::grpc) use bounded_codec::BoundedCodec;
pub(in crate::grpc) use call_metrics::count_rejection;
pub use call_metrics::methods;
pub use calls::{GatedServices, handle_call};
pub(in crate::grpc) use deadline::Deadline;
pub(in crate::grpc) use pre_encoded::{PreEncodedBody, respond_with};
