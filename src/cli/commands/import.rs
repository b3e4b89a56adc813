//! `import`: read a file of a data source and publish its contents.

use crate::cli::calls::BatchUpload;
use crate::cli::error::Error;
use crate::cli::input;
use crate::cli::output::print::{self, OutputFormat};
use crate::escape::escape_styled;
use crate::feed_sync::{BATCH_UPDATES, Format, ImportSummary, number_revisions};
use clap::{Args, Subcommand};
use lodewatch_client::Servers;
use lodewatch_importers::SkippedItem;
use lodewatch_importers::table::{self, Mapping};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    file: ImportFile,
    /// Feed name to publish under; default: the kind of the file.
    #[arg(long, global = true)]
    feed: Option<String>,
    /// Print the updates as JSON Lines instead of publishing them.
    #[arg(long, global = true)]
    dry_run: bool,
    /// List everything that was imported or skipped, instead of counting it.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum ImportFile {
    /// A data release of the USGS Mineral Commodity Summaries, 2025 or 2026.
    Usgs {
        /// CSV file of the release.
        file: PathBuf,
    },
    /// A CSV table of supply figures, with a mapping that names its columns.
    #[command(after_long_help = format!("Example of a mapping:\n\n{}", table::EXAMPLE))]
    Csv {
        /// CSV file.
        file: PathBuf,
        /// Mapping, in TOML; `lodewatch import csv --help` shows an example.
        #[arg(long, value_name = "FILE")]
        mapping: PathBuf,
    },
    /// An export of interventions from Global Trade Alert's data centre.
    Gta {
        /// CSV file of the export.
        file: PathBuf,
    },
    /// A list of export-control measures with their dates.
    Events {
        /// CSV file.
        file: PathBuf,
    },
    /// Updates in JSON Lines, as `publish` reads them.
    Jsonl {
        /// JSON Lines file; `-` reads standard input.
        file: PathBuf,
    },
}

pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &ImportArgs,
) -> Result<(), Error> {
    let (importer, file) = match &args.file {
        ImportFile::Usgs { file } => (Format::Usgs, file),
        ImportFile::Csv { file, mapping } => {
            let bytes = input::read(mapping)?;
            let mapping = Mapping::parse(&bytes).map_err(Error::import(mapping))?;
            (Format::Csv(Box::new(mapping)), file)
        }
        ImportFile::Gta { file } => (Format::Gta, file),
        ImportFile::Events { file } => (Format::Events, file),
        ImportFile::Jsonl { file } => (Format::Jsonl, file),
    };
    let spinner = print::spinner(format!("reading {}", file.display()));
    let read =
        input::read(file).and_then(|bytes| importer.read(&bytes).map_err(Error::import(file)));
    drop(spinner);
    let mut read = read?;
    anstream::eprint!("{}", escape_styled(&summarize(&read.imported, &read.skipped, args.verbose)));
    if args.dry_run {
        return Ok(read.updates.iter().try_for_each(|(_, update)| print::json(update))?);
    }
    if read.needs_revisions {
        let numbered = number_revisions(servers.connect().await?, &mut read.updates).await;
        numbered.map_err(Error::call("list threats"))?;
    }
    let upload = BatchUpload {
        feed: args.feed.as_deref().unwrap_or(importer.name()),
        exercise: false,
        batch_size: BATCH_UPDATES,
        unit: read.unit,
        updates: &read.updates,
    };
    upload.run(servers, format).await
}

/// What was imported; then how much was skipped, by reason, the most frequent first. If `verbose`,
/// both are listed item by item.
fn summarize(imported: &ImportSummary, skipped: &[SkippedItem], verbose: bool) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("imported: {}\n", imported.count);
    for name in imported.names.iter().filter(|_| verbose) {
        let _ = writeln!(text, "          {name}");
    }
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for SkippedItem { item, reason } in skipped {
        by_reason.entry(reason).or_default().push(item);
    }
    let mut by_reason: Vec<_> = by_reason.into_iter().collect();
    // The sort is stable: reasons with equal counts stay in alphabetical order.
    by_reason.sort_by_key(|(_, items)| std::cmp::Reverse(items.len()));
    let hint = if verbose || skipped.is_empty() { "" } else { "; --verbose lists them" };
    let _ = writeln!(text, "skipped: {}{hint}", skipped.len());
    for (reason, items) in by_reason {
        let _ = writeln!(text, "{:>6}  {reason}", items.len());
        for item in items.iter().filter(|_| verbose) {
            let _ = writeln!(text, "          {item}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_items_are_counted_by_reason_and_listed_on_demand() {
        let skipped =
            |item: &str, reason: &str| SkippedItem { item: item.into(), reason: reason.into() };
        let all = [
            skipped("Scandium", "no countries"),
            skipped("tin mining 2025, India", "NA, not available"),
            skipped("Yttrium", "no countries"),
            skipped("Boron", "cannot be added"),
        ];
        let names = vec!["tin mining: 2024, 2025".to_owned()];
        let imported = ImportSummary { count: "2 reports of 1 market".to_owned(), names };
        let summaries = [
            summarize(&imported, &all, false),
            summarize(&imported, &all, true),
            summarize(&imported, &[], true),
        ];
        insta::assert_snapshot!(summaries.join("\n"));
    }
}
