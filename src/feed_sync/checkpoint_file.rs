//! The state file of feed sync: all checkpoints, and every change since, so that saving a change
//! costs the same for one file and for ten thousand. Persisted.
//!
//! The first line has the checkpoints of all sources, each further line one that has changed since.
//! When there are more changes than checkpoints, the file is replaced by a new one without changes.

use super::checkpoints::{Checkpoint, Sources};
use lodewatch_client::{StateFile, StateFileError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

/// So many changes are appended regardless of how few checkpoints there are.
const CHANGES_MIN: usize = 1000;

/// A checkpoint that has changed; it replaces the one of the same feed and file. Persisted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) feed: String,
    pub(super) file: String,
    /// The empty one deletes it.
    pub(super) checkpoint: Checkpoint,
}

impl Change {
    pub(super) fn apply(self, sources: &mut Sources) {
        let Self { feed, file, checkpoint } = self;
        let entries = sources.entry(feed).or_default();
        if checkpoint == Checkpoint::default() {
            entries.remove(&file);
        } else {
            entries.insert(file, checkpoint);
        }
    }
}

/// The state file of a running feed sync.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    /// Holds the lock.
    state_file: StateFile,
    /// Open at its end; `None` after an error: what its last line holds is unknown then.
    appending: Option<File>,
    /// Changes after the first line.
    changes: usize,
}

impl CheckpointFile {
    /// Locks and reads the file; the checkpoints are empty where it does not exist. Must be
    /// replaced before the first change is appended.
    ///
    /// # Errors
    ///
    /// Where another process uses the file, or it cannot be read.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Sources), StateFileError> {
        let state_file = StateFile::new(path.clone());
        state_file.lock()?;
        let sources = read(path)?;
        Ok((Self { state_file, appending: None, changes: 0 }, sources))
    }

    /// Replaces the file by one that has these checkpoints and no changes.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written; the previous one stays.
    pub(super) fn replace(&mut self, sources: &Sources) -> Result<(), StateFileError> {
        let mut line = serde_json::to_vec(sources).expect("checkpoints have a JSON form");
        line.push(b'\n');
        let path = self.state_file.path();
        let replaced = lodewatch_files::replace(path, &line)
            .and_then(|()| File::options().append(true).open(path));
        let failed = |source| StateFileError::Save { path: path.to_owned(), source };
        self.appending = Some(replaced.map_err(failed)?);
        self.changes = 0;
        Ok(())
    }

    /// Appends a change, which is durable then; `sources` are all checkpoints with it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub(super) fn append(
        &mut self,
        change: &Change,
        sources: &Sources,
    ) -> Result<(), StateFileError> {
        let count = sources.values().map(BTreeMap::len).sum::<usize>();
        if self.changes >= count.max(CHANGES_MIN) {
            return self.replace(sources);
        }
        let Some(mut file) = self.appending.take() else { return self.replace(sources) };
        let mut line = serde_json::to_vec(change).expect("a change has a JSON form");
        line.push(b'\n');
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        written.map_err(|source| StateFileError::Save {
            path: self.state_file.path().to_owned(),
            source,
        })?;
        self.appending = Some(file);
        self.changes = self.changes.saturating_add(1);
        Ok(())
    }
}

/// Reads the checkpoints without a lock, also while feed sync runs.
///
/// # Errors
///
/// Where the file cannot be read, or holds something else.
pub fn read(path: PathBuf) -> Result<Sources, StateFileError> {
    let text = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Sources::default()),
        Err(source) => return Err(StateFileError::Load { path, source }),
    };
    parse(&text).map_err(|source| StateFileError::Invalid { path, source })
}

fn parse(text: &[u8]) -> Result<Sources, serde_json::Error> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().ok_or_else(|| {
        serde_json::Error::io(io::Error::new(ErrorKind::UnexpectedEof, "the file is empty"))
    })?;
    let mut sources = serde_json::from_slice(first)?;
    for line in lines {
        // The last line may be incomplete: a crash cut it off, or it is being written.
        if !line.ends_with(b"\n") {
            break;
        }
        serde_json::from_slice::<Change>(line)?.apply(&mut sources);
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::super::checkpoints::SyncFailure;
    use super::*;
    use lodewatch_core::domain::Timestamp;

    fn change(number: usize) -> Change {
        let failure = SyncFailure { since_ms: Timestamp::from_millis(1), why: "a reason".into() };
        let checkpoint = Checkpoint { failure: Some(failure), ..Checkpoint::default() };
        Change { feed: "own".into(), file: format!("{number}.csv"), checkpoint }
    }

    #[test]
    fn a_change_costs_the_same_however_many_files_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (mut file, mut sources) = CheckpointFile::open(path.clone()).unwrap();
        file.replace(&sources).unwrap();
        let mut replaced = 0;
        // Each file changes three times.
        for number in (0..10_000).chain(0..10_000).chain(0..10_000) {
            change(number).apply(&mut sources);
            file.append(&change(number), &sources).unwrap();
            replaced += usize::from(file.changes == 0);
        }
        assert_eq!(replaced, 2, "the whole file is written once per 10,000 changes");
        assert_eq!(read(path.clone()).unwrap(), sources);
        let deletion = Change { checkpoint: Checkpoint::default(), ..change(7) };
        sources.get_mut("own").unwrap().remove("7.csv");
        file.append(&deletion, &sources).unwrap();
        assert_eq!(read(path).unwrap(), sources);
    }

    #[test]
    fn an_incomplete_last_line_is_ignored_and_any_other_fault_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (mut file, mut sources) = CheckpointFile::open(path.clone()).unwrap();
        file.replace(&sources).unwrap();
        change(1).apply(&mut sources);
        file.append(&change(1), &sources).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        file.append(&change(2), &sources).unwrap();
        let bytes = fs::read(&path).unwrap();
        for cut in usize::try_from(length).unwrap()..bytes.len() {
            assert_eq!(parse(&bytes[..cut]).unwrap(), sources, "cut to {cut} bytes");
        }
        for bad in ["", "[]", "{}\n{}\n", "{}\nx\n{}\n"] {
            parse(bad.as_bytes()).unwrap_err();
        }
        let other = CheckpointFile::open(path);
        assert!(matches!(other, Err(StateFileError::Locked { .. })));
    }
}
