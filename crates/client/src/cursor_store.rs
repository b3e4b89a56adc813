//! Where a subscriber keeps its cursor between two runs.

use super::state_file::{StateFile, StateFileError};
use std::path::PathBuf;

/// Keeps the cursor of a subscription, so that the next run of the program resumes where this one
/// ended.
///
/// Where alerts go to a database, implement this in the transaction that stores them: then an alert
/// and the cursor behind it are stored together or not at all.
pub trait CursorStore {
    /// Why a cursor could not be loaded or stored.
    type Error;

    /// The cursor stored last; empty where none was.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    fn load(&mut self) -> Result<String, Self::Error>;

    /// Stores a cursor in place of the one before. Once this returns, the cursor is durable.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; then [`load`](Self::load) returns the cursor before.
    fn store(&mut self, cursor: &str) -> Result<(), Self::Error>;
}

/// Keeps the cursor in a file of its own, which is replaced atomically and locked by one process at
/// a time; see [`StateFile`].
#[derive(Debug, Clone)]
pub struct FileCursorStore(StateFile);

impl FileCursorStore {
    /// A store in a file; its directory must exist, the file need not.
    pub fn new(path: PathBuf) -> Self {
        Self(StateFile::new(path))
    }
}

impl CursorStore for FileCursorStore {
    type Error = StateFileError;

    fn load(&mut self) -> Result<String, Self::Error> {
        self.0.load()
    }

    fn store(&mut self, cursor: &str) -> Result<(), Self::Error> {
        self.0.save(&cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_cursor_is_loaded_by_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursor");
        let mut store = FileCursorStore::new(path.clone());
        assert_eq!(store.load().unwrap(), "", "no cursor yet");
        store.store("first").unwrap();
        store.store("second").unwrap();
        assert!(FileCursorStore::new(path.clone()).load().is_err(), "one run at a time");
        drop(store);
        assert_eq!(FileCursorStore::new(path).load().unwrap(), "second");
    }

    #[test]
    fn a_file_of_something_else_is_an_error_not_a_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursor");
        std::fs::write(&path, "no cursor").unwrap();
        assert!(FileCursorStore::new(path).load().is_err());
    }
}
