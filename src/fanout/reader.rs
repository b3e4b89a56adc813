//! A reader: one subscriber's position and filter, and the loop that moves the position.

use super::block::BlockRead;
use super::lag::LagTracker;
use super::messages::{EncodedRun, encode_page};
use super::ring::{Ring, RingLookup};
use crate::archive;
use lodewatch_core::domain::update::Position;
use lodewatch_core::domain::{Filter, Seq};
use std::sync::Arc;
use tokio::sync::watch;

/// What [`Reader::next`] returns.
#[derive(Debug)]
pub enum ReaderEvent {
    /// Messages of the alerts that match the filter, in order, ready for the wire.
    Messages(EncodedRun),
    /// Everything up to the last applied entry was delivered.
    CaughtUp,
    /// The reader fell below the ring and reads the archive again.
    FellBehind {
        /// How many entries it is behind.
        entries: u64,
    },
}

/// A position in the stream of alerts, moved by its owner. Holds no alerts.
pub struct Reader {
    ring: Arc<Ring>,
    applied_rx: watch::Receiver<Seq>,
    archive: archive::ArchiveReader,
    filter: Arc<Filter>,
    position: Position,
    /// The same position, for the metrics.
    tracker: LagTracker,
    mode: ReaderMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderMode {
    /// Not yet known.
    Starting,
    /// Reads the archive.
    History,
    /// Reads the ring, not yet at its end.
    Recent,
    /// At the last applied entry.
    Live,
}

impl Reader {
    /// How much is read from the archive at once, in bytes.
    const CHUNK_BYTES: usize = 64 * 1024;

    /// A reader of everything after a position.
    pub fn new(
        ring: Arc<Ring>,
        archive: archive::ArchiveReader,
        filter: Arc<Filter>,
        after: Position,
    ) -> Self {
        let applied_rx = ring.watch_applied();
        let tracker = ring.trackers.add(after.entry);
        let mode = ReaderMode::Starting;
        Self { ring, applied_rx, archive, filter, position: after, tracker, mode }
    }

    /// Every alert up to here was delivered or does not match the filter.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last entry whose alerts can be read.
    pub fn applied(&self) -> Seq {
        self.ring.applied()
    }

    /// The next event. Waits at the last applied entry.
    ///
    /// Cancel safe: if the future is dropped, the next call continues from the same position.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read.
    pub async fn next(&mut self) -> Result<ReaderEvent, archive::Error> {
        loop {
            // Skipping alerts that do not match must not keep the thread from other tasks.
            tokio::task::coop::consume_budget().await;
            if self.position.alerts > 0 {
                // The rest of this entry cannot be read before it is applied.
                let entry = self.position.entry;
                let advanced = self.applied_rx.wait_for(|now| *now > entry).await;
                drop(advanced.expect("this reader holds the ring, which sends"));
                if let Some(event) = self.read_archive().await? {
                    return Ok(event);
                }
                continue;
            }
            match self.ring.find_after(self.position.entry) {
                RingLookup::BelowFloor
                    if matches!(self.mode, ReaderMode::Recent | ReaderMode::Live) =>
                {
                    self.mode = ReaderMode::History;
                    let entries = self.applied().0.saturating_sub(self.position.entry.0);
                    return Ok(ReaderEvent::FellBehind { entries });
                }
                RingLookup::BelowFloor => {
                    self.mode = ReaderMode::History;
                    if let Some(event) = self.read_archive().await? {
                        return Ok(event);
                    }
                }
                RingLookup::Block(block) => {
                    if self.mode != ReaderMode::Live {
                        self.mode = ReaderMode::Recent;
                    }
                    let (write, budget) = (&self.ring.write, &self.ring.budget);
                    match block.read_after(self.position, &self.filter, write, budget) {
                        BlockRead::Messages(messages) => {
                            self.move_to(Position::at(block.last));
                            if let Some(messages) = messages {
                                return Ok(ReaderEvent::Messages(messages));
                            }
                        }
                        BlockRead::TooLarge => {
                            if let Some(event) = self.read_archive().await? {
                                return Ok(event);
                            }
                        }
                    }
                }
                RingLookup::AtEnd(applied) => {
                    self.move_to(Position::at(applied));
                    if self.mode != ReaderMode::Live {
                        self.mode = ReaderMode::Live;
                        return Ok(ReaderEvent::CaughtUp);
                    }
                    let advanced = self.applied_rx.wait_for(|now| *now > applied).await;
                    advanced.expect("this reader holds the ring, which sends");
                }
            }
        }
    }

    /// Reads one page of the archive; `None` if no alert of the page matches the filter.
    async fn read_archive(&mut self) -> Result<Option<ReaderEvent>, archive::Error> {
        let permit = self.ring.archive_reads.acquire().await;
        let permit = permit.expect("the ring never closes the semaphore");
        let (archive, filter) = (self.archive.clone(), Arc::clone(&self.filter));
        let (after, until) = (self.position, self.applied());
        let write = Arc::clone(&self.ring.write);
        let read = move || {
            let page = archive.read(after, until, &filter, Self::CHUNK_BYTES)?;
            Ok((encode_page(&page.records, page.reached, &write), page.reached))
        };
        let read = tokio::task::spawn_blocking(read).await;
        drop(permit);
        let (messages, reached) = read.expect("reading the archive does not panic")?;
        self.move_to(reached);
        Ok(Some(messages).filter(|run| !run.bytes.is_empty()).map(ReaderEvent::Messages))
    }

    fn move_to(&mut self, position: Position) {
        self.position = position;
        self.tracker.move_to(position.entry);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ring.trackers.remove(&self.tracker);
    }
}
