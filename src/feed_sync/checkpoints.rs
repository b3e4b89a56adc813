//! Checkpoints: how far each source is, in the state file. Persisted.

use super::checkpoint_file::{Change, CheckpointFile};
use super::file::FileStamp;
use super::{Error, Outcomes};
use crate::fetch::Validators;
use lodewatch_client::StateFileError;
use lodewatch_core::domain::{Slug, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The checkpoints of all sources, by feed and, of folders, by file; the one of the empty name is
/// of the source itself. Persisted.
pub type Sources = BTreeMap<String, BTreeMap<String, Checkpoint>>;

/// How far one source is, or one file of a folder. Persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The content that was published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// The content that is being published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sending: Option<Sending>,
    /// Why it is not in sync; the content that was published last is still in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<SyncFailure>,
}

/// A content that was published. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub at_ms: Timestamp,
    /// `158 reports of 79 markets`, for people.
    pub imported: String,
    /// Rows, tables or measures that were skipped.
    pub skipped: usize,
    pub outcomes: Outcomes,
    pub(super) content: Content,
    pub(super) version: Version,
}

/// A content that is being published, and the key of which the ids of its batches are made.
/// Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sending {
    pub(super) content: Content,
    pub(super) key: Uuid,
}

/// Why a source is not in sync. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFailure {
    /// Since when it fails for this reason.
    pub since_ms: Timestamp,
    pub why: String,
}

/// The digests of the bytes and of how they are read. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    /// The digest of the source, its format and the version of this program, which may change how
    /// bytes are read.
    pub(super) read_as: String,
    bytes: String,
}

impl Content {
    pub(super) fn new(read_as: &str, bytes: &[u8]) -> Self {
        Self { read_as: read_as.to_owned(), bytes: digest(bytes) }
    }
}

/// The XXH3 digest of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// Shows without reading a content whether it has changed. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Version {
    /// Of a file.
    File(FileStamp),
    /// Of an address.
    Url(Validators),
}

/// The checkpoints of all sources, and the state file that keeps them.
#[derive(Debug)]
pub struct Checkpoints(Mutex<SavedSources>);

#[derive(Debug)]
struct SavedSources {
    file: CheckpointFile,
    sources: Sources,
    /// How many checkpoints of each feed have a failure.
    failures: BTreeMap<String, usize>,
}

impl Checkpoints {
    /// Loads the checkpoints of these feeds; those of other feeds are deleted.
    ///
    /// # Errors
    ///
    /// Where another process uses the state file, or it cannot be read or written.
    pub fn open<'a>(
        state_file: PathBuf,
        feeds: impl Iterator<Item = &'a Slug>,
    ) -> Result<Self, StateFileError> {
        let (mut file, mut before) = CheckpointFile::open(state_file)?;
        let of = |feed: &Slug| {
            let name = feed.as_str().to_owned();
            (name, before.remove(feed.as_str()).unwrap_or_default())
        };
        let sources: Sources = feeds.map(of).collect();
        // Fails here, before anything is sent, where the state file cannot be written.
        file.replace(&sources)?;
        let count = |entries: &BTreeMap<String, Checkpoint>| {
            entries.values().filter(|entry| entry.failure.is_some()).count()
        };
        let failures = sources.iter().map(|(feed, entries)| (feed.clone(), count(entries)));
        let failures = failures.collect();
        Ok(Self(Mutex::new(SavedSources { file, sources, failures })))
    }

    /// The checkpoints of a feed, by file.
    pub(super) fn of_feed(&self, feed: &Slug) -> BTreeMap<String, Checkpoint> {
        self.with(|saved| saved.sources.get(feed.as_str()).cloned()).unwrap_or_default()
    }

    /// How many files of a feed are not in sync.
    pub(super) fn count_failures(&self, feed: &Slug) -> usize {
        self.with(|saved| saved.failures.get(feed.as_str()).copied()).unwrap_or_default()
    }

    /// When a content of a feed was published last.
    pub(super) fn published_at(&self, feed: &Slug) -> Option<Timestamp> {
        let at = |entry: &Checkpoint| entry.published.as_ref().map(|published| published.at_ms);
        self.with(|saved| saved.sources.get(feed.as_str())?.values().filter_map(at).max())
    }

    pub(super) fn get(&self, feed: &Slug, file: &str) -> Checkpoint {
        self.with(|saved| saved.get(feed.as_str(), file).cloned()).unwrap_or_default()
    }

    /// Changes a checkpoint and saves the state if the change makes a difference.
    pub(super) fn update(
        &self,
        feed: &Slug,
        file: &str,
        change: impl FnOnce(&mut Checkpoint),
    ) -> Result<(), Error> {
        self.with(|saved| {
            let before = saved.get(feed.as_str(), file).cloned().unwrap_or_default();
            let mut after = before.clone();
            change(&mut after);
            if after == before { Ok(()) } else { saved.replace(feed.as_str(), file, after) }
        })
    }

    /// Deletes the checkpoints of files that do not exist any more; returns their names.
    pub(super) fn remove_deleted(
        &self,
        feed: &Slug,
        exists: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        self.with(|saved| {
            let files = saved.sources.get(feed.as_str()).into_iter().flat_map(BTreeMap::keys);
            let deleted: Vec<String> = files.filter(|file| !exists(file)).cloned().collect();
            for file in &deleted {
                saved.replace(feed.as_str(), file, Checkpoint::default())?;
            }
            Ok(deleted)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut SavedSources) -> T) -> T {
        work(&mut self.0.lock().expect("nothing panics while it holds the sources"))
    }
}

