//! The readers: from the recent groups at the head, from the stream further back.

use super::super::codec;
use super::super::contract::{BoxFuture, StateDigest, TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail};
use super::super::error::{Damage, Error};
use super::reader::{StreamReader, position_before, seq_at};
use super::recent_groups::{PositionedGroup, RecentGroups};
use super::stream::StreamClient;
use lodewatch_core::domain::{Entry, Seq};
use std::sync::Arc;
use std::time::Duration;

/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Reads everything after a position.
pub(super) struct StreamTail {
    client: StreamClient,
    recent: Arc<RecentGroups>,
    /// The last entry that was yielded.
    after: Seq,
    /// Reads groups that are no longer in memory.
    history: Option<StreamReader>,
    /// The group whose entries are yielded next.
    group: Option<Arc<PositionedGroup>>,
    peer_digests: Vec<StateDigest>,
}

impl StreamTail {
    pub(super) fn new(client: StreamClient, recent: Arc<RecentGroups>, after: Seq) -> Self {
        Self { client, recent, after, history: None, group: None, peer_digests: Vec::new() }
    }

    /// Waits for a group with entries that were not yielded yet, and keeps it.
    async fn fill(&mut self) -> Result<(), Error> {
        while !self.has_more() {
            let after = self.after;
            let (mut head, mut ended) = (self.recent.head(), self.recent.ended());
            tokio::select! {
                biased;
                // Everything that was read comes before the error that ended reading.
                risen = head.wait_for(|head| *head > after) => {
                    risen.map_err(|_| Error::Closed)?;
                }
                end = ended.wait_for(Option::is_some) => {
                    let error = end.ok().and_then(|end| end.clone());
                    return Err(error.unwrap_or(Error::Closed));
                }
            }
            if let Some(group) = self.recent.after(after) {
                self.history = None;
                self.keep(group);
            } else {
                let group = self.read_history().await?;
                if group.after.entry > after {
                    self.keep(Arc::new(group));
                }
            }
        }
        Ok(())
    }

    fn has_more(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.after.entry > self.after)
    }

    fn keep(&mut self, group: Arc<PositionedGroup>) {
        self.peer_digests.extend(group.digest);
        self.group = Some(group);
    }

    async fn read_history(&mut self) -> Result<PositionedGroup, Error> {
        let is_past = |reading: &StreamReader| reading.position().entry > self.after;
        if self.history.as_ref().is_none_or(is_past) {
            let last = self.recent.position().borrow().message;
            let position = loop {
                match position_before(&self.client, self.after, last).await {
                    Err(Error::Unreachable { .. }) => tokio::time::sleep(RETRY_DELAY).await,
                    found => break found?,
                }
            };
            self.history = Some(StreamReader::new(self.client.clone(), position));
        }
        self.history.as_mut().expect("it was just created").next().await
    }

    /// Decodes entries of the kept group, up to the limits; entries before one that cannot be
    /// decoded come first.
    fn decode_kept(&mut self, entries: &mut Vec<Entry>, bytes: &mut usize) -> Result<(), Error> {
        let Some(group) = &self.group else { return Ok(()) };
        let yielded = self.after.0.saturating_sub(group.before.entry.0);
        let yielded = usize::try_from(yielded).expect("a group has fewer entries than usize::MAX");
        for (index, (at, payload)) in group.entries.iter().enumerate().skip(yielded) {
            if entries.len() >= TAIL_ENTRIES_MAX || *bytes >= TAIL_BYTES_MAX {
                break;
            }
            let seq = seq_at(group.before, index);
            let decoded = codec::decode(payload).map_err(|error| {
                self.client.damaged(seq, Damage::Undecodable(error.to_string()))
            })?;
            entries.push(Entry { seq, at: *at, payload: decoded });
            *bytes = bytes.saturating_add(payload.len());
            self.after = seq;
        }
        Ok(())
    }
}

impl Tail for StreamTail {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            self.fill().await?;
            let (mut entries, mut bytes) = (Vec::new(), 0);
            loop {
                if let Err(error) = self.decode_kept(&mut entries, &mut bytes) {
                    // The next call finds it again, once everything before it is yielded.
                    return if entries.is_empty() { Err(error) } else { Ok(entries) };
                }
                // Further groups in memory are added.
                match self.recent.after(self.after) {
                    Some(group) if !self.has_more() => self.keep(group),
                    _ => return Ok(entries),
                }
            }
        })
    }

    fn peer_digests(&mut self) -> Vec<StateDigest> {
        std::mem::take(&mut self.peer_digests)
    }
}
