//! `ReplicaService`: what a new replica begins with.

use super::alert_service::read;
use super::api::Api;
use super::pb::{self, replica_service_server::ReplicaService};
use super::what_if::permit;
use crate::archive::format_digest;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::Xxh3;

/// Bytes of one message.
const CHUNK_BYTES: usize = 256 * 1024;
/// Messages that wait to be sent.
const CHUNKS_AHEAD: usize = 4;

/// Hands out copies.
pub(super) struct Replicas(pub(super) Arc<Api>);

type Part = Result<pb::FetchArchiveResponse, Status>;

#[tonic::async_trait]
impl ReplicaService for Replicas {
    type FetchArchiveStream = ReceiverStream<Part>;

    async fn fetch_archive(
        &self,
        _request: Request<pb::FetchArchiveRequest>,
    ) -> Result<Response<Self::FetchArchiveStream>, Status> {
        let permit = permit(&self.0)?;
        let copy = read(&self.0.view, crate::archive::ArchiveReader::copy).await?;
        let (parts, sent) = mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if let Err(error) = send(copy, &parts) {
                tracing::error!(%error, "a copy of the archive cannot be read");
                // Nobody waits for it where the caller is gone.
                let _ = parts.blocking_send(Err(Status::internal("the copy cannot be read")));
            }
        });
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

/// Sends a file in parts, then its digest; ends early where nobody takes them.
fn send(mut copy: File, parts: &mpsc::Sender<Part>) -> io::Result<()> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = copy.read(&mut buffer)?;
        let chunk = buffer.get(..read).expect("no more is read than there is room for");
        hash.update(chunk);
        let digest = if chunk.is_empty() { format_digest(&hash) } else { String::new() };
        let is_last = chunk.is_empty();
        let part = pb::FetchArchiveResponse { chunk: chunk.to_vec(), digest };
        if parts.blocking_send(Ok(part)).is_err() || is_last {
            return Ok(());
        }
    }
}
