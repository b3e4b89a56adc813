//! `archive`: begin a new replica with what another has.

use super::arguments::{Archive, ArchiveCommand};
use super::error::Error;
use super::output;
use crate::archive::IncomingArchive;
use crate::grpc::pb::FetchArchiveRequest;
use crate::grpc::pb::replica_service_client::ReplicaServiceClient;
use lodewatch_client::Servers;
use std::path::Path;
use tonic::Status;

/// Does what is asked on the data directory of the configuration.
pub(super) async fn run(servers: &Servers, arguments: &Archive) -> Result<(), Error> {
    let dir = arguments.place.settings()?.data_dir;
    match &arguments.command {
        ArchiveCommand::Fetch => fetch(servers, &dir).await,
    }
}

async fn fetch(servers: &Servers, dir: &Path) -> Result<(), Error> {
    let Some(mut incoming) = IncomingArchive::create_in(dir)? else {
        return Ok(output::line(&format!("{} has an archive already", dir.display()))?);
    };
    let refused = |status: Status| Error::refused("fetching the archive")(status);
    let mut client = ReplicaServiceClient::new(servers.connect().await?);
    let answer = client.fetch_archive(FetchArchiveRequest {}).await;
    let mut parts = answer.map_err(refused)?.into_inner();
    let mut digest = String::new();
    while let Some(part) = parts.message().await.map_err(refused)? {
        incoming.write(&part.chunk)?;
        digest = part.digest;
    }
    if digest != incoming.digest() {
        let status = Status::data_loss(
            "what arrived is not what was sent, or not all of it; fetch it again",
        );
        return Err(refused(status));
    }
    incoming.install()?;
    Ok(output::line(&format!("{} has the archive now", dir.display()))?)
}
