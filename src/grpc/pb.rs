//! Generated from `proto/lodewatch/v1`: the messages, which clients and server share, and the
//! services, which only the server has.

pub use lodewatch_proto::v1::*;

tonic::include_proto!("lodewatch.v1");

/// The descriptors of the messages and services, with everything they import.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lodewatch.v1.bin"));
