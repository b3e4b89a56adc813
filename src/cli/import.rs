//! `import`: public files, read and published.

use super::arguments::{Import, ImportKind, Output};
use super::error::Error;
use super::output;
use super::publish::Sent;
use crate::client::{Publisher, Servers};
use crate::domain::Update;
use crate::feeds::{self, Skipped};
use crate::grpc;
use crate::grpc::pb::PublishRequest;
use std::sync::Arc;
use uuid::Uuid;

/// Updates in one batch.
const BATCH: usize = 100;

/// Reads a file and publishes what it says, or prints it.
pub(super) async fn run(
    servers: &Servers,
    output: Output,
    arguments: &Import,
) -> Result<(), Error> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let (updates, skipped) = read(arguments.kind, &bytes)
        .map_err(|source| Error::Import { path: path.clone(), source })?;
    for Skipped { what, why } in &skipped {
        anstream::eprintln!("left out: {what}: {why}");
    }
    anstream::eprintln!("{} updates read, {} left out", updates.len(), skipped.len());
    let updates: Vec<_> = updates.iter().map(grpc::render::update).collect();
    if arguments.dry_run {
        updates.iter().try_for_each(output::json)?;
        return Ok(());
    }
    let kind = match arguments.kind {
        ImportKind::Usgs => "usgs",
        ImportKind::Events => "events",
    };
    let feed = arguments.feed.clone().unwrap_or_else(|| kind.to_owned());
    servers.connect().await?;
    let mut publisher = Publisher::new(servers.clone());
    let mut sent = Sent::new(output);
    for batch in updates.chunks(BATCH) {
        let request = PublishRequest {
            request_id: Uuid::new_v4().to_string(),
            feed: feed.clone(),
            updates: batch.to_vec(),
            exercise: false,
        };
        let doing = format!("publishing {}", path.display());
        sent.add(&publisher.publish(request).await.map_err(Error::refused(doing))?)?;
    }
    sent.finish()
}

fn read(kind: ImportKind, bytes: &[u8]) -> Result<(Vec<Update>, Vec<Skipped>), feeds::Error> {
    match kind {
        ImportKind::Usgs => {
            let import = feeds::usgs::read(bytes)?;
            let updates = import.reports.into_iter().map(|report| Update::Report(Arc::new(report)));
            Ok((updates.collect(), import.skipped))
        }
        ImportKind::Events => {
            let import = feeds::events::read(bytes)?;
            let updates = import.threats.into_iter().map(|threat| Update::Threat(Arc::new(threat)));
            Ok((updates.collect(), import.skipped))
        }
    }
}
