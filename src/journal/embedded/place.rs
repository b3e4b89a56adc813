//! Whether the files that are open are still those that the next start would find.
//!
//! A file that was removed can be written and synced for as long as it is open, and is gone afterwards with everything
//! that was acknowledged.

use super::super::Error;
use super::log;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// A device and a number on it.
type Identity = (u64, u64);

/// The journal's file and its log, as they were when they were opened.
pub(super) struct Place {
    files: [(Arc<Path>, Identity); 2],
}

impl Place {
    /// Of a journal that has been written since it was opened, so that both files are there.
    pub(super) fn of(journal: &Arc<Path>) -> Result<Self, Error> {
        let look = |path: Arc<Path>| match identity(&path) {
            Ok(identity) => Ok((path, identity)),
            Err(error) => Err(Error::io("looking at", &path, error)),
        };
        Ok(Self { files: [look(Arc::clone(journal))?, look(log::beside(journal).into())?] })
    }

    /// # Errors
    ///
    /// [`Error::Gone`] for the first file that is not there any more, or is another one.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_gone = |(path, opened): &&(Arc<Path>, Identity)| {
            identity(path).map_or(true, |found| found != *opened)
        };
        match self.files.iter().find(is_gone) {
            None => Ok(()),
            Some((file, _)) => Err(Error::Gone { file: Arc::clone(file) }),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
