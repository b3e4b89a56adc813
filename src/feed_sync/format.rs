//! Reads the bytes of a file into updates: by an importer, or JSON lines as they are.

use super::Error;
use crate::config::FeedFormat;
use crate::grpc;
use crate::grpc::json;
use lodewatch_core::domain::{self, MarketKey};
use lodewatch_importers::table::Mapping;
use lodewatch_importers::{
    self, ErrorCollector, ImportedReports, ImportedThreats, SkippedItem, utf8,
};
use lodewatch_proto::v1::Update;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format of a file, with the mapping of a table.
#[derive(Debug)]
pub enum Format {
    /// A release of the USGS.
    Usgs,
    /// A table in CSV.
    Csv(Box<Mapping>),
    /// Global Trade Alert's export.
    Gta,
    /// A list of measures.
    Events,
    /// Updates, one per line.
    Jsonl,
}

/// The content of a file.
#[derive(Debug)]
pub struct FileContent {
    /// What the numbers of the updates count: `line` or `update`.
    pub unit: &'static str,
    /// The updates, each with its number, from 1.
    pub updates: Vec<(usize, Update)>,
    pub imported: ImportSummary,
    pub skipped: Vec<SkippedItem>,
    /// Whether the format has no revisions, so that threats get theirs from the server.
    pub needs_revisions: bool,
}

/// What was imported from a file, for people.
#[derive(Debug)]
pub struct ImportSummary {
    /// `158 reports of 79 markets`
    pub count: String,
    /// Markets with their periods, or ids of threats.
    pub names: Vec<String>,
}

impl Format {
    /// The format that settings name, and the bytes of its mapping.
    ///
    /// # Errors
    ///
    /// Where the mapping cannot be read or is invalid.
    pub fn open(format: &FeedFormat) -> Result<(Self, Vec<u8>), Error> {
        let format = match format {
            FeedFormat::Usgs => Self::Usgs,
            FeedFormat::Gta => Self::Gta,
            FeedFormat::Events => Self::Events,
            FeedFormat::Jsonl => Self::Jsonl,
            FeedFormat::Csv { mapping: path } => {
                let unreadable = |source| Error::ReadMapping { path: path.clone(), source };
                let bytes = std::fs::read(path).map_err(unreadable)?;
                let invalid = |source| Error::InvalidMapping { path: path.clone(), source };
                let mapping = Mapping::parse(&bytes).map_err(invalid)?;
                return Ok((Self::Csv(Box::new(mapping)), bytes));
            }
        };
        Ok((format, Vec::new()))
    }

    /// The name in settings and on the command line.
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
    /// Every error of the file, each with its line; then nothing of it is imported.
    pub fn read(&self, bytes: &[u8]) -> Result<FileContent, lodewatch_importers::Error> {
        match self {
            Self::Usgs => lodewatch_importers::usgs::read(bytes).map(report_content),
            Self::Csv(mapping) => {
                lodewatch_importers::table::read(bytes, mapping).map(report_content)
            }
            Self::Gta => lodewatch_importers::gta::read(bytes).map(threat_content),
            Self::Events => lodewatch_importers::events::read(bytes).map(threat_content),
            Self::Jsonl => {
                let updates = parse_json_lines(bytes)?;
                let count = counted(updates.len(), "update");
                let imported = ImportSummary { count, names: Vec::new() };
                let (unit, skipped) = ("line", Vec::new());
                Ok(FileContent { unit, updates, imported, skipped, needs_revisions: false })
            }
        }
    }
}

/// Parses updates in the project's own format, each with its line; blank lines are ignored.
///
/// # Errors
///
/// Every line that is not the JSON of an update.
pub fn parse_json_lines(bytes: &[u8]) -> Result<Vec<(usize, Update)>, lodewatch_importers::Error> {
    let mut errors = ErrorCollector::default();
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
        errors.check(update).map(|update| (line, update))
    });
    let updates = updates.collect();
    errors.finish(updates)
}

fn report_content(import: ImportedReports) -> FileContent {
    let mut markets: BTreeMap<MarketKey, Vec<String>> = BTreeMap::new();
    for report in &import.reports {
        markets.entry(report.market()).or_default().push(report.period().to_string());
    }
    let name =
        |(market, periods): (&MarketKey, &Vec<String>)| format!("{market}: {}", periods.join(", "));
    let imported = ImportSummary {
        count: format!(
            "{} of {}",
            counted(import.reports.len(), "report"),
            counted(markets.len(), "market")
        ),
        names: markets.iter().map(name).collect(),
    };
    let reports = import.reports.into_iter();
    let updates = numbered(reports.map(|report| domain::Update::Report(Arc::new(report))));
    let skipped = import.skipped;
    FileContent { unit: "update", updates, imported, skipped, needs_revisions: false }
}

fn threat_content(import: ImportedThreats) -> FileContent {
    let imported = ImportSummary {
        count: counted(import.threats.len(), "threat"),
        names: import.threats.iter().map(|threat| threat.id.to_string()).collect(),
    };
    let threats = import.threats.into_iter();
    let updates = numbered(threats.map(|threat| domain::Update::Threat(Arc::new(threat))));
    let skipped = import.skipped;
    FileContent { unit: "update", updates, imported, skipped, needs_revisions: true }
}

/// `1 market`, `2 markets`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn numbered(updates: impl Iterator<Item = domain::Update>) -> Vec<(usize, Update)> {
    (1..).zip(updates.map(|update| grpc::render::update(&update))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_is_not_an_update_is_reported_with_its_column() {
        let lines = "{\"removal\":{\"threatId\":\"A\"}}\n\n{\"removal\":{\"threadId\":\"A\"}}\n{\"removal\":";
        let error = parse_json_lines(lines.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(error);
        let good = parse_json_lines(lines.lines().next().unwrap().as_bytes()).unwrap();
        assert_eq!(good.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1]);
        assert_eq!(
            parse_json_lines(b"a\nb\xff").unwrap_err(),
            lodewatch_importers::Error::NotUtf8 { line: 2 }
        );
    }
}
