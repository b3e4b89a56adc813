//! What an importer returns.

use lodewatch_core::domain::{Report, Threat};
use std::fmt;

/// The supply reports of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedReports {
    /// The reports, by market and period.
    pub reports: Vec<Report>,
    /// Tables and rows that were skipped.
    pub skipped: Vec<SkippedItem>,
}

/// The threats of a list of export-control measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedThreats {
    /// The threats in the order of the file, all of revision 1.
    pub threats: Vec<Threat>,
    /// Measures that were skipped.
    pub skipped: Vec<SkippedItem>,
}

/// A table, a row or a measure that was skipped, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedItem {
    /// What was skipped, such as `tin mining 2025, India`.
    pub item: String,
    /// Why, such as `not available`.
    pub reason: String,
}

impl fmt::Display for SkippedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.item, self.reason)
    }
}
