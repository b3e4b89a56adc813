//! `publish`: send updates, in batches, each safely retried.

use super::arguments::{Output, Publish};
use super::error::Error;
use super::output;
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
    servers.connect().await?;
    let mut publisher = Publisher::new(servers.clone());
    let mut sent = Sent::new(output);
    for batch in updates.chunks(usize::from(arguments.batch)) {
        let lines: Vec<usize> = batch.iter().map(|(line, _)| *line).collect();
        let request = PublishRequest {
            request_id: Uuid::new_v4().to_string(),
            feed: arguments.feed.clone(),
            updates: batch.iter().map(|(_, update)| update.clone()).collect(),
            exercise: arguments.exercise,
        };
        let doing = match (lines.first(), lines.last()) {
            (Some(first), Some(last)) => {
                format!("publishing lines {first} to {last} (updates[0] is line {first})")
            }
            _ => "publishing".to_owned(),
        };
        sent.add(&publisher.publish(request).await.map_err(Error::refused(doing))?)?;
    }
    sent.finish()
}

/// What became of all batches.
pub(super) struct Sent {
    output: Output,
    applied: usize,
    unchanged: usize,
    superseded: usize,
    alerts: usize,
}

impl Sent {
    pub(super) fn new(output: Output) -> Self {
        Self { output, applied: 0, unchanged: 0, superseded: 0, alerts: 0 }
    }

    pub(super) fn add(&mut self, response: &PublishResponse) -> Result<(), Error> {
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

    pub(super) fn finish(self) -> Result<(), Error> {
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
fn read(path: &Path) -> Result<Vec<(usize, Update)>, Error> {
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
