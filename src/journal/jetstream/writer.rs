//! The only task that appends batches: all waiting entries in one message, one acknowledgement,
//! then the next.
//!
//! One message at a time keeps the order of appends even when a message is sent again. Meanwhile
//! further entries gather.

use super::super::contract::StateDigest;
use super::super::error::Error;
use super::super::queue::{GroupLimits, QueueReceiver};
use super::message::{EntryGroup, Message, StreamPosition};
use super::recent_groups::{PositionedGroup, RecentGroups};
use super::stream::StreamClient;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use lodewatch_core::domain::{Seq, Timestamp};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The limits of one message: 4,096 entries, and no further entry from 4 MiB on. Even with the
/// largest entry, 8 MiB, on top the servers accept it.
pub(super) const GROUP_LIMITS: GroupLimits =
    GroupLimits { entries_max: 4096, bytes_max: 4 << 20, yields_max: 16 };

/// How long to wait for an acknowledgement before the same message is sent again.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Appends messages to the stream, each under a name of its own.
#[derive(Clone)]
pub(super) struct Appender {
    pub(super) client: StreamClient,
    pub(super) recent: Arc<RecentGroups>,
    /// Identifies this process in its groups.
    pub(super) id: u64,
    pub(super) digest_rx: watch::Receiver<Option<StateDigest>>,
    /// How long an append may take.
    pub(super) timeout: Duration,
}

impl Appender {
    /// Appends entries as one message, and returns the group as it was read back.
    ///
    /// Sends the message again under the same name until it is known to be in the stream: the
    /// stream has acknowledged it, or it was read.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]; [`Error::Unreachable`] after the timeout where the message was not read: it
    /// may still arrive.
    pub(super) async fn append(
        &self,
        name: &str,
        number: u64,
        entries: Vec<(Timestamp, Bytes)>,
    ) -> Result<Arc<PositionedGroup>, Error> {
        let until = Instant::now() + self.timeout;
        let read_to: StreamPosition = *self.recent.position().borrow();
        let digest = *self.digest_rx.borrow();
        let group = EntryGroup { appender: self.id, number, read_to, digest, entries };
        let bytes = Message::Entries(group).encode();
        let mut last_error: Error = self.client.unreachable(&"no acknowledgement");
        loop {
            let round = until.min(Instant::now() + ACK_TIMEOUT);
            tokio::select! {
                biased;
                read = self.read_back(number, read_to.message) => return read,
                sent = timeout_at(round, self.send(name, &bytes)) => match sent {
                    Ok(Ok(ack)) => return self.of_message(ack.sequence, number, until).await,
                    Ok(Err(error @ Error::Full { .. })) => return Err(error),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, name, "retrying an append");
                        last_error = error;
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                    Err(_) => {}
                },
            }
            if Instant::now() >= until {
                return Err(last_error);
            }
        }
    }

    async fn send(&self, name: &str, bytes: &Bytes) -> Result<PublishAck, Error> {
        let publish = PublishMessage::build().payload(bytes.clone()).message_id(name);
        let sent = self.client.context.send_publish(self.client.subject.to_string(), publish).await;
        let acked = async { sent?.await }.await;
        acked.map_err(|error| {
            if is_full(&error) {
                return Error::Full { location: self.client.location() };
            }
            self.client.unreachable(&error)
        })
    }

    /// Waits until this process's group is read from the stream, after a message; for ever where
    /// its number is 0, because several replicas append it.
    async fn read_back(&self, number: u64, mut from: u64) -> Result<Arc<PositionedGroup>, Error> {
        let (mut position, mut ended) = (self.recent.position(), self.recent.ended());
        let is_ours = |group: &PositionedGroup| group.appender == self.id && group.number == number;
        loop {
            tokio::select! {
                biased;
                risen = position.wait_for(|position| position.message > from) => {
                    let to = risen.map_err(|_| Error::Closed)?.message;
                    let read = (from..to).filter_map(|before| self.recent.of_message(before + 1));
                    if let Some(own) = read.into_iter().find(|group| number > 0 && is_ours(group)) {
                        return Ok(own);
                    }
                    from = to;
                }
                _ = ended.wait_for(Option::is_some) => return Err(Error::Closed),
            }
        }
    }

    /// Waits until a message of the stream is read.
    async fn of_message(
        &self,
        message: u64,
        number: u64,
        until: Instant,
    ) -> Result<Arc<PositionedGroup>, Error> {
        let (mut position, mut ended) = (self.recent.position(), self.recent.ended());
        tokio::select! {
            biased;
            risen = timeout_at(until, position.wait_for(|at| at.message >= message)) => {
                let Ok(risen) = risen else {
                    let cause = "the appended message was not read back in time";
                    return Err(self.client.unreachable(&cause));
                };
                risen.map_err(|_| Error::Closed)?;
            }
            _ = ended.wait_for(Option::is_some) => return Err(Error::Closed),
        }
        let found = self.recent.of_message(message);
        assert!(
            found.as_ref().is_none_or(|group| number == 0 || group.number == number),
            "names of messages are unique"
        );
        found.ok_or_else(|| {
            self.client
                .unreachable(&"an earlier message has the same name and is no longer in memory")
        })
    }
}

/// Whether the servers have no space left.
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

/// Gathers the appends that wait, and appends them.
pub(super) struct Writer {
    pub(super) appender: Appender,
    pub(super) queue_rx: QueueReceiver,
}

impl Writer {
    /// Runs until every handle is gone, or the stream has ended.
    pub(super) async fn run(mut self) {
        let mut number = 0_u64;
        while let Some(mut group) = self.queue_rx.next().await {
            number = number.saturating_add(1);
            let entries = group.requests.iter_mut();
            let entries = entries
                .map(|request| (request.at, Bytes::from(std::mem::take(&mut request.payload))));
            let name = format!("{:016x}-{number}", self.appender.id);
            let entries = entries.collect();
            let started = Instant::now();
            match self.appender.append(&name, number, entries).await {
                Ok(appended) => {
                    self.queue_rx.metrics.observe_commit(group.requests.len(), started.elapsed());
                    let mut seq: Seq = appended.before.entry;
                    for request in group.requests {
                        seq = seq.next();
                        // A caller that no longer waits needs no answer.
                        let _ = request.answer_tx.send(Ok(seq));
                    }
                    assert!(seq == appended.after.entry, "every entry of a group has its answer");
                }
                Err(error) => group.fail(&error),
            }
        }
    }
}
