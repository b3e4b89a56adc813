//! Reads the messages of the stream from a position on, in order and without gaps.
//!
//! The server forgets a consumer that stops asking. If anything goes wrong with a consumer, the
//! reader creates another one after the last message that was read. It skips nothing, since every
//! message carries its number.

use super::super::error::{Damage, Error};
use super::message::{EntryGroup, Message, MessageError, StreamPosition};
use super::recent_groups::PositionedGroup;
use super::stream::StreamClient;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt;
use lodewatch_core::domain::Seq;
use std::time::Duration;

/// How often the server shows at least that a consumer is alive; after two missed heartbeats the
/// reader creates another consumer.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long one request for messages stays open.
const REQUEST_EXPIRY: Duration = Duration::from_secs(30);

/// How long the server keeps a consumer that stopped asking.
const CONSUMER_EXPIRY: Duration = Duration::from_secs(30);

/// The limit of the messages in flight.
const MESSAGES_IN_FLIGHT_MAX: usize = 512;

/// The limit of their bytes: room for the largest message.
const BYTES_IN_FLIGHT_MAX: usize = 16 << 20;

/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A reader of the stream.
pub(super) struct StreamReader {
    client: StreamClient,
    position: StreamPosition,
    messages: Option<pull::Stream>,
}

impl StreamReader {
    pub(super) fn new(client: StreamClient, position: StreamPosition) -> Self {
        Self { client, position, messages: None }
    }

    /// The position after the last message that was read.
    pub(super) fn position(&self) -> StreamPosition {
        self.position
    }

    /// The next group; waits at the end of the stream, and for as long as the stream is
    /// unreachable.
    ///
    /// Cancel safe: a dropped future loses no message.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a message that is missing or not what was written: nothing after it
    /// is ever read.
    pub(super) async fn next(&mut self) -> Result<PositionedGroup, Error> {
        loop {
            match self.receive().await {
                Ok((number, bytes)) if number == self.position.message.saturating_add(1) => {
                    return self.accept(number, &bytes);
                }
                // From a consumer that began too early.
                Ok((number, _)) if number <= self.position.message => {}
                Ok((number, _)) => {
                    let last = self.position.message;
                    let cause = format!("message {number} follows message {last}");
                    // A consumer may begin late while servers change roles; the stream itself
                    // decides.
                    if self.is_next_missing().await {
                        tracing::error!(cause, "the journal's stream has a gap");
                        let next = self.position.entry.next();
                        return Err(self.client.damaged(next, Damage::Missing));
                    }
                    self.restart(&cause).await;
                }
                Err(cause) => self.restart(&cause).await,
            }
        }
    }

    async fn receive(&mut self) -> Result<(u64, Bytes), String> {
        if self.messages.is_none() {
            self.messages = Some(self.consume().await?);
        }
        let messages = self.messages.as_mut().expect("it was just created");
        match messages.next().await {
            Some(Ok(message)) => {
                let info = message.info().map_err(|error| error.to_string())?;
                let number = info.stream_sequence;
                Ok((number, message.message.payload))
            }
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the consumer has ended".to_owned()),
        }
    }

    async fn consume(&self) -> Result<pull::Stream, String> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.position.message.saturating_add(1),
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_EXPIRY,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = self.client.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| error.to_string())?;
        let messages = consumer
            .stream()
            .heartbeat(HEARTBEAT)
            .expires(REQUEST_EXPIRY)
            .max_messages_per_batch(MESSAGES_IN_FLIGHT_MAX)
            .max_bytes_per_batch(BYTES_IN_FLIGHT_MAX)
            .messages();
        messages.await.map_err(|error| error.to_string())
    }

    async fn restart(&mut self, cause: &str) {
        tracing::debug!(message = self.position.message, cause, "restarting the stream consumer");
        self.messages = None;
        tokio::time::sleep(RETRY_DELAY).await;
    }

    /// Whether the stream's leader has messages after the next one, but not the next one.
    async fn is_next_missing(&self) -> bool {
        let next = self.position.message.saturating_add(1);
        let Ok(info) = self.client.fetch_info().await else { return false };
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        let deleted = info.state.deleted_count.unwrap_or_default();
        next < first || (deleted > 0 && next < last)
    }

    fn accept(&mut self, number: u64, bytes: &Bytes) -> Result<PositionedGroup, Error> {
        let next = self.position.entry.next();
        let damaged = |damage| Err(self.client.damaged(next, damage));
        let group = match Message::decode(bytes) {
            Ok(Message::Entries(group)) => group,
            Ok(Message::Genesis(_)) => {
                return damaged(Damage::Undecodable("it repeats the first message".to_owned()));
            }
            Err(MessageError::Checksum) => return damaged(Damage::Checksum),
            Err(
                error @ (MessageError::TooShort
                | MessageError::Format(_)
                | MessageError::Content(_)),
            ) => return damaged(Damage::Undecodable(error.to_string())),
        };
        let before = self.position;
        let group = assign_positions(group, before, number);
        self.position = group.after;
        Ok(group)
    }
}

/// Counts a group's entries, and keeps timestamps from going back.
fn assign_positions(group: EntryGroup, before: StreamPosition, message: u64) -> PositionedGroup {
    let EntryGroup { appender, number, digest, mut entries, .. } = group;
    let mut after = StreamPosition { message, ..before };
    for (at, _) in &mut entries {
        after.at = after.at.max(*at);
        *at = after.at;
        after.entry = after.entry.next();
    }
    PositionedGroup { appender, number, digest, before, after, entries }
}

/// The position of a group's entry, by its index in the group; `before` is the position before the
/// group.
pub(super) fn seq_at(before: StreamPosition, index: usize) -> Seq {
    let index = u64::try_from(index).expect("a length fits in 64 bits");
    Seq(before.entry.0.saturating_add(index)).next()
}

/// A position at or before an entry, and near it; `last` is the last message that may be read.
///
/// Every group contains how far its appender had read: its message and its entry. A bisection finds
/// the last group whose appender had not yet read past the wanted entry; the position is where that
/// appender was.
pub(super) async fn position_before(
    client: &StreamClient,
    entry: Seq,
    last: u64,
) -> Result<StreamPosition, Error> {
    let start = StreamPosition::START;
    let (mut found, mut low, mut high) = (start, start.message, last);
    if entry == Seq::ZERO {
        return Ok(found);
    }
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low) / 2);
        let read_to = position_before_message(client, middle).await?;
        if read_to.entry <= entry {
            low = middle;
            found = if read_to.message > found.message { read_to } else { found };
        } else {
            high = middle.saturating_sub(1);
        }
    }
    Ok(found)
}

/// How far the appender of a message had read.
pub(super) async fn position_before_message(
    client: &StreamClient,
    message: u64,
) -> Result<StreamPosition, Error> {
    match Message::decode(&client.fetch_message(message).await?) {
        Ok(Message::Entries(group)) => Ok(group.read_to),
        Ok(Message::Genesis(_)) => Ok(StreamPosition::START),
        Err(error) => {
            let what = format!("message {message}: {error}");
            Err(client.damaged(Seq::ZERO, Damage::Undecodable(what)))
        }
    }
}
