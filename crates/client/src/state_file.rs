//! How far a program is, in a file that is replaced as a whole. Persisted, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The file, of one process alone.
#[derive(Debug, Clone)]
pub struct Place(PathBuf);

/// Why it is not known how far.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is something else.
    #[error("{} is no file that this program has written: {why}", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: serde_json::Error,
    },
    /// It cannot be read or written.
    #[error("{} cannot be read and written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Place {
    /// At a path; its directory must exist.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What was kept last; the beginning where nothing was.
    ///
    /// # Errors
    ///
    /// Where there is something else.
    pub fn read<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|why| Error::NotOurs { path: self.0.clone(), why }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(source) => Err(self.error(source)),
        }
    }

    /// Keeps something: once this returns it is on the disk, and at no moment the file is half of it.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; what was kept before is still there.
    pub fn keep<T: Serialize>(&self, what: &T) -> Result<(), Error> {
        let bytes = serde_json::to_vec(what).expect("a place has a JSON form");
        self.replace(&bytes).map_err(|source| self.error(source))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let dir = self.0.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        File::open(dir)?.sync_all()
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File { path: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_what_is_no_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("place"));
        assert!(place.read::<Vec<u64>>().unwrap().is_empty());
        place.keep(&[1, 2]).unwrap();
        place.keep(&[3]).unwrap();
        assert_eq!(place.read::<Vec<u64>>().unwrap(), [3]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(matches!(place.read::<u64>(), Err(Error::NotOurs { .. })));
        let nowhere = Place::new(dir.path().join("no").join("place"));
        assert!(matches!(nowhere.keep(&1), Err(Error::File { .. })));
    }
}
