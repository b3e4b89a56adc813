//! How bytes become updates: by the importers of `feeds`, or as they are.

use super::Error;
use crate::config::FeedFormat;
use crate::domain::{MarketKey, Update as Said};
use crate::grpc;
use crate::grpc::json;
use crate::grpc::pb::Update;
use lodewatch_importers::table::Mapping;
use lodewatch_importers::{self, Faults, Reports, Skipped, Threats, utf8};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of file, with what it takes to read it.
#[derive(Debug)]
pub enum Format {
    /// A release of the USGS.
    Usgs,
    /// A table.
    Csv(Box<Mapping>),
    /// Global Trade Alert's export.
    Gta,
    /// A list of measures.
    Events,
    /// Updates, one a line.
    Jsonl,
}

/// What a file holds.
#[derive(Debug)]
pub struct Read {
    /// What the numbers of the updates count.
    pub unit: &'static str,
    /// The updates, each with its number.
    pub updates: Vec<(usize, Update)>,
    /// What was taken.
    pub taken: ImportSummary,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// Whether its threats come without a revision of their own.
    pub numbers_revisions: bool,
}

/// What was taken of a file, for people.
#[derive(Debug)]
pub struct ImportSummary {
    /// How much: `158 reports of 79 markets`.
    pub count: String,
    /// Everything by name: markets with their periods, or ids.
    pub names: Vec<String>,
}

impl Format {
    /// What settings name, and the bytes of the mapping that they name.
    ///
    /// # Errors
    ///
    /// Where the mapping cannot be read or used.
    pub fn open(format: &FeedFormat) -> Result<(Self, Vec<u8>), Error> {
        let format = match format {
            FeedFormat::Usgs => Self::Usgs,
            FeedFormat::Gta => Self::Gta,
            FeedFormat::Events => Self::Events,
            FeedFormat::Jsonl => Self::Jsonl,
            FeedFormat::Csv { mapping: path } => {
                let unreadable = |source| Error::File { path: path.clone(), source };
                let bytes = std::fs::read(path).map_err(unreadable)?;
                let unusable = |source| Error::Mapping { path: path.clone(), source };
                let mapping = Mapping::parse(&bytes).map_err(unusable)?;
                return Ok((Self::Csv(Box::new(mapping)), bytes));
            }
        };
        Ok((format, Vec::new()))
    }

    /// As settings and the command line call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Usgs => "usgs",
            Self::Csv(_) => "csv",
            Self::Gta => "gta",
            Self::Events => "events",
            Self::Jsonl => "jsonl",
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each fault with its line; then nothing is taken.
    pub fn read(&self, bytes: &[u8]) -> Result<Read, lodewatch_importers::Error> {
        match self {
            Self::Usgs => lodewatch_importers::usgs::read(bytes).map(of_reports),
            Self::Csv(mapping) => lodewatch_importers::table::read(bytes, mapping).map(of_reports),
            Self::Gta => lodewatch_importers::gta::read(bytes).map(of_threats),
            Self::Events => lodewatch_importers::events::read(bytes).map(of_threats),
            Self::Jsonl => {
                let updates = json_lines(bytes)?;
                let taken =
                    ImportSummary { count: counted(updates.len(), "update"), names: Vec::new() };
                let (unit, skipped) = ("line", Vec::new());
                Ok(Read { unit, updates, taken, skipped, numbers_revisions: false })
            }
        }
    }
}

/// Updates in the project's own form, each with its line; lines with nothing in them are none.
///
/// # Errors
///
/// Every line that is not the JSON of an update.
pub fn json_lines(bytes: &[u8]) -> Result<Vec<(usize, Update)>, lodewatch_importers::Error> {
    let mut faults = Faults::default();
    let lines = (1..).zip(utf8(bytes)?.lines()).filter(|(_, line)| !line.trim().is_empty());
    let updates = lines.filter_map(|(line, text)| {
        let update = json::from_json::<Update>(text).map_err(|error| {
            let (why, column) = error.in_line();
            lodewatch_importers::Error::Json {
                line: u64::try_from(line).unwrap_or(u64::MAX),
                column,
                why,
            }
        });
        faults.take(update).map(|update| (line, update))
    });
    let updates = updates.collect();
    faults.finish(updates)
}

fn of_reports(import: Reports) -> Read {
    let mut markets: BTreeMap<MarketKey, Vec<String>> = BTreeMap::new();
    for report in &import.reports {
        markets.entry(report.market()).or_default().push(report.period().to_string());
    }
    let name =
        |(market, periods): (&MarketKey, &Vec<String>)| format!("{market}: {}", periods.join(", "));
    let taken = ImportSummary {
        count: format!(
            "{} of {}",
            counted(import.reports.len(), "report"),
            counted(markets.len(), "market")
        ),
        names: markets.iter().map(name).collect(),
    };
    let said = import.reports.into_iter().map(|report| Said::Report(Arc::new(report)));
    let updates = numbered(said);
    Read { unit: "update", updates, taken, skipped: import.skipped, numbers_revisions: false }
}

fn of_threats(import: Threats) -> Read {
    let taken = ImportSummary {
        count: counted(import.threats.len(), "threat"),
        names: import.threats.iter().map(|threat| threat.id.to_string()).collect(),
    };
    let updates = numbered(import.threats.into_iter().map(|threat| Said::Threat(Arc::new(threat))));
    Read { unit: "update", updates, taken, skipped: import.skipped, numbers_revisions: true }
}

/// `1 market`, `2 markets`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn numbered(said: impl Iterator<Item = Said>) -> Vec<(usize, Update)> {
    (1..).zip(said.map(|one| grpc::render::update(&one))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_is_no_update_is_named_with_its_column() {
        let lines = "{\"removal\":{\"threatId\":\"A\"}}\n\n{\"removal\":{\"threadId\":\"A\"}}\n{\"removal\":";
        let error = json_lines(lines.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(error);
        let good = json_lines(lines.lines().next().unwrap().as_bytes()).unwrap();
        assert_eq!(good.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1]);
        assert_eq!(
            json_lines(b"a\nb\xff").unwrap_err(),
            lodewatch_importers::Error::NotUtf8 { line: 2 }
        );
    }
}
