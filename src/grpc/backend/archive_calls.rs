//! Calls that read the archive: how many at once, and how they end with their caller.

use super::api::Api;
use super::call_end::CallEnd;
use super::simulations::run_with_permit;
use crate::archive::{self, ArchiveReader};
use crate::grpc::admission::{FairPermits, Peer};
use crate::grpc::status;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::{Extensions, Status};

/// Calls that read at a time; the others wait, without a thread. Subscriptions do not wait for
/// them.
const RUNNING_MAX: usize = 4;

/// The limits on calls that read the archive.
pub struct ArchiveCalls {
    /// One permit for each call that reads or waits.
    permits: FairPermits,
    /// One permit for each call that reads, in the order of their arrival.
    running: Arc<Semaphore>,
}

impl ArchiveCalls {
    /// At most `max` calls that read or wait.
    pub fn new(max: usize) -> Self {
        let limit = "server.history_calls_max";
        let permits = FairPermits::new(max, limit, "calls that read the history");
        Self { permits, running: Arc::new(Semaphore::new(RUNNING_MAX)) }
    }
}

/// Reads the archive for a call, on a thread that may block. A caller that leaves while its call
/// waits is forgotten; one that leaves later ends the read, if it asks [`CallEnd::is_over`].
pub(in crate::grpc) async fn read_archive_for<T: Send + 'static>(
    api: &Api,
    request: &Extensions,
    read: impl FnOnce(&ArchiveReader, &CallEnd) -> Result<T, archive::Error> + Send + 'static,
) -> Result<T, Status> {
    let permit = api.archive_calls.permits.acquire(Peer::of(request))?;
    let running = Arc::clone(&api.archive_calls.running).acquire_owned().await;
    let running = running.expect("the semaphore is never closed");
    let archive = api.view.archive().clone();
    // A call that reads is answered while the server drains.
    let call = CallEnd::without_drain(request);
    let read = run_with_permit((permit, running), call, move |call| read(&archive, call));
    read.await.map_err(|error| status::archive(&error))
}
