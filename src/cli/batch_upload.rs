//! Publishing many updates in batches, each safely retried.

use super::error::Error;
use super::output::print::{self, OutputFormat};
use crate::feed_sync::{Outcomes, numbers};
use crate::grpc::pb::{PublishRequest, Update};
use lodewatch_client::{Publisher, Servers};
use uuid::Uuid;

pub(super) struct BatchUpload<'a> {
    pub(super) feed: &'a str,
    pub(super) exercise: bool,
    /// Updates per batch, at least 1.
    pub(super) batch_size: usize,
    /// What the updates' numbers count, for error messages: `line`.
    pub(super) unit: &'a str,
    /// The updates, each with its number.
    pub(super) updates: &'a [(usize, Update)],
}

impl BatchUpload<'_> {
    /// Publishes one batch after the other and prints the outcomes.
    pub(super) async fn run(&self, servers: &Servers, format: OutputFormat) -> Result<(), Error> {
        // An unreachable server is an error now; the publisher would retry for ever.
        servers.connect().await?;
        let mut publisher = Publisher::new(servers.clone());
        let total = u64::try_from(self.updates.len()).unwrap_or(u64::MAX);
        let bar = print::progress_bar("publishing", total);
        let mut outcomes = Outcomes::default();
        for batch in self.updates.chunks(self.batch_size) {
            let request = PublishRequest {
                request_id: Uuid::new_v4().to_string(),
                feed: self.feed.to_owned(),
                updates: batch.iter().map(|(_, update)| update.clone()).collect(),
                exercise: self.exercise,
            };
            let response = publisher.publish(request).await;
            let response = response.map_err(Error::call(self.operation(batch)))?;
            outcomes.add(&response);
            if format == OutputFormat::Json {
                bar.suspend(|| print::json(&response))?;
            }
            bar.inc(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        }
        drop(bar);
        if format == OutputFormat::Table {
            print::line(&outcomes.to_string())?;
        }
        Ok(())
    }

    fn operation(&self, batch: &[(usize, Update)]) -> String {
        let (unit, (first, last)) = (self.unit, numbers(batch));
        format!("publish {unit}s {first} to {last} as one batch (updates[0] is {unit} {first})")
    }
}
