//! The only one that appends: all that wait in one message, one acknowledgement, then the next.
//!
//! One message at a time, so that appends stay in their order whatever is sent again. While one is under way, others gather.

use super::super::queue::{Most, Waiting, refuse};
use super::super::{Error, Place, Testimony};
use super::message::{Group, Mark, Message};
use super::stream::Store;
use super::window::{Placed, Window};
use crate::domain::{Seq, Timestamp};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The groups of one message each: at most 4,096 entries, and no further one from 4 MiB on. With the largest entry, 8 MiB, on top
/// it is still a message that the servers take.
pub(super) const GROUPS: Most = Most { entries: 4096, bytes: 4 << 20, turns: 16 };

/// How long an acknowledgement is awaited before the same message is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a failure is left alone.
const RETRY: Duration = Duration::from_millis(100);

/// What appends to the stream: messages under names of their own.
#[derive(Clone)]
pub(super) struct Appender {
    pub(super) store: Store,
    pub(super) window: Arc<Window>,
    /// This process, to those who read its groups.
    pub(super) id: u64,
    /// What was made of the journal here.
    pub(super) testimony: watch::Receiver<Option<Testimony>>,
    /// How long an append may take.
    pub(super) patience: Duration,
}

impl Appender {
    /// Appends entries as one message, and gives the group as it was read back.
    ///
    /// Sent again under the same name until it is known to be there: by the stream's acknowledgement, or because it was read.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]; [`Error::Unreachable`] where the time is over and the message was not read: it may come yet.
    pub(super) async fn append(
        &self,
        name: &str,
        number: u64,
        entries: Vec<(Timestamp, Bytes)>,
    ) -> Result<Arc<Placed>, Error> {
        let until = Instant::now() + self.patience;
        let seen: Mark = *self.window.mark().borrow();
        let testimony = *self.testimony.borrow();
        let group = Group { appender: self.id, number, seen, testimony, entries };
        let bytes = Message::Group(group).encode();
        let mut why: Error = self.store.unreachable(&"there is no answer");
        loop {
            let round = until.min(Instant::now() + AGAIN);
            tokio::select! {
                biased;
                read = self.read_back(number, seen.message) => return read,
                sent = timeout_at(round, self.send(name, &bytes)) => match sent {
                    Ok(Ok(ack)) => return self.of_message(ack.sequence, number, until).await,
                    Ok(Err(error @ Error::Full { .. })) => return Err(error),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, name, "an append is tried again");
                        why = error;
                        tokio::time::sleep(RETRY).await;
                    }
                    Err(_) => {}
                },
            }
            if Instant::now() >= until {
                return Err(why);
            }
        }
    }

    async fn send(&self, name: &str, bytes: &Bytes) -> Result<PublishAck, Error> {
        let publish = PublishMessage::build().payload(bytes.clone()).message_id(name);
        let sent = self.store.context.send_publish(self.store.subject.to_string(), publish).await;
        let acked = async { sent?.await }.await;
        acked.map_err(|error| {
            if is_full(&error) {
                return Error::Full { place: Place::Stream(Arc::clone(&self.store.name)) };
            }
            self.store.unreachable(&error)
        })
    }

    /// Waits until a group of ours is read from the stream, after a message; for ever where its number says that several append
    /// it.
    async fn read_back(&self, number: u64, mut from: u64) -> Result<Arc<Placed>, Error> {
        let (mut mark, mut ended) = (self.window.mark(), self.window.ended());
        let is_ours = |group: &Placed| group.appender == self.id && group.number == number;
        loop {
            tokio::select! {
                biased;
                risen = mark.wait_for(|mark| mark.message > from) => {
                    let to = risen.map_err(|_| Error::Closed)?.message;
                    let read = (from..to).filter_map(|before| self.window.of_message(before + 1));
                    if let Some(own) = read.into_iter().find(|group| number > 0 && is_ours(group)) {
                        return Ok(own);
                    }
                    from = to;
                }
                _ = ended.wait_for(Option::is_some) => return Err(Error::Closed),
            }
        }
    }

    /// Waits until a message that is in the stream is read.
    async fn of_message(
        &self,
        message: u64,
        number: u64,
        until: Instant,
    ) -> Result<Arc<Placed>, Error> {
        let (mut mark, mut ended) = (self.window.mark(), self.window.ended());
        tokio::select! {
            biased;
            risen = timeout_at(until, mark.wait_for(|mark| mark.message >= message)) => {
                let Ok(risen) = risen else {
                    return Err(self.store.unreachable(&"what was appended is not read back"));
                };
                risen.map_err(|_| Error::Closed)?;
            }
            _ = ended.wait_for(Option::is_some) => return Err(Error::Closed),
        }
        let found = self.window.of_message(message);
        assert!(
            found.as_ref().is_none_or(|group| number == 0 || group.number == number),
            "names of messages are unique"
        );
        found.ok_or_else(|| self.store.unreachable(&"it was appended before, and long ago"))
    }
}

/// Whether the servers have no room.
fn is_full(error: &PublishError) -> bool {
    const FULL: [ErrorCode; 4] = [
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::STREAM_STORE_FAILED,
    ];
    let cause =
        error.source().and_then(|cause| cause.downcast_ref::<async_nats::jetstream::Error>());
    error.kind() == PublishErrorKind::Other
        && cause.is_some_and(|cause| FULL.contains(&cause.error_code()))
}

/// What gathers the appends that wait, and appends them.
pub(super) struct Writer {
    pub(super) appender: Appender,
    pub(super) waiting: Waiting,
}

impl Writer {
    /// Runs until every handle is gone, or the stream has ended.
    pub(super) async fn run(mut self) {
        let mut number = 0_u64;
        while let Some(mut group) = self.waiting.next().await {
            number = number.saturating_add(1);
            let entries = group.requests.iter_mut();
            let entries = entries
                .map(|request| (request.at, Bytes::from(std::mem::take(&mut request.payload))));
            let name = format!("{:016x}-{number}", self.appender.id);
            let entries = entries.collect();
            let begun = Instant::now();
            match self.appender.append(&name, number, entries).await {
                Ok(placed) => {
                    self.waiting.metrics.observe_commit(group.requests.len(), begun.elapsed());
                    let mut seq: Seq = placed.before.entry;
                    for request in group.requests {
                        seq = seq.next();
                        // Whoever no longer waits for the answer does not need it.
                        let _ = request.answer.send(Ok(seq));
                    }
                    assert!(seq == placed.after.entry, "every entry of a group has its answer");
                }
                Err(error) => refuse(&error, group),
            }
        }
    }
}
