//! `ReplicaService`: a new replica copies the archive.

use crate::archive::{self, format_digest};
use crate::grpc::backend::{Api, acquire_simulation, read_archive};
use crate::grpc::pb::{self, replica_service_server::ReplicaService};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::Xxh3;

const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the caller.
const CHUNKS_AHEAD: usize = 4;

pub(super) struct Replicas(pub(super) Arc<Api>);

type Chunk = Result<pb::FetchArchiveResponse, Status>;

#[tonic::async_trait]
impl ReplicaService for Replicas {
    type FetchArchiveStream = ReceiverStream<Chunk>;

    async fn fetch_archive(
        &self,
        _request: Request<pb::FetchArchiveRequest>,
    ) -> Result<Response<Self::FetchArchiveStream>, Status> {
        let permit = acquire_simulation(&self.0)?;
        let copy = read_archive(&self.0.view, archive::ArchiveReader::copy).await?;
        let (chunk_tx, chunk_rx) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if let Err(error) = send_file(copy, &chunk_tx) {
                tracing::error!(%error, "cannot read the copy of the archive");
                // The caller may be gone.
                let _ = chunk_tx
                    .blocking_send(Err(Status::internal("cannot read the copy of the archive")));
            }
        });
        Ok(Response::new(ReceiverStream::new(chunk_rx)))
    }
}

/// Sends a file in chunks, then its digest; ends early where the caller is gone.
fn send_file(mut copy: File, chunk_tx: &mpsc::Sender<Chunk>) -> io::Result<()> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = copy.read(&mut buffer)?;
        let chunk = buffer.get(..read).expect("no more is read than there is room for");
        hash.update(chunk);
        let digest = if chunk.is_empty() { format_digest(&hash) } else { String::new() };
        let is_last = chunk.is_empty();
        let message = pb::FetchArchiveResponse { chunk: chunk.to_vec(), digest };
        if chunk_tx.blocking_send(Ok(message)).is_err() || is_last {
            return Ok(());
        }
    }
}
