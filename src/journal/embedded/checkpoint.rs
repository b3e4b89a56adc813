//! Keeps the write-ahead log short, off the commit path.
//!
//! A checkpoint moves pages from the log into the file and syncs it, which takes milliseconds. On the writer's thread
//! every commit behind it would wait. So a thread of its own does it, on a connection of its own, in SQLite's passive
//! mode, which never makes the writer wait. Once all pages are moved, the writer begins the log anew.
//!
//! A writer that never rests is always some pages ahead, and the log would grow for ever. Past [`WAL_PAGES_MAX`] the
//! writer itself moves the rest, which the thread has left small.

use super::super::Error;
use super::failure;
use super::file;
use super::thread::Thread;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The thread is woken after about this many bytes were appended: 4 MiB.
const CHECKPOINT_BYTES: usize = 4 << 20;

/// What a commit writes at least: two pages of the log, the last of the entries and that of the row `meta`.
const COMMIT_BYTES: usize = 2 * 4096;

/// The log's length, in pages of 4 KiB, from which on the writer helps: 32 MiB.
const WAL_PAGES_MAX: i64 = 8192;

/// The writer's side of the thread.
pub(super) struct Checkpointer {
    // Dropped before the thread is waited for, and so ends it.
    wake: SyncSender<()>,
    is_overgrown: Arc<AtomicBool>,
    bytes: usize,
    _thread: Thread,
}

/// The thread has ended because the file could not be synced.
pub(super) struct Failed;

impl Checkpointer {
    pub(super) fn start(path: &Arc<Path>) -> Result<Self, Error> {
        let connection = file::open_checkpointer(path)?;
        let (wake, wakes) = sync_channel(1);
        let is_overgrown = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_overgrown);
        let thread = Thread::spawn("checkpoint", move || run(&connection, &wakes, &told))
            .map_err(|error| failure::io("starting a thread for", path, error))?;
        Ok(Self { wake, is_overgrown, bytes: 0, _thread: thread })
    }

    /// Counts a commit and wakes the thread when it is time.
    pub(super) fn committed(&mut self, bytes: usize) -> Result<(), Failed> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(COMMIT_BYTES);
        if self.bytes < CHECKPOINT_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        match self.wake.try_send(()) {
            // Woken already: it is at it.
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Disconnected(())) => Err(Failed),
        }
    }

    /// Moves the rest of a log that has grown too long, on the writer's connection.
    pub(super) fn help(&self, writer: &Connection) -> rusqlite::Result<()> {
        if self.is_overgrown.swap(false, Ordering::Relaxed) {
            file::checkpoint(writer, "PASSIVE")?;
        }
        Ok(())
    }
}

fn run(connection: &Connection, wakes: &Receiver<()>, is_overgrown: &AtomicBool) {
    for () in wakes {
        match file::checkpoint(connection, "PASSIVE") {
            Ok(pages) => is_overgrown.store(pages > WAL_PAGES_MAX, Ordering::Relaxed),
            Err(error) if failure::is_passing(&error) => {
                tracing::warn!(%error, "the journal's checkpoint is put off");
            }
            // A failed sync: the pages may be lost although the next sync succeeds.
            Err(error) => {
                tracing::error!(%error, "the journal's checkpoint failed");
                return;
            }
        }
    }
}
