//! The handle of a journal in a file.

use super::super::contract::{BoxFuture, Journal, Tail};
use super::super::data_dir::lock_dir;
use super::super::error::Error;
use super::super::queue::AppendQueue;
use super::file::{self, FileIds, OpenedJournal};
use super::tail::{ChunkReader, SqliteTail};
use super::writer::{GROUP_LIMITS, Writer};
use crate::metrics;
use crate::sqlite::{Checkpointer, WorkerThread};
use lodewatch_core::domain::{Epoch, Payload, Seq, Timestamp};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::unconstrained;

/// A journal in a file of this machine, for one process at a time.
///
/// Dropping it waits until every accepted entry is durable and the file is closed.
pub struct SqliteJournal {
    // In the order in which they are dropped: the writer ends when nothing can append, then the
    // lock is released.
    queue: AppendQueue,
    _writer: WorkerThread,
    head: watch::Receiver<Seq>,
    file: Arc<Path>,
    epoch: Epoch,
    _lock: File,
}

impl SqliteJournal {
    /// Opens the journal of a directory; creates both where they are missing.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] while another process, or another handle of this one, has it open;
    /// [`Error::Damaged`] and [`Error::Format`] for a file that this version cannot read;
    /// [`Error::Full`] and [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_with_metrics(dir, metrics::JournalMetrics::default())
    }

    /// The same, with metrics.
    ///
    /// # Errors
    ///
    /// As [`SqliteJournal::open`].
    pub fn open_with_metrics(dir: &Path, metrics: metrics::JournalMetrics) -> Result<Self, Error> {
        let lock = lock_dir(dir)?;
        let path: Arc<Path> = dir.join("journal.db").into();
        let opened = file::open(&path)?;
        Self::start(opened, path, lock, metrics)
    }

    /// A journal whose file cannot grow past this many pages, as on a full disk.
    #[cfg(test)]
    pub(in crate::journal) fn open_with_pages_max(dir: &Path, pages: u32) -> Result<Self, Error> {
        let lock = lock_dir(dir)?;
        let path: Arc<Path> = dir.join("journal.db").into();
        let opened = file::open(&path)?;
        opened.connection.pragma_update(None, "max_page_count", pages).expect("it can be set");
        Self::start(opened, path, lock, metrics::JournalMetrics::default())
    }

    /// Gives the file of a directory another format.
    #[cfg(test)]
    pub(in crate::journal) fn set_format(dir: &Path, format: i64) {
        let path: Arc<Path> = dir.join("journal.db").into();
        super::tables::set_format(&file::open(&path).expect("it is intact").connection, format);
    }

    fn start(
        opened: OpenedJournal,
        path: Arc<Path>,
        lock: File,
        metrics: metrics::JournalMetrics,
    ) -> Result<Self, Error> {
        let OpenedJournal { connection, epoch, head, at } = opened;
        let checkpointer =
            Checkpointer::start("journal checkpoint", file::open_checkpointer(&path)?)
                .map_err(|error| Error::io("start a thread for", &path, error))?;
        let (queue, queue_rx) = AppendQueue::new(GROUP_LIMITS, metrics);
        let (head_tx, head) = watch::channel(head);
        let writer = Writer {
            connection,
            file: Arc::clone(&path),
            queue_rx,
            head_tx,
            epoch,
            at,
            checkpointer,
            file_ids: FileIds::of(&path)?,
        };
        let thread = WorkerThread::spawn("journal", move || writer.run())
            .map_err(|error| Error::io("start a thread for", &path, error))?;
        Ok(Self { queue, _writer: thread, head, file: path, epoch, _lock: lock })
    }
}

impl Journal for SqliteJournal {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>> {
        // Unconstrained: tokio makes a task that has used up its budget wait here, and wakes such
        // waiters last come, first served. A task that polls many appends would see them out of
        // order.
        Box::pin(unconstrained(async move { self.queue.append(at, &payload).await }))
    }

    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error> {
        let head = *self.head.borrow();
        if after > head {
            return Err(Error::OutOfRange { after, head });
        }
        let connection = file::open_reader(&self.file)?;
        let file = Arc::clone(&self.file);
        let chunks = ChunkReader { connection, file, after };
        Ok(Box::new(SqliteTail { head: self.head.clone(), chunks }))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.head.clone()
    }
}
