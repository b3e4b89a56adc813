//! Many replicas of the real binary over three real NATS servers, while faults are injected.
//!
//! ```text
//! publishers, subscribers ─► proxy ─► lodewatch serve ─► proxy ─┬─► nats-server ┐
//!        │                   proxy ─► lodewatch serve ─► proxy ─┼─► nats-server ├ one stream, three copies
//!        └─ every message    proxy ─► lodewatch serve ─► proxy ─┴─► nats-server ┘
//!           is recorded         at the end: the stream, replayed offline ─► expected messages, byte for byte
//! ```
//!
//! - `faults`: every fault, and the guarantees that hold: `LODEWATCH_FAULT_ROUNDS=N` repeats all N
//!   times
//! - `together`: replicas act as one, with manual clocks
//! - `majority`: the errors while a majority of the servers is gone
//! - `servers`: servers and proxies behave as instructed
//! - `world`: replicas, servers and proxies · `load`: publishers and subscribers

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and prints its results"
)]

mod faults;
mod load;
mod majority;
mod servers;
mod together;
mod world;
