//! Many replicas of the real binary over three real NATS servers, while faults are injected.
//!
//! ```text
//! publishers, subscribers ─► proxy ─► lodewatch serve ─► proxy ─┬─► nats-server ┐
//!        │                   proxy ─► lodewatch serve ─► proxy ─┼─► nats-server ├ one stream, kept three times
//!        └─ every message    proxy ─► lodewatch serve ─► proxy ─┴─► nats-server ┘
//!           is recorded         at the end: the stream, replayed offline ─► what each must have seen, byte for byte
//! ```
//!
//! - `faults`: what may fail, and what must hold all the same: `LODEWATCH_FAULT_ROUNDS=N` goes through all of it so often
//! - `together`: that replicas act as one, with clocks that are driven by hand
//! - `majority`: what is said while most of the servers are gone
//! - `servers`: that servers and the network do what they are told
//! - `world`: replicas, servers and the network between them · `load`: who publishes and subscribes meanwhile

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fall over, and says what it did"
)]

mod faults;
mod load;
mod majority;
mod servers;
mod together;
mod world;
