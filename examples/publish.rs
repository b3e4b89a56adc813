//! Publishes JSON lines, each a `lodewatch.v1.Update`, in batches that are applied once, even if
//! either side crashes.
//!
//!     cargo run --example publish -- FEED FILE HOST:PORT [HOST:PORT ...]
//!
//! A batch without a reply is sent again under its `request_id`, to the next server. A rejection
//! names every invalid field.
#![allow(clippy::print_stdout, reason = "the output of the example")]

use lodewatch::grpc::json;
use lodewatch_client::{Publisher, Servers};
use lodewatch_proto::v1::{Outcome, PublishRequest, PublishResponse, Update};
use std::process::ExitCode;
use tonic::{Code, Status};
use uuid::Uuid;

/// Updates in one batch, at most 1,000.
const BATCH: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    match publish_file().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn publish_file() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let feed = arguments.next().ok_or("usage: publish FEED FILE HOST:PORT [HOST:PORT ...]")?;
    let path = arguments.next().ok_or("usage: publish FEED FILE HOST:PORT [HOST:PORT ...]")?;
    let servers = arguments.collect::<Vec<_>>();
    let servers = Servers::parse(servers.iter().map(String::as_str));
    let mut publisher = Publisher::new(servers.map_err(|error| error.to_string())?);
    for batch in read(&path)?.chunks(BATCH) {
        let request = PublishRequest {
            request_id: Uuid::new_v4().to_string(),
            feed: feed.clone(),
            updates: batch.iter().map(|(_, update)| update.clone()).collect(),
            exercise: false,
        };
        let number = |line: Option<&(usize, Update)>| line.map_or(0, |(number, _)| *number);
        let place = format!("lines {} to {}", number(batch.first()), number(batch.last()));
        let answer = publish(&mut publisher, request).await;
        // Names every invalid field; updates[0] is the first line of the batch.
        let answer = answer.map_err(|status| format!("{place}: {}", status.message()))?;
        let applied = answer.results.iter().filter(|result| result.outcome() == Outcome::Applied);
        let (applied, alerts) = (applied.count(), answer.alert_sequences.len());
        println!("{place}: {applied} applied, {alerts} alerts");
    }
    Ok(())
}

/// Returns once the batch is durable and applied. An error means that it was rejected.
async fn publish(
    publisher: &mut Publisher,
    request: PublishRequest,
) -> Result<PublishResponse, Status> {
    loop {
        // The publisher itself retries for about half a minute.
        match publisher.publish(request.clone()).await {
            Err(status) if status.code() == Code::Unavailable => {
                eprintln!("{}; retrying the batch", status.message());
            }
            answer => return answer,
        }
    }
}

/// Reads the updates of a file, each with its line number.
fn read(path: &str) -> Result<Vec<(usize, Update)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(number, line)| match json::from_json(line) {
        Ok(update) => Ok((number, update)),
        Err(error) => Err(format!("{path}:{number}: {error}")),
    });
    parsed.collect()
}
