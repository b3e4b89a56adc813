//! A reader: its place, its filter, and the one loop that moves it.

use super::ring::{Frame, Recent, Ring};
use crate::archive::{self, Record};
use crate::domain::update::Position;
use crate::domain::{Filter, Seq};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// What a reader comes to next.
#[derive(Debug)]
pub enum Step {
    /// Alerts of one entry that the filter wants, in order.
    Alerts {
        /// At least one.
        records: Vec<Record>,
        /// More alerts of the same entry follow.
        more: bool,
    },
    /// Everything up to the head was handed over.
    CaughtUp,
    /// The reader is below the ring: it reads the archive again.
    FellBehind {
        /// How many entries behind the head.
        entries: u64,
    },
}

/// A place in the stream of alerts, moved by its owner. Holds no alerts but those of the chunk it works on.
pub struct Reader {
    ring: Arc<Ring>,
    head: watch::Receiver<Seq>,
    archive: archive::Reader,
    filter: Arc<Filter>,
    position: Position,
    /// Read, filtered, not yet handed over: the alerts and the place after them.
    ready: VecDeque<(Vec<Record>, Position)>,
    /// Where the reader will stand when `ready` is empty.
    reached: Position,
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
    const CHUNK_BYTES: usize = 256 * 1024;
    /// The largest message of alerts, in bytes, so that clients with the usual limit of 4 MiB can read it.
    const MESSAGE_BYTES: usize = 1024 * 1024;

    /// A reader of everything after a position.
    pub fn new(ring: Arc<Ring>, archive: archive::Reader, filter: Filter, after: Position) -> Self {
        let head = ring.head();
        Self {
            ring,
            head,
            archive,
            filter: Arc::new(filter),
            position: after,
            ready: VecDeque::new(),
            reached: after,
            mode: Mode::Starting,
        }
    }

    /// Everything up to here was handed over or is not wanted.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last entry whose alerts can be read.
    pub fn head(&self) -> Seq {
        *self.head.borrow()
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
            if let Some((records, position)) = self.ready.pop_front() {
                self.position = position;
                return Ok(Step::Alerts { records, more: position.alerts > 0 });
            }
            self.position = self.reached;
            if self.position.alerts > 0 {
                self.read_archive().await?;
                continue;
            }
            match self.ring.after(self.position.entry) {
                Recent::Gone => {
                    if matches!(self.mode, Mode::Recent | Mode::Live) {
                        self.mode = Mode::History;
                        let entries = self.head().0.saturating_sub(self.position.entry.0);
                        return Ok(Step::FellBehind { entries });
                    }
                    self.mode = Mode::History;
                    self.read_archive().await?;
                }
                Recent::Frames(frames, reached) => {
                    if reached == self.position.entry {
                        if self.mode != Mode::Live {
                            self.mode = Mode::Live;
                            return Ok(Step::CaughtUp);
                        }
                        let here = reached;
                        // The sender lives as long as the ring, which this reader holds.
                        self.head
                            .wait_for(|head| *head > here)
                            .await
                            .expect("the ring rings its own doorbell");
                        continue;
                    }
                    if self.mode != Mode::Live {
                        self.mode = Mode::Recent;
                    }
                    for frame in frames {
                        self.stage(&frame);
                    }
                    self.reached = Position::at(reached);
                }
            }
        }
    }

    async fn read_archive(&mut self) -> Result<(), archive::Error> {
        let (archive, filter) = (self.archive.clone(), Arc::clone(&self.filter));
        let (after, until) = (self.position, self.head());
        let read = move || archive.read(after, until, &filter, Self::CHUNK_BYTES);
        let page =
            tokio::task::spawn_blocking(read).await.expect("reading the archive does not panic")?;
        let mut records = page.records.into_iter().peekable();
        while let Some(first) = records.next() {
            let entry = first.entry;
            let mut message = vec![first];
            while let Some(next) = records.next_if(|next| next.entry == entry) {
                message.push(next);
            }
            // A page ends inside an entry only where that entry alone is more than a page.
            let split = page.reached.entry < entry;
            self.ready.push_back((message, if split { page.reached } else { Position::at(entry) }));
        }
        self.reached = page.reached;
        Ok(())
    }

    /// Takes the alerts of one entry that the filter wants into messages of bounded size.
    fn stage(&mut self, frame: &Frame) {
        let mut message: Vec<Record> = Vec::new();
        let mut bytes = 0_usize;
        for (before, record) in (0..).zip(&frame.records) {
            if !self.filter.wants(&record.facets) {
                continue;
            }
            if bytes.saturating_add(record.bytes.len()) > Self::MESSAGE_BYTES && !message.is_empty()
            {
                let entry = Seq(frame.entry.0.saturating_sub(1));
                let inside = Position { entry, alerts: before };
                self.ready.push_back((std::mem::take(&mut message), inside));
                bytes = 0;
            }
            bytes = bytes.saturating_add(record.bytes.len());
            message.push(record.clone());
        }
        if !message.is_empty() {
            self.ready.push_back((message, Position::at(frame.entry)));
        }
    }
}
