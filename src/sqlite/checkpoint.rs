//! Keeps a write-ahead log short, off the commit path.
//!
//! A checkpoint moves pages from the log into the file and syncs it, which takes milliseconds. On
//! the writer's thread every commit behind it would wait. So a thread with a connection of its own
//! does it in SQLite's passive mode, which never blocks the writer. Once all pages are moved, the
//! writer starts the log again from its beginning.
//!
//! A writer that never pauses is always some pages ahead, and the log would grow without limit.
//! Above [`WAL_PAGES_MAX`] the writer itself moves the rest, which the thread has kept small.

use super::connection::is_transient;
use super::thread::WorkerThread;
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The thread runs after about this many written bytes: 4 MiB.
const CHECKPOINT_BYTES: usize = 4 << 20;

/// The log's length from which on the writer helps, in pages of 4 KiB: 32 MiB.
const WAL_PAGES_MAX: i64 = 8192;

/// The writer's side of the thread. The writer's connection must not checkpoint by itself.
pub struct Checkpointer {
    // Dropped before the thread is joined, which ends it.
    wake_tx: SyncSender<()>,
    is_overgrown: Arc<AtomicBool>,
    bytes: usize,
    _thread: WorkerThread,
}

/// The thread has ended because the file could not be synced.
#[derive(Debug)]
pub struct CheckpointerStopped;

impl Checkpointer {
    /// Starts a thread of this name on a connection of its own.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(name: &'static str, connection: Connection) -> io::Result<Self> {
        let (wake_tx, wake_rx) = sync_channel(1);
        let is_overgrown = Arc::new(AtomicBool::new(false));
        let overgrown = Arc::clone(&is_overgrown);
        let run = move || run_checkpoints(name, &connection, &wake_rx, &overgrown);
        let thread = WorkerThread::spawn(name, run)?;
        Ok(Self { wake_tx, is_overgrown, bytes: 0, _thread: thread })
    }

    /// Counts about how many bytes a commit wrote, and wakes the thread when a checkpoint is due.
    ///
    /// # Errors
    ///
    /// [`CheckpointerStopped`] once the thread has ended.
    pub fn count_written(&mut self, bytes: usize) -> Result<(), CheckpointerStopped> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes < CHECKPOINT_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        match self.wake_tx.try_send(()) {
            // Full: the thread is already awake.
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Disconnected(())) => Err(CheckpointerStopped),
        }
    }

    /// Moves the rest of a log that has grown too long, on the writer's connection. Ignores
    /// transient errors.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written or synced.
    pub fn help(&self, writer: &Connection) -> rusqlite::Result<()> {
        if !self.is_overgrown.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        match checkpoint(writer, "PASSIVE") {
            Err(error) if !is_transient(&error) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn run_checkpoints(
    name: &str,
    connection: &Connection,
    wake_rx: &Receiver<()>,
    is_overgrown: &AtomicBool,
) {
    for () in wake_rx {
        match checkpoint(connection, "PASSIVE") {
            Ok(pages) => is_overgrown.store(pages > WAL_PAGES_MAX, Ordering::Relaxed),
            Err(error) if is_transient(&error) => {
                tracing::warn!(%error, thread = name, "checkpoint failed; trying again later");
            }
            // A failed sync: the pages may be lost although the next sync succeeds.
            Err(error) => {
                tracing::error!(%error, thread = name, "checkpoint failed");
                return;
            }
        }
    }
}

/// Moves pages of the write-ahead log into the file, as many as `mode` allows; returns the log's
/// length in pages.
///
/// # Errors
///
/// Where the file cannot be written or synced.
pub fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}
