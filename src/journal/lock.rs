//! A data directory for one process at a time, whatever the store.

use super::Error;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

/// Takes a directory for this process until the file is dropped, or the process ends in whatever way; creates it where it is
/// missing.
pub(super) fn take(dir: &Path) -> Result<File, Error> {
    let path: Arc<Path> = dir.join("lock").into();
    create_dir(dir).map_err(|error| Error::io("creating", dir, error))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io("opening", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { file: path }),
        Err(TryLockError::Error(error)) => Err(Error::io("locking", &path, error)),
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
