//! `publish`: send updates, in batches, each safely retried.

use super::arguments::{Output, Publish};
use super::error::Error;
use super::output;
use crate::client;
use crate::grpc::json;
use crate::grpc::pb::feed_service_client::FeedServiceClient;
use crate::grpc::pb::{Outcome, PublishRequest, PublishResponse, Update};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

/// How often one batch is tried.
const TRIES_MAX: u32 = 5;
/// How long to wait between tries.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Publishes a file of JSON lines.
pub(super) async fn run(address: &str, output: Output, arguments: &Publish) -> Result<(), Error> {
    let updates = read(&arguments.file)?;
    let channel = client::connect(address).await?;
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
        sent.add(&publish(&channel, request).await.map_err(Error::refused(doing))?)?;
    }
    sent.finish()
}

/// Publishes one batch; a lost connection or a starting server is tried again, under the same request id.
pub(super) async fn publish(
    channel: &Channel,
    request: PublishRequest,
) -> Result<PublishResponse, Status> {
    let mut client = FeedServiceClient::new(channel.clone());
    let mut tries = 1;
    loop {
        match client.publish(request.clone()).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if tries < TRIES_MAX && is_passing(&status) => {
                tracing::warn!(%status, tries, "publishing again under the same request id");
                tries += 1;
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(status) => return Err(status),
        }
    }
}

fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown)
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
