//! A stream of messages that a thread of its own makes, for a caller who may stop reading.
//!
//! ```text
//! thread: work, WorkSender ─ a few messages ─► WorkStream: the response
//!           └─ the response is dropped, the call's deadline, drain: the work ends at once
//! ```
//!
//! A response that its caller does not read is dropped after `server.transfer_timeout`.
//!
//! Architecture invariant: the permit of the work lives on its thread, which waits for nothing but
//! the reader and the end of the call.

use crate::grpc::admission::Peer;
use crate::grpc::backend::{Api, CallEnd};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
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
    let permit = api.simulations.permits.acquire(Peer::of(request))?;
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
    Ok(WorkStream { message_rx, failure_rx, _end: end })
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
    /// The status with which the work must end: the call is over.
    pub(in crate::grpc) fn send(&self, message: T) -> Result<(), Status> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.call.reached() => Err(self.call.status()),
                sent = self.message_tx.send(message) => sent.map_err(|_| self.call.status()),
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
