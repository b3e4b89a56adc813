//! A state file: how far a program got. Persisted as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that keeps one value across restarts, such as the cursor of a subscription. It is always
/// replaced as a whole. Only one process may use it.
#[derive(Debug, Clone)]
pub struct StateFile(PathBuf);

/// A state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The file holds something else.
    #[error(
        "cannot load the state from {}: it was not written by this version of the program; name \
         another file or delete this one", path.display()
    )]
    Invalid {
        /// The state file.
        path: PathBuf,
        /// Where it is invalid.
        source: serde_json::Error,
    },
    /// The file exists and cannot be read.
    #[error("cannot load the state from {}", path.display())]
    Load {
        /// The state file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file cannot be written or replaced.
    #[error("cannot save the state to {}; make its folder writable", path.display())]
    Save {
        /// The state file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl StateFile {
    /// A state file at a path. Its folder must exist and be writable; the file need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The value that was saved last, or the default where the file does not exist.
    ///
    /// # Errors
    ///
    /// [`StateFileError::Invalid`] where the file holds something else, and
    /// [`StateFileError::Load`] where it cannot be read.
    pub fn load<T: DeserializeOwned + Default>(&self) -> Result<T, StateFileError> {
        let path = || self.0.clone();
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| StateFileError::Invalid { path: path(), source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(source) => Err(StateFileError::Load { path: path(), source }),
        }
    }

    /// Replaces the value. Once this returns the value is durable. After a crash the file holds
    /// either this value or the previous one.
    ///
    /// # Errors
    ///
    /// [`StateFileError::Save`]; the previous value is kept.
    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), StateFileError> {
        let bytes = serde_json::to_vec(value).expect("a state has a JSON form");
        let error = |source| StateFileError::Save { path: self.0.clone(), source };
        self.replace(&bytes).map_err(error)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_state_is_loaded_again_and_anything_else_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::new(dir.path().join("state"));
        assert!(state.load::<Vec<u64>>().unwrap().is_empty());
        state.save(&[1, 2]).unwrap();
        state.save(&[3]).unwrap();
        assert_eq!(state.load::<Vec<u64>>().unwrap(), [3]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        assert!(matches!(state.load::<u64>(), Err(StateFileError::Invalid { .. })));
        let nowhere = StateFile::new(dir.path().join("no").join("state"));
        assert!(matches!(nowhere.save(&1), Err(StateFileError::Save { .. })));
    }
}
