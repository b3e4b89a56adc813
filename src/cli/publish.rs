//! `publish`: send updates, in batches, each safely retried.

use super::arguments::{Output, Publish};
use super::error::Error;
use super::{output, progress};
use crate::feed_sync::{Outcomes, json_lines, numbers};
use crate::grpc::pb::{PublishRequest, Update};
use lodewatch_client::{Publisher, Servers};
use std::io::Read;
use std::path::Path;
use uuid::Uuid;

/// Publishes a file of JSON lines.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Publish,
) -> Result<(), Error> {
    let updates = read(&arguments.file)?;
    let shipment = Shipment {
        feed: &arguments.feed,
        exercise: arguments.exercise,
        batch: usize::from(arguments.batch),
        unit: "line",
        updates: &updates,
    };
    shipment.send(servers, output).await
}

/// Updates that are to be published in batches.
pub(super) struct Shipment<'a> {
    /// Under which name.
    pub(super) feed: &'a str,
    /// Whether it is a drill.
    pub(super) exercise: bool,
    /// How many in one batch, at least 1.
    pub(super) batch: usize,
    /// What their numbers count, for error messages: `line`.
    pub(super) unit: &'a str,
    /// The updates, each with its number.
    pub(super) updates: &'a [(usize, Update)],
}

impl Shipment<'_> {
    /// Publishes one batch after the other, and prints what became of them.
    pub(super) async fn send(&self, servers: &Servers, output: Output) -> Result<(), Error> {
        // Says at once when nobody is there.
        servers.connect().await?;
        let mut publisher = Publisher::new(servers.clone());
        let bar =
            progress::bar("publishing", u64::try_from(self.updates.len()).unwrap_or(u64::MAX));
        let mut outcomes = Outcomes::default();
        for batch in self.updates.chunks(self.batch) {
            let request = PublishRequest {
                request_id: Uuid::new_v4().to_string(),
                feed: self.feed.to_owned(),
                updates: batch.iter().map(|(_, update)| update.clone()).collect(),
                exercise: self.exercise,
            };
            let response = publisher.publish(request).await;
            let response = response.map_err(Error::refused(self.doing(batch)))?;
            outcomes.add(&response);
            if output == Output::Json {
                bar.suspend(|| output::json(&response))?;
            }
            bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        }
        drop(bar);
        if output == Output::Table {
            output::line(&outcomes.to_string())?;
        }
        Ok(())
    }

    fn doing(&self, batch: &[(usize, Update)]) -> String {
        let (unit, (first, last)) = (self.unit, numbers(batch));
        format!("publishing {unit}s {first} to {last}, all or none (updates[0] is {unit} {first})")
    }
}

/// The updates of a file, each with its line.
pub(super) fn read(path: &Path) -> Result<Vec<(usize, Update)>, Error> {
    let unusable = |source| Error::Import { path: path.to_owned(), source };
    json_lines(&bytes(path)?).map_err(unusable)
}

/// All of a file; `-` is standard input.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|source| Error::Read { path: path.to_owned(), source })
}