impl SavedSources {
    fn get(&self, feed: &str, file: &str) -> Option<&Checkpoint> {
        self.sources.get(feed)?.get(file)
    }

    /// Replaces a checkpoint and saves the change; the empty one deletes it.
    fn replace(&mut self, feed: &str, file: &str, checkpoint: Checkpoint) -> Result<(), Error> {
        let failed_before = self.get(feed, file).is_some_and(|entry| entry.failure.is_some());
        let failures = self.failures.entry(feed.to_owned()).or_default();
        let others = failures.saturating_sub(usize::from(failed_before));
        *failures = others.saturating_add(usize::from(checkpoint.failure.is_some()));
        let change = Change { feed: feed.to_owned(), file: file.to_owned(), checkpoint };
        change.clone().apply(&mut self.sources);
        Ok(self.file.append(&change, &self.sources)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1.0 saves it.
    const SAVED: &str = concat!(
        r#"{"own":{"a.csv":{"published":{"at_ms":1,"imported":"1 report of 1 market","skipped":2,"#,
        r#""outcomes":{"applied":1,"unchanged":0,"superseded":0,"alerts":3},"#,
        r#""content":{"read_as":"00","bytes":"01"},"#,
        r#""version":{"file":{"inode":1,"bytes":2,"modified":[3,4],"changed":[5,6]}}},"#,
        r#""sending":{"content":{"read_as":"00","bytes":"02"},"key":"67e55044-10b1-426f-9247-bb680e5fe0c8"},"#,
        r#""failure":{"since_ms":2,"why":"the server is unavailable"}}},"#,
        r#""web":{"":{"published":{"at_ms":1,"imported":"1 update","skipped":0,"#,
        r#""outcomes":{"applied":0,"unchanged":1,"superseded":0,"alerts":0},"#,
        r#""content":{"read_as":"00","bytes":"03"},"version":{"url":{"etag":"\"1\""}}}}}}"#
    );

    #[test]
    fn checkpoints_are_loaded_again_and_those_of_removed_feeds_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, SAVED).unwrap();
        let names = ["own", "web"].map(|name| Slug::parse(name).unwrap());
        let open = |names: &[Slug]| Checkpoints::open(path.clone(), names.iter()).unwrap();
        let checkpoints = open(&names);
        let saved = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(saved(), format!("{SAVED}\n"));
        let [own, web] = &names;
        assert_eq!((checkpoints.count_failures(own), checkpoints.count_failures(web)), (1, 0));
        checkpoints.update(own, "b.csv", |entry| entry.failure = None).unwrap();
        assert_eq!(saved(), format!("{SAVED}\n"), "an empty checkpoint is not saved");
        assert_eq!(checkpoints.remove_deleted(own, str::is_empty).unwrap(), ["a.csv"]);
        let deletion = r#"{"feed":"own","file":"a.csv","checkpoint":{}}"#;
        assert_eq!(saved(), format!("{SAVED}\n{deletion}\n"));
        assert_eq!(checkpoints.count_failures(own), 0);
        drop(checkpoints);
        assert_eq!(open(&names).of_feed(own).len(), 0);
        assert_eq!(open(&names[..1]).with(|saved| saved.sources.len()), 1);
        assert!(!saved().contains("web"));
    }

    #[test]
    fn a_content_differs_by_its_bytes_and_by_how_they_are_read() {
        let content = Content::new("a", b"x");
        assert_eq!(content, Content::new("a", b"x"));
        assert_ne!(content, Content::new("b", b"x"));
        assert_ne!(content, Content::new("a", b"y"));
    }
}
