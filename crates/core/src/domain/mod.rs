//! The domain: the values that all other code works with, made only by parsing.
//!
//! ```text
//! country, mineral, share   the elements of a fact; hs: how customs classify minerals
//! market                    a (mineral, stage) and its supply reports
//! threat                    an export-control measure; calendar: its dates
//! rule                      a threshold; policy: all rules, weights, blocs and sources in force
//! update                    what a feed publishes and the journal holds; outcome: its result;
//!                           limit: how much is held
//! alert                     what a subscriber receives; filter: which alerts; sentence: as text
//! slug, time                names, positions and instants
//! ```
//!
//! Every type can only be made by parsing, so that code behind the edge never checks twice. Nothing
//! here reads a clock, draws a random number, uses a float, or does I/O.

pub mod alert;
pub mod calendar;
mod catalogue;
pub mod country;
pub mod filter;
pub mod hs;
pub mod limit;
pub mod market;
pub mod mineral;
mod named;
pub mod outcome;
pub mod policy;
pub mod rule;
pub mod sentence;
pub mod share;
pub mod slug;
pub mod threat;
pub mod time;
pub mod update;

pub use alert::Alert;
pub use country::Country;
pub use filter::{Facets, Filter};
pub use hs::HsCode;
pub use market::{MarketKey, Report, Stage};
pub use mineral::Mineral;
pub use policy::Policy;
pub use rule::Rule;
pub use share::Ppm;
pub use slug::Slug;
pub use threat::Threat;
pub use time::{Day, Epoch, Seq, Timestamp};
pub use update::{Batch, Entry, Payload, Position, Update};
