//! What we decide: one entry applied to the state gives the alerts it causes.
//!
//! ```text
//!             entry ──► State::apply ──► alerts
//!                          │
//!   record   what the entry puts in the record: reports, threats, answers
//!   calendar what is due, and when                 ┐
//!   exposure which measures reach which buyer      ├─► evaluate, for the markets that were touched only
//!   concentration  what a market's value is        │
//!   crossing which level that value is up to       │
//!   state   what a rule remembers: levels, flapping, staleness
//!   notice   threats that move no index            ┘
//!   plan     what the policy asks of a market; tell puts alerts together
//!   snapshot the state as bytes, and back
//!   simulation  what a copy of the state would do: courses without consequences
//! ```
//!
//! Architecture invariant: nothing here knows a clock, randomness, floats, hash order, async or I/O, and `apply` cannot
//! fail. The same entries give the same alerts on every replica, after every restart, from every snapshot.

pub mod concentration;
pub mod crossing;
mod deadlines;
mod emit;
mod evaluate;
pub mod exposure;
mod instance_state;
#[cfg(test)]
mod laws;
mod market;
mod notice;
mod plan;
mod record;
pub mod simulation;
mod snapshot;
mod state;

pub use instance_state::Episode;
pub use market::{Market, MarketThreat, ReportRecord, RuleStatus, scope_match};
pub use record::{BatchResult, RecentBatches, ThreatRecord};
pub use snapshot::SnapshotError;
pub use state::{AdoptedPolicy, AppliedEntry, State};
