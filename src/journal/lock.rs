//! A data directory for one process at a time, whatever the store.

use super::Error;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;

/// Takes a directory for this process, and creates it where it is missing, until the file is dropped or the process ends in whatever way.
pub(super) fn take(dir: &Path) -> Result<File, Error> {
    let path: Arc<Path> = dir.join("lock").into();
    create_dir(dir).map_err(|error| io("creating", dir, error))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io("opening", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { file: path }),
        Err(TryLockError::Error(error)) => Err(io("locking", &path, error)),
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

fn io(doing: &'static str, file: &Path, error: std::io::Error) -> Error {
    Error::Io { doing, file: file.into(), source: Arc::new(error) }
}
