//! Files that survive a crash: [directories](create_dir) whose names are durable, files that are
//! [replaced](replace) as a whole, and files that [one process](try_lock) uses at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// The directory of a file: `.` for a bare name.
pub fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a directory and all missing ones above it, and makes each new name durable.
///
/// # Errors
///
/// Where a directory cannot be created or synced.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.is_dir();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            // By another process, or the name ends in `..`.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
            created => created?,
        }
        sync_dir(dir_of(dir))?;
    }
    Ok(())
}

/// Makes the names in a directory durable.
///
/// # Errors
///
/// Where the directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file, or creates it. Once this returns, content and name are durable. After a crash
/// the file holds either this content or the previous one.
///
/// # Errors
///
/// Where the file cannot be written or moved; it is unchanged then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(dir_of(path))?;
    file.write_all(content)?;
    persist(file, path)
}

/// Syncs a complete file and moves it to its place, where it replaces another. Once this returns,
/// content and name are durable.
///
/// # Errors
///
/// Where the file cannot be synced or moved.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_dir(dir_of(path))
}

/// Locks a file for this process until the returned file is dropped or the process ends; creates
/// the file where it is missing. `None` where it is locked already.
///
/// # Errors
///
/// Where the file cannot be created or locked.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_directories_are_created_and_existing_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("x/y/z");
        for _ in 0..2 {
            create_dir(&dir).unwrap();
            assert!(dir.is_dir());
        }
        create_dir(&root.path().join("a/../b")).unwrap();
        assert!(root.path().join("a").is_dir() && root.path().join("b").is_dir());
        fs::write(root.path().join("file"), "").unwrap();
        create_dir(&root.path().join("file/c")).unwrap_err();
        create_dir(&root.path().join("file")).unwrap_err();
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        for content in ["long content", "short"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no temporary file is left");
        replace(&root.path().join("no/file"), b"").unwrap_err();
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
