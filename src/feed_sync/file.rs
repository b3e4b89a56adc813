//! Files: which exist, which have changed, and which are still being written.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest source: several times the largest known one, all of Global Trade Alert. A larger
/// file is rejected.
pub const BYTES_MAX: u64 = 1 << 30;
/// Files of one folder.
const FILES_MAX: usize = 10_000;

/// Differs whenever a file does, also where it is replaced by one of the same size and time.
/// Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileStamp {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// When its content, name or rights changed; no program can set it.
    changed: (i64, i64),
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file of a source.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Its name in the folder; empty where the source is the file itself.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) stamp: FileStamp,
}

/// Lists the file, or every file of the folder by name. Names that begin with a dot are ignored:
/// their files are still being written.
pub(super) fn list(source: &Path) -> Result<Vec<SourceFile>, String> {
    let metadata = fs::metadata(source).map_err(|error| unreadable(source, &error))?;
    if metadata.is_file() {
        let (name, path) = (String::new(), source.to_owned());
        return Ok(vec![SourceFile { name, path, stamp: FileStamp::of(&metadata) }]);
    }
    if !metadata.is_dir() {
        return Err(format!("cannot read {}: neither a file nor a folder", source.display()));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(source).map_err(|error| unreadable(source, &error))? {
        let entry = entry.map_err(|error| unreadable(source, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // Through links, as Kubernetes mounts files.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => {
                files.push(SourceFile {
                    name,
                    path: entry.path(),
                    stamp: FileStamp::of(&metadata),
                });
            }
            Ok(_) => {}
            // Deleted since the folder was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&entry.path(), &error)),
        }
        if files.len() > FILES_MAX {
            return Err(format!("cannot read {}: more than {FILES_MAX} files", source.display()));
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Reads the whole file, if it still has this stamp afterwards.
pub(super) fn read(path: &Path, stamp: &FileStamp) -> Result<Option<Vec<u8>>, String> {
    if stamp.bytes > BYTES_MAX {
        return Err(format!(
            "cannot read a file of {} bytes; the limit is {BYTES_MAX}",
            stamp.bytes
        ));
    }
    let read = || -> io::Result<Option<Vec<u8>>> {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        (&file).take(stamp.bytes).read_to_end(&mut bytes)?;
        Ok((FileStamp::of(&file.metadata()?) == *stamp).then_some(bytes))
    };
    read().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        list(folder).unwrap().into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_folder_is_its_files_by_name_without_hidden_ones_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".c"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("d")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("e")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("f")).unwrap();
        assert_eq!(names(dir.path()), ["a", "b", "f"]);
        assert_eq!(names(&dir.path().join("a")), [""]);
        assert!(list(&dir.path().join("g")).unwrap_err().contains("/g: No such file"));
        assert!(list(Path::new("/dev/null")).unwrap_err().contains("neither a file nor a folder"));
    }

    #[test]
    fn a_file_that_was_written_or_replaced_since_it_was_listed_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "1").unwrap();
        let look = || list(&path).unwrap().remove(0).stamp;
        let stamp = look();
        assert_eq!(read(&path, &stamp), Ok(Some(b"1".to_vec())));
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let other = dir.path().join("b");
        fs::write(&other, "2").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(read(&path, &stamp), Ok(None), "another file of the same size and time");
        let stamp = look();
        fs::write(&path, "23").unwrap();
        assert_eq!(read(&path, &stamp), Ok(None));
        let large = FileStamp { bytes: BYTES_MAX + 1, ..stamp };
        let rejected = "cannot read a file of 1073741825 bytes; the limit is 1073741824";
        assert_eq!(read(&path, &large), Err(rejected.to_owned()));
    }
}
