//! Copies the archive of one replica to a new one, while the first uses it.

use super::error::Error;
use super::pool::CANCEL_CHECK_STEPS;
use super::reader::ArchiveReader;
use crate::sqlite;
use lodewatch_files::{create_dir, dir_of, persist};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

impl ArchiveReader {
    /// A copy of the whole archive as it is now, in an unnamed file that is deleted when it is
    /// dropped. Needs as much disk space as the archive. Ends early where it is cancelled.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] where there is not enough space; [`Error::Cancelled`].
    pub fn copy(&self, is_cancelled: impl FnMut() -> bool + Send + 'static) -> Result<File, Error> {
        let path = &self.pool.path;
        let failed = |source: io::Error| io_error("copy", path, source);
        let to = NamedTempFile::with_prefix_in("archive.copy.", dir_of(path)).map_err(failed)?;
        let name = to.path().to_string_lossy().into_owned();
        sqlite::open_reader(path)
            .and_then(|mut connection| {
                connection.progress_handler(CANCEL_CHECK_STEPS, Some(is_cancelled))?;
                connection.execute("VACUUM INTO ?1", [name])
            })
            .map_err(|error| Error::sqlite("copy", path, error))?;
        to.reopen().map_err(failed)
    }
}

/// A copy that arrives: written beside an archive's path, and moved there once it is complete.
pub struct IncomingArchive {
    file: NamedTempFile,
    hash: Xxh3,
    to: Arc<Path>,
}

impl IncomingArchive {
    /// For a directory, created where it is missing; `None` where it has an archive already.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the directory cannot be written.
    pub fn create_in(directory: &Path) -> Result<Option<Self>, Error> {
        let to: PathBuf = directory.join("archive.db");
        if to.exists() {
            return Ok(None);
        }
        let to: Arc<Path> = to.into();
        let failed = |source| io_error("create", &to, source);
        create_dir(directory).map_err(failed)?;
        let file = NamedTempFile::with_prefix_in("archive.copy.", directory).map_err(failed)?;
        Ok(Some(Self { file, hash: Xxh3::new(), to }))
    }

    /// Appends the next bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] and [`Error::Io`] where they cannot be written.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.hash.update(chunk);
        self.file.write_all(chunk).map_err(|source| io_error("write", &self.to, source))
    }

    /// The digest of all bytes so far, in hexadecimal.
    pub fn digest(&self) -> String {
        format_digest(&self.hash)
    }

    /// Moves the complete copy to the archive's path. The start that uses it checks to which
    /// journal it belongs.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be synced or moved.
    pub fn install(self) -> Result<(), Error> {
        let failed = |source| io_error("write", &self.to, source);
        persist(self.file, &self.to).map_err(failed)
    }
}

/// A digest in the form that the protocol carries: 32 hexadecimal digits.
pub fn format_digest(hash: &Xxh3) -> String {
    format!("{:032x}", hash.digest128())
}

fn io_error(doing: &'static str, file: &Arc<Path>, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::StorageFull {
        return Error::Full { file: Arc::clone(file) };
    }
    Error::io(doing, file, source)
}
