//! Files: which exist, which have changed, and which are still being written.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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

/// The files of a source.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By name.
    pub(super) files: Vec<SourceFile>,
    /// The names of links that lead out of the folder; these are not followed.
    pub(super) links_outside: Vec<String>,
}

/// Lists the file, or every file of the folder by name. Names that begin with a dot are ignored:
/// their files are still being written. Links are followed within the folder only: a
/// program that may write to it could otherwise have any file read.
pub(super) fn list(source: &Path) -> Result<Listing, String> {
    let failed = |error: io::Error| unreadable(source, &error);
    let metadata = fs::metadata(source).map_err(failed)?;
    let mut listing = Listing::default();
    if metadata.is_file() {
        let (name, path) = (String::new(), source.to_owned());
        listing.files.push(SourceFile { name, path, stamp: FileStamp::of(&metadata) });
        return Ok(listing);
    }
    if !metadata.is_dir() {
        return Err(format!("cannot read {}: neither a file nor a folder", source.display()));
    }
    let folder = source.canonicalize().map_err(failed)?;
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        match resolve(&entry.path()) {
            Ok((path, _)) if !path.starts_with(&folder) => listing.links_outside.push(name),
            Ok((path, metadata)) if metadata.is_file() => {
                listing.files.push(SourceFile { name, path, stamp: FileStamp::of(&metadata) });
            }
            Ok(_) => {}
            // Deleted since the folder was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&entry.path(), &error)),
        }
        if listing.files.len().saturating_add(listing.links_outside.len()) > FILES_MAX {
            return Err(format!("cannot read {}: more than {FILES_MAX} files", source.display()));
        }
    }
    listing.files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listing)
}

/// A path without links, and what is there: Kubernetes mounts files as links within a folder.
fn resolve(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let path = path.canonicalize()?;
    let metadata = fs::symlink_metadata(&path)?;
    Ok((path, metadata))
}

/// Reads the whole file, if it still has this stamp afterwards.
pub(super) fn read(
    path: &Path,
    stamp: &FileStamp,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, String> {
    if stamp.bytes > bytes_max {
        let bytes = stamp.bytes;
        return Err(format!("cannot read a file of {bytes} bytes; the limit is {bytes_max}"));
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
        list(folder).unwrap().files.into_iter().map(|file| file.name).collect()
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
    fn a_folder_has_a_limited_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..FILES_MAX {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(names(dir.path()).len(), FILES_MAX);
        fs::write(dir.path().join("more"), "").unwrap();
        assert!(list(dir.path()).unwrap_err().ends_with("more than 10000 files"));
    }

    #[test]
    fn links_are_followed_within_the_folder_only() {
        let root = tempfile::tempdir().unwrap();
        let (folder, link) =
            (root.path().join("feed"), std::os::unix::fs::symlink::<&str, PathBuf>);
        // As Kubernetes mounts files.
        fs::create_dir_all(folder.join("..1")).unwrap();
        fs::write(folder.join("..1/a"), "a").unwrap();
        link("..1", folder.join("..data")).unwrap();
        link("..data/a", folder.join("a")).unwrap();
        fs::write(root.path().join("secret"), "secret").unwrap();
        link("../secret", folder.join("b")).unwrap();
        link("/etc", folder.join("c")).unwrap();
        fs::create_dir(root.path().join("feed-2")).unwrap();
        link("../feed-2", folder.join("e")).unwrap();
        link("feed", root.path().join("mounted")).unwrap();
        for source in [&folder, &root.path().join("mounted")] {
            let mut listing = list(source).unwrap();
            listing.links_outside.sort();
            assert_eq!(names(source), ["a"]);
            assert_eq!(listing.links_outside, ["b", "c", "e"]);
            let file = listing.files.remove(0);
            assert_eq!(read(&file.path, &file.stamp, 10), Ok(Some(b"a".to_vec())));
        }
    }

    #[test]
    fn a_file_that_was_written_or_replaced_since_it_was_listed_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "1").unwrap();
        let look = || list(&path).unwrap().files.remove(0).stamp;
        let stamp = look();
        assert_eq!(read(&path, &stamp, 10), Ok(Some(b"1".to_vec())));
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let other = dir.path().join("b");
        fs::write(&other, "2").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(read(&path, &stamp, 10), Ok(None), "another file of the same size and time");
        let stamp = look();
        fs::write(&path, "23").unwrap();
        assert_eq!(read(&path, &stamp, 10), Ok(None));
        let rejected = "cannot read a file of 2 bytes; the limit is 1";
        assert_eq!(read(&path, &look(), 1), Err(rejected.to_owned()));
    }
}
