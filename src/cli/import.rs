//! `import`: files of others, read and published.

use super::arguments::{Import, ImportFile, Output};
use super::error::Error;
use super::publish::{self, Shipment};
use super::taken::{self, Taken};
use super::{output, progress, threats};
use crate::client::{Connection, Servers};
use crate::domain::{MarketKey, Update as Said};
use crate::feeds::{self, Reports, Skipped, Threats};
use crate::grpc;
use crate::grpc::pb::update::Update as Kind;
use crate::grpc::pb::{ListThreatsRequest, Threat, Update};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Updates in one batch.
const BATCH: usize = 100;
/// The largest file, in bytes: several times the largest one known, all of Global Trade Alert. A larger one is refused.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Reads a file and publishes what it says, or prints it.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Import,
) -> Result<(), Error> {
    let mut read = read(&arguments.file)?;
    let summary = taken::summary(&read.taken, &read.skipped, arguments.verbose);
    anstream::eprint!("{summary}");
    if arguments.dry_run {
        return Ok(read.updates.iter().try_for_each(|(_, update)| output::json(update))?);
    }
    if read.numbers_revisions {
        number_revisions(&servers.connect().await?, &mut read.updates).await?;
    }
    let shipment = Shipment {
        feed: arguments.feed.as_deref().unwrap_or(read.feed),
        exercise: false,
        batch: BATCH,
        unit: read.unit,
        updates: &read.updates,
    };
    shipment.send(servers, output).await
}

/// What a file holds.
struct Read {
    /// The name under which it is published where the user gives none.
    feed: &'static str,
    /// What the numbers of the updates count.
    unit: &'static str,
    updates: Vec<(usize, Update)>,
    taken: Taken,
    skipped: Vec<Skipped>,
    /// Whether its threats come without a revision of their own.
    numbers_revisions: bool,
}

fn read(file: &ImportFile) -> Result<Read, Error> {
    match file {
        ImportFile::Usgs { file } => Ok(of_reports("usgs", parse(file, feeds::usgs::read)?)),
        ImportFile::Csv { file, mapping } => {
            let mapping = parse(mapping, feeds::table::Mapping::parse)?;
            Ok(of_reports("csv", parse(file, |bytes| feeds::table::read(bytes, &mapping))?))
        }
        ImportFile::Gta { file } => Ok(of_threats("gta", parse(file, feeds::gta::read)?)),
        ImportFile::Events { file } => Ok(of_threats("events", parse(file, feeds::events::read)?)),
        ImportFile::Jsonl { file } => {
            let updates = publish::read(file)?;
            let taken = Taken { count: counted(updates.len(), "update"), names: Vec::new() };
            let (feed, unit, skipped) = ("jsonl", "line", Vec::new());
            Ok(Read { feed, unit, updates, taken, skipped, numbers_revisions: false })
        }
    }
}

fn parse<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, feeds::Error>) -> Result<T, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_owned(), bytes, max: FILE_BYTES_MAX });
    }
    let spinner = progress::spinner(format!("reading {}", path.display()));
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let parsed = parse(&bytes);
    drop(spinner);
    parsed.map_err(|source| Error::Import { path: path.to_owned(), source })
}

fn of_reports(feed: &'static str, import: Reports) -> Read {
    let mut markets: BTreeMap<MarketKey, Vec<String>> = BTreeMap::new();
    for report in &import.reports {
        markets.entry(report.market()).or_default().push(report.period().to_string());
    }
    let name =
        |(market, periods): (&MarketKey, &Vec<String>)| format!("{market}: {}", periods.join(", "));
    let taken = Taken {
        count: format!(
            "{} of {}",
            counted(import.reports.len(), "report"),
            counted(markets.len(), "market")
        ),
        names: markets.iter().map(name).collect(),
    };
    let said = import.reports.into_iter().map(|report| Said::Report(Arc::new(report)));
    let updates = numbered(said);
    Read { feed, unit: "update", updates, taken, skipped: import.skipped, numbers_revisions: false }
}

fn of_threats(feed: &'static str, import: Threats) -> Read {
    let taken = Taken {
        count: counted(import.threats.len(), "threat"),
        names: import.threats.iter().map(|threat| threat.id.to_string()).collect(),
    };
    let updates = numbered(import.threats.into_iter().map(|threat| Said::Threat(Arc::new(threat))));
    Read { feed, unit: "update", updates, taken, skipped: import.skipped, numbers_revisions: true }
}

/// `1 market`, `2 markets`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn numbered(said: impl Iterator<Item = Said>) -> Vec<(usize, Update)> {
    (1..).zip(said.map(|one| grpc::render::update(&one))).collect()
}

/// Gives a threat that says something new the revision after the one in the record, and any other the one that is there,
/// so that a list can be read again when it has changed and changes nothing when it has not.
async fn number_revisions(
    channel: &Connection,
    updates: &mut [(usize, Update)],
) -> Result<(), Error> {
    let request = ListThreatsRequest { page_size: 1000, ..ListThreatsRequest::default() };
    let records = threats::all(channel.clone(), request).await?;
    let recorded: BTreeMap<String, Threat> = records
        .into_iter()
        .filter_map(|record| record.threat)
        .map(|threat| (threat.id.clone(), threat))
        .collect();
    for (_, update) in updates {
        let Some(Kind::Threat(threat)) = &mut update.update else { continue };
        let Some(known) = recorded.get(&threat.id) else { continue };
        threat.revision = known.revision;
        if threat != known {
            threat.revision = known.revision.saturating_add(1);
        }
    }
    Ok(())
}
