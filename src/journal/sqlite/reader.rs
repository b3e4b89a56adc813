//! Reads a journal file for tools, also while a server has it open.

use super::super::error::{Damage, Error};
use super::file;
use super::tables;
use super::tail::ChunkReader;
use super::wal::{self, WalState};
use lodewatch_core::domain::{Entry, Epoch, Seq};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::vec;

/// The entries of a journal file up to the head that it had when it was opened, in order. Every
/// entry is verified by its checksum; the iterator ends with the first error.
///
/// Changes nothing in the file. Blocks on the disk.
pub struct JournalReader {
    chunks: ChunkReader,
    epoch: Epoch,
    head: Seq,
    ready: vec::IntoIter<Entry>,
    has_failed: bool,
}

impl JournalReader {
    /// Opens the journal of a directory; creates nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] and [`Error::Format`] for a file that this version cannot read;
    /// [`Error::Io`] where there is none, or where SQLite cannot create the small file that readers
    /// share.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path: Arc<Path> = dir.join("journal.db").into();
        inspect_if_idle(dir, &path)?;
        let connection = file::open_reader(&path)?;
        let (epoch, head) = tables::read_identity(&path, &connection)?;
        let chunks = ChunkReader { connection, file: path, after: Seq::ZERO };
        Ok(Self { chunks, epoch, head, ready: Vec::new().into_iter(), has_failed: false })
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last entry that this reader yields.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// Reads every entry that is left, then verifies the pages of the file.
    ///
    /// # Errors
    ///
    /// The first damage.
    pub fn verify(mut self) -> Result<(), Error> {
        if let Some(error) = self.by_ref().find_map(Result::err) {
            return Err(error);
        }
        let ChunkReader { connection, file, .. } = &self.chunks;
        let pages: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| Error::sqlite("read", file, Seq::ZERO, error))?;
        let is_intact = pages == "ok";
        if is_intact {
            Ok(())
        } else {
            Err(Error::damaged_file(file, Seq::ZERO, Damage::Pages(pages)))
        }
    }
}

impl Iterator for JournalReader {
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

/// Inspects the log of a journal that no server has open; a server inspects it at its start.
fn inspect_if_idle(dir: &Path, journal: &Path) -> Result<(), Error> {
    let is_idle = match File::open(dir.join("lock")) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => true,
    };
    if is_idle && let WalState::Torn { frames } = wal::inspect(journal)? {
        tracing::warn!(
            file = %journal.display(),
            intact_frames = frames,
            "the journal's write-ahead log ends with an unfinished write; it was never acknowledged"
        );
    }
    Ok(())
}
