//! `archive`: prepare a new replica with another's archive.

use crate::archive::IncomingArchive;
use crate::cli::error::Error;
use crate::cli::input::DataDirArgs;
use crate::cli::output::print;
use clap::{Args, Subcommand};
use lodewatch_client::Servers;
use lodewatch_proto::v1::FetchArchiveRequest;
use lodewatch_proto::v1::replica_service_client::ReplicaServiceClient;
use std::path::Path;
use tonic::Status;

#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Copy archive and newest snapshot of the replica at `--address` into the data directory,
    /// unless it has an archive already.
    Fetch,
}

pub(crate) async fn run(servers: &Servers, args: &ArchiveArgs) -> Result<(), Error> {
    let dir = args.data_dir.load_config()?.data_dir;
    match &args.command {
        ArchiveCommand::Fetch => fetch(servers, &dir).await,
    }
}

async fn fetch(servers: &Servers, dir: &Path) -> Result<(), Error> {
    let Some(mut incoming) = IncomingArchive::create_in(dir)? else {
        return Ok(print::line(&format!("{} already has an archive", dir.display()))?);
    };
    let failed = || Error::call("fetch the archive");
    let mut client = ReplicaServiceClient::new(servers.connect().await?);
    let response = client.fetch_archive(FetchArchiveRequest {}).await;
    let mut chunks = response.map_err(failed())?.into_inner();
    let mut digest = String::new();
    while let Some(part) = chunks.message().await.map_err(failed())? {
        incoming.write(&part.chunk)?;
        digest = part.digest;
    }
    if digest != incoming.digest() {
        return Err(failed()(Status::data_loss(
            "the received bytes do not match the replica's digest; fetch again",
        )));
    }
    incoming.install()?;
    Ok(print::line(&format!("archive copied to {}", dir.display()))?)
}
