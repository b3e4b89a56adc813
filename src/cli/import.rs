//! `import`: files of others, read and published.

use super::arguments::{Import, ImportFile, Output};
use super::error::Error;
use super::publish::{self, Shipment};
use super::{output, progress, taken};
use crate::feed_sync::{BATCH, BYTES_MAX, Format, revisions};
use lodewatch_client::Servers;
use lodewatch_importers;
use lodewatch_importers::table::Mapping;
use std::path::Path;

/// Reads a file and publishes what it says, or prints it.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Import,
) -> Result<(), Error> {
    let (format, file) = match &arguments.file {
        ImportFile::Usgs { file } => (Format::Usgs, file),
        ImportFile::Csv { file, mapping } => {
            let read = Mapping::parse(&bytes(mapping)?).map_err(unusable(mapping))?;
            (Format::Csv(Box::new(read)), file)
        }
        ImportFile::Gta { file } => (Format::Gta, file),
        ImportFile::Events { file } => (Format::Events, file),
        ImportFile::Jsonl { file } => (Format::Jsonl, file),
    };
    let spinner = progress::spinner(format!("reading {}", file.display()));
    let read = bytes(file).and_then(|bytes| format.read(&bytes).map_err(unusable(file)));
    drop(spinner);
    let mut read = read?;
    let summary = taken::summary(&read.taken, &read.skipped, arguments.verbose);
    anstream::eprint!("{summary}");
    if arguments.dry_run {
        return Ok(read.updates.iter().try_for_each(|(_, update)| output::json(update))?);
    }
    if read.numbers_revisions {
        let numbered = revisions::number(servers.connect().await?, &mut read.updates).await;
        numbered.map_err(Error::refused("listing threats"))?;
    }
    let shipment = Shipment {
        feed: arguments.feed.as_deref().unwrap_or(format.name()),
        exercise: false,
        batch: BATCH,
        unit: read.unit,
        updates: &read.updates,
    };
    shipment.send(servers, output).await
}

/// A file as a whole, unless it is larger than any that is known; `-` is standard input.
fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    if path != Path::new("-") {
        let unreadable = |source| Error::Read { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > BYTES_MAX {
            return Err(Error::TooLarge { path: path.to_owned(), bytes, max: BYTES_MAX });
        }
    }
    publish::bytes(path)
}

fn unusable(path: &Path) -> impl FnOnce(lodewatch_importers::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Import { path, source }
}
