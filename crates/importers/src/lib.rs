//! Real files, read into updates.
//!
//! ```text
//! USGS release (2025: wide, UTF-8; 2026: long, Windows-1252) ── usgs::read   ──> reports
//! any other table in CSV, with a mapping of its columns      ── table::read  ──> reports
//! list of export-control measures                            ── events::read ──> threats
//! Global Trade Alert's export of interventions               ── gta::read    ──> threats
//! data that comes with the binary, in the project's format   ── bundled      ──> JSON lines
//! ```
//!
//! A file that is damaged is an [`Error`] that names the line, and nothing of it is taken. What is sound but says
//! nothing that can be used is left out and told: every importer answers what it took and what it [`Skipped`], with the
//! reason. Figures are taken as they are written: no gap is filled, no source mixed with another.

#![warn(missing_docs)]

pub mod bundled;
mod day;
mod error;
pub mod events;
mod faults;
pub mod gta;
mod number;
mod sheet;
pub mod table;
mod taken;
pub mod usgs;

pub use error::Error;
pub use faults::Faults;
pub use sheet::utf8;
pub use taken::{Reports, Skipped, Threats};

/// A hint at the known names nearest to an unknown one; empty where none is near.
fn near(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}
