//! The engine: one journal entry applied to the state returns the alerts it causes.
//!
//! ```text
//!             entry ──► State::apply ──► alerts
//!                          │
//!   state           applies entries; knows the policy in force, markets and threats
//!   record          which updates of a batch change the record, which are rejected
//!   usage           how much of each limit on the record is used
//!   recent_batches  the results of recent batches, for retries
//!   deadlines       what is due, and when
//!   market          the reports, threats and rule states of one market
//!     reports         the reports of one source on it
//!   plan            what the rules of a policy need from a market
//!   evaluate        the rules of one market, after a batch, a deadline or a policy
//!     exposure        which measures reach which buyer
//!     concentration   the value of a metric
//!     crossing        which level a value reaches
//!     instance_state  what a rule remembers: levels, flapping, staleness
//!     notice          threats that move no index
//!     emit            builds the alerts
//!     effects         which threats an alert shows, and in which order
//!   cost            how many alerts a batch can cause at most
//!   snapshot        the state as bytes and back
//!   simulation      what would happen: entries applied to a copy
//!   work            how much a simulation may do
//! ```
//!
//! Architecture invariant: nothing here knows a clock, randomness, floats, hash order, async or
//! I/O, and `apply` cannot fail. The same entries give the same alerts on every replica, after
//! every restart, from every snapshot.

pub mod concentration;
mod cost;
pub mod crossing;
mod deadlines;
pub mod effects;
mod emit;
mod evaluate;
pub mod exposure;
mod instance_state;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod limit_tests;
mod market;
mod notice;
mod plan;
mod recent_batches;
mod record;
mod reports;
pub mod simulation;
mod snapshot;
mod state;
mod usage;
mod work;

pub use instance_state::Episode;
pub use market::{Market, MarketThreat, ReportRecord, RuleStatus, scope_match};
pub use recent_batches::{BatchResult, RecentBatches};
pub use record::ThreatRecord;
pub use snapshot::{SnapshotError, SnapshotReader};
pub use state::{AdoptedPolicy, AlertSink, AppliedEntry, State};
pub use work::{WorkMeter, WorkStop};
