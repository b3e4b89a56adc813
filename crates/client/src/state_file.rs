//! A state file: how far a program got. Persisted as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that keeps one value across restarts, such as the cursor of a subscription. It is always
/// replaced as a whole.
///
/// One process uses it at a time: the first [`load`](Self::load) or [`save`](Self::save) locks the
/// file of this name and `.lock` until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
    lock: Arc<Mutex<Option<File>>>,
}

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
    /// Another process, or another part of this one, uses the file.
    #[error(
        "cannot use the state file {}: another process uses it; end that process, or name a state \
         file that no other process uses", path.display()
    )]
    Locked {
        /// The state file.
        path: PathBuf,
    },
    /// The file cannot be locked, written or replaced.
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
        Self { path, lock: Arc::default() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value that was saved last, or the default where the file does not exist.
    ///
    /// # Errors
    ///
    /// [`StateFileError::Locked`] where another process uses the file, and those of
    /// [`peek`](Self::peek).
    pub fn load<T: DeserializeOwned + Default>(&self) -> Result<T, StateFileError> {
        self.lock()?;
        self.peek()
    }

    /// The same without a lock: for a look at the file of another process.
    ///
    /// # Errors
    ///
    /// [`StateFileError::Invalid`] where the file holds something else, and
    /// [`StateFileError::Load`] where it cannot be read.
    pub fn peek<T: DeserializeOwned + Default>(&self) -> Result<T, StateFileError> {
        let path = || self.path.clone();
        match fs::read(&self.path) {
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
    /// [`StateFileError::Locked`] and [`StateFileError::Save`]; the previous value is kept.
    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), StateFileError> {
        self.lock()?;
        let bytes = serde_json::to_vec(value).expect("a state has a JSON form");
        let error = |source| StateFileError::Save { path: self.path.clone(), source };
        lodewatch_files::replace(&self.path, &bytes).map_err(error)
    }

    /// Locks the file for this process, unless this or a clone has locked it.
    ///
    /// # Errors
    ///
    /// [`StateFileError::Locked`], and [`StateFileError::Save`] where the lock cannot be created.
    pub fn lock(&self) -> Result<(), StateFileError> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let path = || self.path.clone();
            let mut name = self.path.clone().into_os_string();
            name.push(".lock");
            // Beside the state file, which is replaced, and its lock would be lost with it.
            let locked = lodewatch_files::try_lock(Path::new(&name))
                .map_err(|source| StateFileError::Save { path: path(), source })?;
            *held = Some(locked.ok_or_else(|| StateFileError::Locked { path: path() })?);
        }
        Ok(())
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
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "and its lock");
        assert!(matches!(state.load::<u64>(), Err(StateFileError::Invalid { .. })));
        let nowhere = StateFile::new(dir.path().join("no").join("state"));
        assert!(matches!(nowhere.save(&1), Err(StateFileError::Save { .. })));
    }

    #[test]
    fn a_state_file_is_used_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (first, second) = (StateFile::new(path.clone()), StateFile::new(path));
        first.save(&1).unwrap();
        assert!(matches!(second.load::<u64>(), Err(StateFileError::Locked { .. })));
        let error = second.save(&2).unwrap_err().to_string();
        assert!(error.contains("state: another process uses it; end that process"), "{error}");
        assert_eq!(second.peek::<u64>().unwrap(), 1, "which reads only");
        let clone = first.clone();
        drop(first);
        clone.save(&3).unwrap();
        second.save(&2).unwrap_err();
        drop(clone);
        assert_eq!(second.load::<u64>().unwrap(), 3);
    }
}
