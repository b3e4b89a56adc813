//! `publish`: send updates, in batches, each safely retried.

use super::arguments::{Output, Publish};
use super::error::Error;
use super::{output, progress};
use crate::client::{Publisher, Servers};
use crate::grpc::json;
use crate::grpc::pb::{Outcome, PublishRequest, PublishResponse, Update};
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
        let mut sent = Sent::new(output);
        for batch in self.updates.chunks(self.batch) {
            let request = PublishRequest {
                request_id: Uuid::new_v4().to_string(),
                feed: self.feed.to_owned(),
                updates: batch.iter().map(|(_, update)| update.clone()).collect(),
                exercise: self.exercise,
            };
            let response = publisher.publish(request).await;
            let response = response.map_err(Error::refused(self.doing(batch)))?;
            bar.suspend(|| sent.add(&response))?;
            bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        }
        drop(bar);
        sent.finish()
    }

    fn doing(&self, batch: &[(usize, Update)]) -> String {
        let number = |update: Option<&(usize, Update)>| update.map_or(0, |(number, _)| *number);
        let (first, last, unit) = (number(batch.first()), number(batch.last()), self.unit);
        format!("publishing {unit}s {first} to {last}, all or none (updates[0] is {unit} {first})")
    }
}

/// What became of all batches.
struct Sent {
    output: Output,
    applied: usize,
    unchanged: usize,
    superseded: usize,
    alerts: usize,
}

impl Sent {
    fn new(output: Output) -> Self {
        Self { output, applied: 0, unchanged: 0, superseded: 0, alerts: 0 }
    }

    fn add(&mut self, response: &PublishResponse) -> Result<(), Error> {
        for result in &response.results {
            match result.outcome() {
                Outcome::Applied => self.applied += 1,
                Outcome::Superseded => self.superseded += 1,
                Outcome::Unchanged | Outcome::Unspecified => self.unchanged += 1,
            }
        }
        self.alerts += response.alert_sequences.len();
        if self.output == Output::Json {
            output::json(response)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        if self.output == Output::Table {
            let Self { applied, unchanged, superseded, alerts, .. } = self;
            output::line(&format!(
                "{applied} applied, {unchanged} unchanged, {superseded} superseded; {alerts} alerts"
            ))?;
        }
        Ok(())
    }
}

/// The updates of a file, each with its line.
pub(super) fn read(path: &Path) -> Result<Vec<(usize, Update)>, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::read_to_string(path).map(|content| {
            text = content;
            text.len()
        })
    };
    read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(line, json)| {
            let update = json::from_json::<Update>(json);
            let unreadable = |why: json::Error| Error::Line {
                path: path.to_owned(),
                line,
                why: why.to_string(),
            };
            Ok((line, update.map_err(unreadable)?))
        })
        .collect()
}
