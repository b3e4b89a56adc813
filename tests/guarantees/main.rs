//! The guarantees of a subscription, over real connections to the real binary, while faults are
//! injected.
//!
//! ```text
//! publisher ─► proxy ─┐                          ┌─ proxy ─► subscriber, records every message
//!                     ├─► lodewatch serve ◄──────┤
//!   SIGSTOP, SIGCONT, kill -9, SIGTERM, restart   └─ proxy ─► subscriber …
//!     at the end: the journal, copied, replayed offline ─► expected messages, byte for byte
//! ```
//!
//! - `words`: one test per word of the contract, with its fault
//! - `schedules`: hundreds of random schedules, each from its seed: `LODEWATCH_SEED=S` runs one,
//!   `LODEWATCH_SCHEDULES=N` runs N
//! - `process`, `proxy`, `world`: the server and a controllable network · `subscriber`: readers
//!   that record
//! - `oracle`: the expected messages · `check`: compares, and names the violated word

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and prints its results"
)]

mod schedules;
mod words;
mod world;
