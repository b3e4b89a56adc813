//! `ReplicaService`: a new replica copies the archive.

use crate::archive::format_digest;
use crate::grpc::backend::Api;
use crate::grpc::pb::{self, replica_service_server::ReplicaService};
use crate::grpc::status;
use crate::grpc::streams::{WorkSender, WorkStream, start_work};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use xxhash_rust::xxh3::Xxh3;

const CHUNK_BYTES: usize = 256 * 1024;

pub(super) struct Replicas(pub(super) Arc<Api>);

#[tonic::async_trait]
impl ReplicaService for Replicas {
    type FetchArchiveStream = WorkStream<pb::FetchArchiveResponse>;

    async fn fetch_archive(
        &self,
        request: Request<pb::FetchArchiveRequest>,
    ) -> Result<Response<Self::FetchArchiveStream>, Status> {
        let stream = start_work(&self.0, request.extensions(), |sender| {
            let call = sender.call().clone();
            let copy = sender.api().view.archive().copy(move || call.is_over());
            let copy = copy.map_err(|error| status::archive(&error))?;
            send_file(copy, sender)
        })?;
        Ok(Response::new(stream))
    }
}

/// Sends a file in chunks, then its digest.
fn send_file(mut copy: File, sender: &WorkSender<pb::FetchArchiveResponse>) -> Result<(), Status> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = copy.read(&mut buffer).map_err(|error| {
            tracing::error!(%error, "cannot read the copy of the archive");
            Status::internal("cannot read the copy of the archive")
        })?;
        let chunk = buffer.get(..read).expect("no more is read than there is room for");
        hash.update(chunk);
        let is_last = chunk.is_empty();
        let digest = if is_last { format_digest(&hash) } else { String::new() };
        sender.send(pb::FetchArchiveResponse { chunk: chunk.to_vec(), digest })?;
        if is_last {
            return Ok(());
        }
    }
}
