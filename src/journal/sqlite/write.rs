//! Makes a new journal file from entries: what backup, restore, salvage and import have in common.

use super::super::codec;
use super::super::data_dir::{lock_dir, new_epoch};
use super::super::error::Error;
use super::file;
use super::tables;
use crate::sqlite::checkpoint;
use lodewatch_core::domain::{Entry, Epoch, Seq};
use lodewatch_files::sync_dir;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Entries of one transaction.
const GROUP_ENTRIES: usize = 4096;

/// Writes a journal with an epoch of its own into a directory that has none; returns its epoch and
/// its head.
///
/// The file gets its name once everything in it is durable. A write that is interrupted leaves
/// `journal.partial.db` behind, which nothing reads and the next write replaces.
///
/// # Errors
///
/// The error of `entries`; [`Error::Exists`] where the directory has a journal; [`Error::Locked`],
/// [`Error::Full`] and [`Error::Io`].
pub fn write_journal<E: From<Error>>(
    dir: &Path,
    entries: impl Iterator<Item = Result<Entry, E>>,
) -> Result<(Epoch, Seq), E> {
    let _lock = lock_dir(dir)?;
    let path: Arc<Path> = dir.join("journal.db").into();
    if path.exists() {
        return Err(Error::Exists { file: path }.into());
    }
    let partial: Arc<Path> = dir.join("journal.partial.db").into();
    for suffix in ["", "-wal", "-shm"] {
        // Left over from an earlier try, or not there.
        let _ = fs::remove_file(dir.join(format!("journal.partial.db{suffix}")));
    }
    let written = fill(&partial, entries)?;
    let rename = || {
        fs::rename(&partial, &path)?;
        sync_dir(dir)
    };
    rename().map_err(|error| Error::io("create", &path, error))?;
    Ok(written)
}

fn fill<E: From<Error>>(
    path: &Arc<Path>,
    mut entries: impl Iterator<Item = Result<Entry, E>>,
) -> Result<(Epoch, Seq), E> {
    let failed = |error| Error::sqlite("write", path, Seq::ZERO, error);
    let connection = file::connect(path).map_err(failed)?;
    let epoch = new_epoch();
    tables::create(&connection, epoch).map_err(failed)?;
    let mut head = Seq::ZERO;
    loop {
        let group: Vec<Entry> = entries.by_ref().take(GROUP_ENTRIES).collect::<Result<_, E>>()?;
        let Some(last) = group.last() else { break };
        let last = last.seq;
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        for entry in group {
            assert!(entry.seq == head.next(), "entries come in order, without gaps");
            head = entry.seq;
            let payload = codec::encode(&entry.payload)?;
            tables::insert(&transaction, entry.seq, entry.at, &payload).map_err(failed)?;
        }
        tables::advance(&transaction, epoch, last).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        checkpoint(&connection, "TRUNCATE").map_err(failed)?;
    }
    connection.close().map_err(|(_, error)| failed(error))?;
    Ok((epoch, head))
}
