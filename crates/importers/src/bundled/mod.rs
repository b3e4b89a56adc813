//! Data that comes with the binary: JSON lines, each an `Update` of the protocol in protobuf's JSON
//! mapping, as `lodewatch publish` accepts them. Every line has its source.
//!
//! - `reports.jsonl`: of every market that the U.S. Geological Survey publishes, the newest year;
//!   and of five markets China's share of refining in 2024 by the International Energy Agency, each
//!   a single figure, with the rest as residual. Anode graphite and magnet rare earths stand for
//!   the refining of graphite and of rare earths: for the groups as a whole no figure is cited.
//! - `threats.jsonl`: export-control measures that were considered, announced or in force at some
//!   time since 2019.
//!
//! Apart from the agency's figures, both are what `lodewatch import --dry-run` makes of the public
//! files.

/// Supply reports, one update per line.
pub const REPORTS: &str = include_str!("reports.jsonl");

/// Threats, one update per line.
pub const THREATS: &str = include_str!("threats.jsonl");
