//! Keeps a write-ahead log short, off the commit path.
//!
//! A checkpoint moves pages from the log into the file and syncs it, which takes milliseconds. On the writer's thread
//! every commit behind it would wait. So a thread of its own does it, on a connection of its own, in SQLite's passive
//! mode, which never makes the writer wait. Once all pages are moved, the writer begins the log anew.
//!
//! A writer that never rests is always some pages ahead, and the log would grow for ever. Past [`WAL_PAGES_MAX`] the
//! writer itself moves the rest, which the thread has left small.

use super::{Thread, is_passing};
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The thread is woken after about this many bytes were written: 4 MiB.
const CHECKPOINT_BYTES: usize = 4 << 20;

/// The log's length, in pages of 4 KiB, from which on the writer helps: 32 MiB.
const WAL_PAGES_MAX: i64 = 8192;

/// The writer's side of the thread. Its connection must not checkpoint by itself.
pub struct Checkpointer {
    // Dropped before the thread is waited for, and so ends it.
    wake: SyncSender<()>,
    is_overgrown: Arc<AtomicBool>,
    bytes: usize,
    _thread: Thread,
}

/// The thread has ended because the file could not be synced.
#[derive(Debug)]
pub struct Failed;

impl Checkpointer {
    /// Starts a thread of this name on a connection of its own.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(name: &'static str, connection: Connection) -> io::Result<Self> {
        let (wake, wakes) = sync_channel(1);
        let is_overgrown = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_overgrown);
        let thread = Thread::spawn(name, move || run(name, &connection, &wakes, &told))?;
        Ok(Self { wake, is_overgrown, bytes: 0, _thread: thread })
    }

    /// Counts what a commit wrote, about, and wakes the thread when it is time.
    ///
    /// # Errors
    ///
    /// [`Failed`] once the thread has ended.
    pub fn committed(&mut self, bytes: usize) -> Result<(), Failed> {
        self.bytes = self.bytes.saturating_add(bytes);
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

    /// Moves the rest of a log that has grown too long, on the writer's connection. What passes by itself is left for later.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written or synced.
    pub fn help(&self, writer: &Connection) -> rusqlite::Result<()> {
        if !self.is_overgrown.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        match checkpoint(writer, "PASSIVE") {
            Err(error) if !is_passing(&error) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn run(name: &str, connection: &Connection, wakes: &Receiver<()>, is_overgrown: &AtomicBool) {
    for () in wakes {
        match checkpoint(connection, "PASSIVE") {
            Ok(pages) => is_overgrown.store(pages > WAL_PAGES_MAX, Ordering::Relaxed),
            Err(error) if is_passing(&error) => tracing::warn!(%error, "{name} is put off"),
            // A failed sync: the pages may be lost although the next sync succeeds.
            Err(error) => {
                tracing::error!(%error, "{name} failed");
                return;
            }
        }
    }
}

/// Moves what can be moved of the write-ahead log into the file; the log's length in pages.
///
/// # Errors
///
/// Where the file cannot be written or synced, or is at its end.
pub fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}
