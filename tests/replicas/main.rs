//! Many replicas of the real binary over three real NATS servers, while faults are injected.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fall over, and says what it did"
)]

#[path = "../nats/mod.rs"]
mod nats;
#[path = "../guarantees/proxy.rs"]
mod proxy;
mod servers;
