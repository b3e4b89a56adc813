//! The readers: from the window at the head, from the stream further back.

use super::super::{
    BoxFuture, Damage, Error, TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail, Testimony, codec,
};
use super::locate;
use super::reading::{Reading, position};
use super::stream::Store;
use super::window::{Placed, Window};
use crate::domain::{Entry, Seq};
use std::sync::Arc;
use std::time::Duration;

/// How long a stream that does not answer is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// Reads after a position, wherever that is.
pub(super) struct StreamTail {
    store: Store,
    window: Arc<Window>,
    /// The last entry that was yielded.
    after: Seq,
    /// Reads what is no longer in the window.
    history: Option<Reading>,
    /// The group that is being yielded.
    group: Option<Arc<Placed>>,
    testimonies: Vec<Testimony>,
}

impl StreamTail {
    pub(super) fn new(store: Store, window: Arc<Window>, after: Seq) -> Self {
        Self { store, window, after, history: None, group: None, testimonies: Vec::new() }
    }

    /// Waits for a group with entries that were not yielded, and keeps it.
    async fn fill(&mut self) -> Result<(), Error> {
        while !self.has_more() {
            let after = self.after;
            let (mut head, mut ended) = (self.window.head(), self.window.ended());
            tokio::select! {
                biased;
                // All that was read comes before the reason why nothing follows.
                risen = head.wait_for(|head| *head > after) => { risen.map_err(|_| Error::Closed)?; }
                why = ended.wait_for(Option::is_some) => {
                    let why = why.ok().and_then(|why| why.clone());
                    return Err(why.unwrap_or(Error::Closed));
                }
            }
            if let Some(group) = self.window.after(after) {
                self.history = None;
                self.keep(group);
            } else {
                let group = self.read_back().await?;
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

    fn keep(&mut self, group: Arc<Placed>) {
        self.testimonies.extend(group.testimony);
        self.group = Some(group);
    }

    async fn read_back(&mut self) -> Result<Placed, Error> {
        let is_past = |reading: &Reading| reading.mark().entry > self.after;
        if self.history.as_ref().is_none_or(is_past) {
            let last = self.window.mark().borrow().message;
            let mark = loop {
                match locate::before(&self.store, self.after, last).await {
                    Err(Error::Unreachable { .. }) => tokio::time::sleep(RETRY).await,
                    found => break found?,
                }
            };
            self.history = Some(Reading::new(self.store.clone(), mark));
        }
        self.history.as_mut().expect("it was just made").next().await
    }

    /// Decodes what is kept, up to the bounds; entries before one that cannot be decoded come first.
    fn take(&mut self, entries: &mut Vec<Entry>, bytes: &mut usize) -> Result<(), Error> {
        let Some(group) = &self.group else { return Ok(()) };
        let yielded = self.after.0.saturating_sub(group.before.entry.0);
        let yielded = usize::try_from(yielded).expect("a group is in memory");
        for (index, (at, payload)) in group.entries.iter().enumerate().skip(yielded) {
            if entries.len() >= TAIL_ENTRIES_MAX || *bytes >= TAIL_BYTES_MAX {
                break;
            }
            let seq = position(group.before, index);
            let decoded = codec::decode(payload)
                .map_err(|error| self.store.damaged(seq, Damage::Undecodable(error.to_string())))?;
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
                if let Err(error) = self.take(&mut entries, &mut bytes) {
                    // Found again by the next call, once everything before it is yielded.
                    return if entries.is_empty() { Err(error) } else { Ok(entries) };
                }
                // What is in memory as well comes along.
                match self.window.after(self.after) {
                    Some(group) if !self.has_more() => self.keep(group),
                    _ => return Ok(entries),
                }
            }
        })
    }

    fn testimonies(&mut self) -> Vec<Testimony> {
        std::mem::take(&mut self.testimonies)
    }
}
