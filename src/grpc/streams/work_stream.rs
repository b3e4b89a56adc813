//! A stream of messages that a thread of its own makes, for a caller who may stop reading.
//!
//! ```text
//! thread: work, WorkSender ─ a few messages ─► WorkStream: the response
//!           └─ the caller is gone, does not read, deadline, drain: the work ends at once
//! ```
//!
//! Architecture invariant: the permit of the work lives on its thread, which never waits longer
//! than the unread timeout, so the permit is given back although the response is never polled.

use crate::grpc::admission::{FairPermit, Peer, StreamPermit};
use crate::grpc::backend::{Api, CallEnd};
use crate::grpc::status;
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tonic::{Extensions, Status};

/// Messages that wait for their reader; then the work waits.
const MESSAGES_AHEAD: usize = 2;

/// The response: the messages, then the status with which the work ended, if it failed.
pub(in crate::grpc) struct WorkStream<T> {
    message_rx: mpsc::Receiver<T>,
    failure_rx: oneshot::Receiver<Status>,
    /// The work ends with the response.
    _end: DropGuard,
    _permit: StreamPermit,
}

/// Where the work sends its messages.
pub(in crate::grpc) struct WorkSender<T> {
    message_tx: mpsc::Sender<T>,
    api: Arc<Api>,
    call: CallEnd,
    runtime: Handle,
}

/// Starts work on a thread of its own, which holds one of the permits of simulations.
///
/// # Errors
///
/// `RESOURCE_EXHAUSTED` where there is no permit.
pub(in crate::grpc) fn start_work<T: Send + 'static>(
    api: &Arc<Api>,
    request: &Extensions,
    work: impl FnOnce(&WorkSender<T>) -> Result<(), Status> + Send + 'static,
) -> Result<WorkStream<T>, Status> {
    let peer = Peer::of(request);
    let stream_permit = api.limits.acquire_stream(peer)?;
    let permit: FairPermit = api.simulations.permits.acquire(peer)?;
    let (message_tx, message_rx) = mpsc::channel(MESSAGES_AHEAD);
    let (failure_tx, failure_rx) = oneshot::channel();
    let (call, runtime) = (CallEnd::of(api, request), Handle::current());
    let end = call.end_on_drop();
    let sender = WorkSender { message_tx, api: Arc::clone(api), call, runtime };
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        if let Err(status) = work(&sender) {
            // The caller may be gone.
            let _ = failure_tx.send(status);
        }
    });
    Ok(WorkStream { message_rx, failure_rx, _end: end, _permit: stream_permit })
}

impl<T> WorkSender<T> {
    pub(in crate::grpc) fn api(&self) -> &Api {
        &self.api
    }

    pub(in crate::grpc) fn call(&self) -> &CallEnd {
        &self.call
    }

    pub(in crate::grpc) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Sends a message, once its reader has room for it.
    ///
    /// # Errors
    ///
    /// The status with which the work must end: the call is over, or its reader does not read.
    pub(in crate::grpc) fn send(&self, message: T) -> Result<(), Status> {
        let unread_timeout = self.api.simulations.unread_timeout;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.call.reached() => Err(self.call.status()),
                sent = timeout(unread_timeout, self.message_tx.send(message)) => match sent {
                    Ok(sent) => sent.map_err(|_| self.call.status()),
                    Err(_) => {
                        self.api.metrics.work.count_unread();
                        Err(status::unread(unread_timeout))
                    }
                },
            }
        })
    }
}

impl<T> Stream for WorkStream<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.message_rx.poll_recv(context)) {
            return Poll::Ready(Some(Ok(message)));
        }
        // The thread sends its failure before it drops the channel of messages.
        let failure = self.failure_rx.try_recv().ok();
        Poll::Ready(failure.map(Err))
    }
}
