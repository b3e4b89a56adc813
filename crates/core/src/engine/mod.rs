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
//!   memory   what a rule remembers: levels, flapping, staleness
//!   notice   threats that move no index            ┘
//!   plan     what the policy asks of a market; tell puts alerts together
//!   snapshot the state as bytes, and back
//!   what_if  what would be: courses that a copy may take
//! ```
//!
//! Architecture invariant: nothing here knows a clock, randomness, floats, hash order, async or I/O, and `apply` cannot
//! fail. The same entries give the same alerts on every replica, after every restart, from every snapshot.

mod calendar;
pub mod concentration;
pub mod crossing;
mod evaluate;
pub mod exposure;
#[cfg(test)]
mod laws;
mod market;
mod memory;
mod notice;
mod plan;
mod record;
mod requests;
mod snapshot;
mod state;
mod tell;
pub mod what_if;

pub use market::{BearingRecord, Market, ReportRecord, RuleStanding, scope_match};
pub use memory::Episode;
pub use record::ThreatRecord;
pub use requests::{Answered, Requests};
pub use snapshot::Error as SnapshotError;
pub use state::{Adopted, Applied, State};
