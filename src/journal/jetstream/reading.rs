//! Messages from a place on, in order and without gaps, for as long as it takes.
//!
//! The consumer is one that the server forgets when nobody asks: whatever goes wrong with it, a new one begins after the last
//! message that was read. Nothing is skipped, since every message carries its number.

use super::super::{Damage, Error};
use super::message::{Fault, Group, Mark, Message};
use super::stream::Store;
use super::window::Placed;
use crate::domain::Seq;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;

/// The server says at least so often that a consumer is alive; after two silences it is made anew.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long one request for messages stands.
const REQUEST_STANDS: Duration = Duration::from_secs(30);

/// How long the server keeps a consumer that nobody asks.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Messages that are on their way at most.
const MESSAGES_AHEAD: usize = 512;

/// Bytes of them: room for the largest message.
const BYTES_AHEAD: usize = 16 << 20;

/// How long a failure is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// A reader of the stream.
pub(super) struct Reading {
    store: Store,
    mark: Mark,
    messages: Option<pull::Stream>,
}

impl Reading {
    /// From a place on.
    pub(super) fn new(store: Store, mark: Mark) -> Self {
        Self { store, mark, messages: None }
    }

    /// How far it has read.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// The next group; waits at the end of the stream, and for as long as the stream is out of reach.
    ///
    /// Cancel safe: a dropped future has taken nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a message that is missing or not what was written: nothing after it is ever read.
    pub(super) async fn next(&mut self) -> Result<Placed, Error> {
        loop {
            match self.received().await {
                Ok((number, bytes)) if number == self.mark.message.saturating_add(1) => {
                    return self.place(number, &bytes);
                }
                // Of a consumer that began too early.
                Ok((number, _)) if number <= self.mark.message => {}
                Ok((number, _)) => {
                    let why = format!("message {number} follows message {}", self.mark.message);
                    // A consumer may begin late while servers change places; the stream itself tells.
                    if self.is_missing().await {
                        tracing::error!(why, "the journal's stream has a gap");
                        return Err(self.store.damaged(self.mark.entry.next(), Damage::Missing));
                    }
                    self.begin_anew(&why).await;
                }
                Err(why) => self.begin_anew(&why).await,
            }
        }
    }

    async fn received(&mut self) -> Result<(u64, Bytes), String> {
        if self.messages.is_none() {
            self.messages = Some(self.consume().await?);
        }
        let messages = self.messages.as_mut().expect("it was just made");
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
                start_sequence: self.mark.message.saturating_add(1),
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN_AFTER,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = self.store.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| error.to_string())?;
        let messages = consumer
            .stream()
            .heartbeat(HEARTBEAT)
            .expires(REQUEST_STANDS)
            .max_messages_per_batch(MESSAGES_AHEAD)
            .max_bytes_per_batch(BYTES_AHEAD)
            .messages();
        messages.await.map_err(|error| error.to_string())
    }

    async fn begin_anew(&mut self, why: &str) {
        tracing::debug!(message = self.mark.message, why, "reading the stream anew");
        self.messages = None;
        tokio::time::sleep(RETRY).await;
    }

    /// Whether the stream's leader has messages after the next one, but not that one.
    async fn is_missing(&self) -> bool {
        let next = self.mark.message.saturating_add(1);
        let Ok(info) = self.store.info().await else { return false };
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        let deleted = info.state.deleted_count.unwrap_or_default();
        next < first || (deleted > 0 && next < last)
    }

    fn place(&mut self, number: u64, bytes: &Bytes) -> Result<Placed, Error> {
        let next = self.mark.entry.next();
        let damaged = |what| Err(self.store.damaged(next, what));
        let group = match Message::decode(bytes) {
            Ok(Message::Group(group)) => group,
            Ok(Message::Genesis(_)) => {
                return damaged(Damage::Undecodable("a second beginning".to_owned()));
            }
            Err(Fault::Checksum) => return damaged(Damage::Checksum),
            Err(fault @ Fault::Undecodable(_)) => {
                return damaged(Damage::Undecodable(fault.to_string()));
            }
        };
        let before = self.mark;
        let placed = placed(group, before, number);
        self.mark = placed.after;
        Ok(placed)
    }
}

/// Counts a group's entries, and keeps time from going back.
fn placed(group: Group, before: Mark, message: u64) -> Placed {
    let Group { appender, number, testimony, mut entries, .. } = group;
    let mut after = Mark { message, ..before };
    for (at, _) in &mut entries {
        after.at = after.at.max(*at);
        *at = after.at;
        after.entry = after.entry.next();
    }
    Placed { appender, number, testimony, before, after, entries }
}

/// The position of the entry of a group that stands after so many others of it.
pub(super) fn position(before: Mark, index: usize) -> Seq {
    let index = u64::try_from(index).expect("a length fits in 64 bits");
    Seq(before.entry.0.saturating_add(index)).next()
}
