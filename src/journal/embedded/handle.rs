//! The handle of an embedded journal.

use super::super::queue::Queue;
use super::super::{BoxFuture, Error, Journal, Tail, lock};
use super::file::{self, Opened};
use super::place::Place;
use super::tail::{Chunks, EmbeddedTail};
use super::writer::{GROUPS, Writer};
use crate::domain::{Epoch, Payload, Seq, Timestamp};
use crate::metrics;
use crate::sqlite::{Checkpointer, Thread};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::unconstrained;

/// A journal in a file of this machine, for one process at a time.
///
/// Dropping it waits until everything accepted is durable and the file is closed.
pub struct Embedded {
    // In the order in which they are dropped: the writer ends when no one can append, then the file is free.
    queue: Queue,
    _writer: Thread,
    head: watch::Receiver<Seq>,
    file: Arc<Path>,
    epoch: Epoch,
    _lock: File,
}

impl Embedded {
    /// Opens the journal of a directory; creates both where they are missing.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] while another process, or another handle of this one, has it open; [`Error::Damaged`] and
    /// [`Error::Format`] for a file that this version cannot read; [`Error::Full`] and [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_counted(dir, metrics::JournalMetrics::default())
    }

    /// The same, and counts what it does here.
    ///
    /// # Errors
    ///
    /// As [`Embedded::open`].
    pub fn open_counted(dir: &Path, metrics: metrics::JournalMetrics) -> Result<Self, Error> {
        let lock = lock::take(dir)?;
        let path: Arc<Path> = dir.join("journal.db").into();
        let opened = file::open(&path)?;
        Self::start(opened, path, lock, metrics)
    }

    /// A journal whose file cannot grow past so many pages, as on a full disk.
    #[cfg(test)]
    pub(in crate::journal) fn open_with_pages_max(dir: &Path, pages: u32) -> Result<Self, Error> {
        let lock = lock::take(dir)?;
        let path: Arc<Path> = dir.join("journal.db").into();
        let opened = file::open(&path)?;
        opened.connection.pragma_update(None, "max_page_count", pages).expect("it can be set");
        Self::start(opened, path, lock, metrics::JournalMetrics::default())
    }

    /// Makes the file of a directory one of another format.
    #[cfg(test)]
    pub(in crate::journal) fn set_format(dir: &Path, format: i64) {
        let path: Arc<Path> = dir.join("journal.db").into();
        super::tables::set_format(&file::open(&path).expect("it was sound").connection, format);
    }

    fn start(
        opened: Opened,
        path: Arc<Path>,
        lock: File,
        metrics: metrics::JournalMetrics,
    ) -> Result<Self, Error> {
        let Opened { connection, epoch, head, at } = opened;
        let checkpointer =
            Checkpointer::start("journal checkpoint", file::open_checkpointer(&path)?)
                .map_err(|error| Error::io("starting a thread for", &path, error))?;
        let (queue, waiting) = Queue::new(GROUPS, metrics);
        let (sender, head) = watch::channel(head);
        let writer = Writer {
            connection,
            file: Arc::clone(&path),
            waiting,
            head: sender,
            epoch,
            at,
            checkpointer,
            place: Place::of(&path)?,
        };
        let thread = Thread::spawn("journal", move || writer.run())
            .map_err(|error| Error::io("starting a thread for", &path, error))?;
        Ok(Self { queue, _writer: thread, head, file: path, epoch, _lock: lock })
    }
}

impl Journal for Embedded {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>> {
        // Unconstrained: a task that has used up its turn would be told to wait here, and those told so are woken last
        // come, first served. Whoever polls many appends would see them out of order.
        Box::pin(unconstrained(async move { self.queue.append(at, &payload).await }))
    }

    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error> {
        let head = *self.head.borrow();
        if after > head {
            return Err(Error::OutOfRange { after, head });
        }
        let connection = file::open_reader(&self.file)?;
        let file = Arc::clone(&self.file);
        let chunks = Chunks { connection, file, after };
        Ok(Box::new(EmbeddedTail { head: self.head.clone(), chunks }))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.clone()
    }
}
