//! The protocol of Lodewatch, as Rust types: the messages of `lodewatch.v1` and stubs to call its
//! services.
//!
//! The code in [`v1`] is generated from the repository's `proto` folder and checked in, so that
//! building this crate needs neither `protoc` nor a build script. [`v1`] also documents the
//! guarantees of each service.
//!
//! For a subscription that resumes by itself and a publisher that retries safely, see the crate
//! `lodewatch-client`.

#![warn(missing_docs)]

/// Messages and client stubs of the package `lodewatch.v1`.
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
#[rustfmt::skip]
pub mod v1 {
    include!("lodewatch.v1.rs");

    pub use prost_types::{Duration, Timestamp};
}
