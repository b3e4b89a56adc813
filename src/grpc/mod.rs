//! The edge.

/// The generated messages and services of `proto/lodewatch/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    reason = "generated code"
)]
pub mod pb {
    tonic::include_proto!("lodewatch.v1");

    /// The descriptors of the messages and services, with everything they import.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lodewatch.v1.bin"));
}
