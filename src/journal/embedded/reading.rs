//! A journal file that is only read: by tools, also while a server has it open.

use super::super::{Damage, Error};
use super::failure;
use super::file;
use super::log::{self, Log};
use super::tables;
use super::tail::Chunks;
use crate::domain::{Entry, Epoch, Seq};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::vec;

/// The entries of a journal file up to the head that it had when it was opened, in order; each is proved to be what was
/// written. Ends with the first error: an entry that is not, which is [`Error::Damaged`].
///
/// Changes nothing in the file. Blocks on the disk.
pub struct Reading {
    chunks: Chunks,
    epoch: Epoch,
    head: Seq,
    ready: vec::IntoIter<Entry>,
    has_failed: bool,
}

impl Reading {
    /// Opens the journal of a directory, and nothing else: what is not there is not made.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] and [`Error::Format`] for a file that this version cannot read; [`Error::Io`] where there is
    /// none, or where the directory does not let SQLite make the small file that readers share.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path: Arc<Path> = dir.join("journal.db").into();
        inspect_if_idle(dir, &path)?;
        let connection = file::open_reader(&path)?;
        let (epoch, head) = tables::identity(&path, &connection)?;
        let chunks = Chunks { connection, file: path, after: Seq::ZERO };
        Ok(Self { chunks, epoch, head, ready: Vec::new().into_iter(), has_failed: false })
    }

    /// The journal's identity.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last entry that is read.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// Reads everything, and proves besides that the file's pages are whole and hang together.
    ///
    /// # Errors
    ///
    /// The first damage.
    pub fn verify(mut self) -> Result<(), Error> {
        if let Some(error) = self.by_ref().find_map(Result::err) {
            return Err(error);
        }
        let Chunks { connection, file, .. } = &self.chunks;
        let pages: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| failure::sqlite("reading", file, Seq::ZERO, error))?;
        let sound = pages == "ok";
        if sound { Ok(()) } else { Err(failure::damaged(file, Seq::ZERO, Damage::Pages(pages))) }
    }
}

impl Iterator for Reading {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.ready.next() {
            return Some(Ok(entry));
        }
        if self.has_failed || self.chunks.after >= self.head {
            return None;
        }
        match self.chunks.read(self.head) {
            Ok(entries) => {
                self.ready = entries.into_iter();
                self.ready.next().map(Ok)
            }
            Err(error) => {
                self.has_failed = true;
                Some(Err(error))
            }
        }
    }
}

/// Looks at the log of a journal that no server has open; one that has it open looked at it when it started.
fn inspect_if_idle(dir: &Path, journal: &Path) -> Result<(), Error> {
    let is_idle = match File::open(dir.join("lock")) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => true,
    };
    if is_idle && let Log::Torn { frames } = log::inspect(journal)? {
        tracing::warn!(
            whole_frames = frames,
            "the log ends in a write that was never acknowledged"
        );
    }
    Ok(())
}
