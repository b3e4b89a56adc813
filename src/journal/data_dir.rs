//! What every store of a journal needs: its data directory for one process at a time, and an
//! identity.

use super::error::Error;
use lodewatch_core::domain::Epoch;
use lodewatch_files::{create_dir, try_lock};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Locks a directory for this process until the file is dropped or the process ends; creates the
/// directory where it is missing.
pub(super) fn lock_dir(dir: &Path) -> Result<File, Error> {
    let path: Arc<Path> = dir.join("lock").into();
    create_dir(dir).map_err(|error| Error::io("create", dir, error))?;
    let locked = try_lock(&path).map_err(|error| Error::io("lock", &path, error))?;
    locked.ok_or(Error::Locked { file: path })
}

/// An epoch that no journal had before.
pub(super) fn new_epoch() -> Epoch {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // Each half has a few fixed bits, at different places.
    Epoch(high ^ low)
}
