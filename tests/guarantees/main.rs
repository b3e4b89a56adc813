//! The guarantees of a subscription, over real connections to the real binary, while faults are injected.
//!
//! ```text
//! publisher ─► proxy ─┐                          ┌─ proxy ─► subscriber, which records every message
//!                     ├─► lodewatch serve ◄──────┤
//!   SIGSTOP, SIGCONT, kill -9, SIGTERM, restart   └─ proxy ─► subscriber …
//!     at the end: the journal, copied, replayed offline ─► what each must have seen, byte for byte
//! ```
//!
//! - `words`: one test for each word of the contract, with the fault that it is about
//! - `schedules`: hundreds of schedules, each from its seed: `LODEWATCH_SEED=S` runs one, `LODEWATCH_SCHEDULES=N` so many
//! - `process`, `proxy`, `world`: the server and the network, which obey · `subscriber`: readers that record
//! - `oracle`: what should have been seen · `check`: whether it was, by the word that is broken if not

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fall over, and says what it did"
)]

mod schedules;
mod words;
mod world;
