//! Importers: readers of the formats in which others publish supply figures and export-control
//! measures.
//!
//! ```text
//! USGS release (2025: wide, UTF-8; 2026: long, Windows-1252) ── usgs::read   ──> reports
//! any other table in CSV, with a mapping of its columns      ── table::read  ──> reports
//! list of export-control measures                            ── events::read ──> threats
//! Global Trade Alert's export of interventions               ── gta::read    ──> threats
//! data that comes with the binary, in the project's format   ── bundled      ──> JSON lines
//! ```
//!
//! A damaged file is an [`Error`] that names the line, and nothing of it is imported. A row that is
//! sound and cannot be used is skipped: every importer returns what it imported and what it
//! [skipped](SkippedItem), with the reason. Figures are imported as they are written: no gap is
//! filled, and no source is mixed with another.

#![warn(missing_docs)]

pub mod bundled;
mod error;
pub mod events;
pub mod gta;
mod imported;
mod number;
mod sheet;
pub mod table;
pub mod usgs;

pub use error::{Error, ErrorCollector};
pub use imported::{ImportedReports, ImportedThreats, SkippedItem};
pub use sheet::utf8;

/// A hint at the known names nearest to an unknown one; empty where none is near.
fn near(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}
