//! Lodewatch's domain and engine: how concentrated the supply of each critical mineral is, and
//! which alerts an update causes.
//!
//! - [`domain`]: the values that all other code works with, made only by parsing
//! - [`engine`]: applies one journal entry to the state and returns the alerts it causes
//!
//! Architecture invariant: this crate has no I/O, clock, randomness, float, hash order or async.
//! The same entries give the same alerts, byte for byte, anywhere.

#![warn(missing_docs)]

pub mod domain;
pub mod engine;
