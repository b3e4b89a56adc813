//! What an importer took of a file, and what it left.

use lodewatch_core::domain::{Report, Threat};
use std::fmt;

/// What a file of supply reports holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// The reports, by market and period.
    pub reports: Vec<Report>,
    /// Tables and rows that were left out, and why.
    pub skipped: Vec<Skipped>,
}

/// What a list of export-control measures holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threats {
    /// The threats, in the order of the file, all of revision 1.
    pub threats: Vec<Threat>,
    /// Acts that were left out, by id, and why.
    pub skipped: Vec<Skipped>,
}

/// Something that was left out, and why; for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What: a table, a row or a measure.
    pub what: String,
    /// Why it was left out.
    pub why: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
