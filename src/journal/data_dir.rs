//! What every store of a journal needs: its data directory for one process at a time, and an
//! identity.

use super::error::Error;
use lodewatch_core::domain::Epoch;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

/// Locks a directory for this process until the file is dropped or the process ends; creates the
/// directory where it is missing.
pub(super) fn lock_dir(dir: &Path) -> Result<File, Error> {
    let path: Arc<Path> = dir.join("lock").into();
    create_dir(dir).map_err(|error| Error::io("create", dir, error))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { file: path }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path, error)),
    }
}

/// Creates the directory, and makes its name durable with the directory above.
fn create_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    File::open(dir.canonicalize()?.parent().unwrap_or(dir))?.sync_all()
}

/// An epoch that no journal had before.
pub(super) fn new_epoch() -> Epoch {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // Each half has a few fixed bits, at different places.
    Epoch(high ^ low)
}
