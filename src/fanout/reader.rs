//! A reader: its place, its filter, and the one loop that moves it.

use super::messages::{Slice, of_page};
use super::places::Place;
use super::ring::{Recent, Ring};
use crate::archive;
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use std::sync::Arc;
use tokio::sync::watch;

/// What a reader comes to next.
#[derive(Debug)]
pub enum Step {
    /// Messages of the alerts that the filter wants, in order, ready for the wire.
    Messages(Slice),
    /// Everything up to the head was handed over.
    CaughtUp,
    /// The reader is below the ring: it reads the archive again.
    FellBehind {
        /// How many entries behind the head.
        entries: u64,
    },
}

/// A place in the stream of alerts, moved by its owner. Holds no alerts.
pub struct Reader {
    ring: Arc<Ring>,
    head: watch::Receiver<Seq>,
    archive: archive::ArchiveReader,
    filter: Arc<Filter>,
    position: Position,
    /// The same, for others to look at.
    place: Place,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Not yet known.
    Starting,
    /// From the archive.
    History,
    /// From the ring, not yet at the head.
    Recent,
    /// At the head.
    Live,
}

impl Reader {
    /// How much is read from the archive at once, in bytes.
    const CHUNK_BYTES: usize = 64 * 1024;

    /// A reader of everything after a position.
    pub fn new(
        ring: Arc<Ring>,
        archive: archive::ArchiveReader,
        filter: Filter,
        after: Position,
    ) -> Self {
        let head = ring.head();
        let filter = Arc::new(filter);
        let place = ring.places.take(after.entry);
        Self { ring, head, archive, filter, position: after, place, mode: Mode::Starting }
    }

    /// Everything up to here was handed over or is not wanted.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last entry whose alerts can be read.
    pub fn head(&self) -> Seq {
        self.ring.settled()
    }

    /// The next step. Waits at the head.
    ///
    /// Cancel safe: nothing is lost when the future is dropped, the next call goes on from the same place.
    ///
    /// # Errors
    ///
    /// When the archive cannot be read.
    pub async fn next(&mut self) -> Result<Step, archive::Error> {
        loop {
            // Passing over what a filter does not want must not keep the thread from others.
            tokio::task::coop::consume_budget().await;
            if self.position.alerts > 0 {
                if let Some(step) = self.read_archive().await? {
                    return Ok(step);
                }
                continue;
            }
            match self.ring.after(self.position.entry) {
                Recent::Gone if matches!(self.mode, Mode::Recent | Mode::Live) => {
                    self.mode = Mode::History;
                    let entries = self.head().0.saturating_sub(self.position.entry.0);
                    return Ok(Step::FellBehind { entries });
                }
                Recent::Gone => {
                    self.mode = Mode::History;
                    if let Some(step) = self.read_archive().await? {
                        return Ok(step);
                    }
                }
                Recent::Block(block) => {
                    if self.mode != Mode::Live {
                        self.mode = Mode::Recent;
                    }
                    let (write, budget) = (&self.ring.write, &self.ring.budget);
                    let messages = block.after(self.position, &self.filter, write, budget);
                    self.move_to(Position::at(block.last));
                    if let Some(messages) = messages {
                        return Ok(Step::Messages(messages));
                    }
                }
                Recent::Nothing(head) => {
                    self.move_to(Position::at(head));
                    if self.mode != Mode::Live {
                        self.mode = Mode::Live;
                        return Ok(Step::CaughtUp);
                    }
                    // The sender lives as long as the ring, which this reader holds.
                    let rung = self.head.wait_for(|now| *now > head).await;
                    rung.expect("the ring rings its own doorbell");
                }
            }
        }
    }

    /// Reads on in the archive; `None` where the filter wants nothing of what was read.
    async fn read_archive(&mut self) -> Result<Option<Step>, archive::Error> {
        let turn = self.ring.history.acquire().await;
        let turn = turn.expect("the ring never closes the archive");
        let (archive, filter) = (self.archive.clone(), Arc::clone(&self.filter));
        let (after, until) = (self.position, self.head());
        let write = Arc::clone(&self.ring.write);
        let read = move || {
            let page = archive.read(after, until, &filter, Self::CHUNK_BYTES)?;
            Ok((of_page(&page.records, page.reached, &write), page.reached))
        };
        let read = tokio::task::spawn_blocking(read).await;
        drop(turn);
        let (messages, reached) = read.expect("reading the archive does not panic")?;
        self.move_to(reached);
        Ok(Some(messages).filter(|slice| !slice.bytes.is_empty()).map(Step::Messages))
    }

    fn move_to(&mut self, position: Position) {
        self.position = position;
        self.place.move_to(position.entry);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ring.places.leave(&self.place);
    }
}
