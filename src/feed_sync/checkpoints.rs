//! What is known of each source, in its state file. Persisted.

use super::file::Stamp;
use super::{Error, Outcomes};
use crate::domain::{Slug, Timestamp};
use crate::fetch::Validators;
use lodewatch_client::{StateFile, StateFileError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// What is known of every source. Persisted, by feed and, of folders, by file; the entry of the empty name is the source itself.
pub type Sources = BTreeMap<String, BTreeMap<String, Entry>>;

/// What is known of one source, or of one file of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// What is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sending: Option<Sending>,
    /// What is wrong with it; it then still says what was published last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// A content that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// When.
    pub at_ms: Timestamp,
    /// What was taken of it, for people.
    pub taken: String,
    /// How much was left out.
    pub left_out: usize,
    /// What became of it.
    pub outcomes: Outcomes,
    pub(super) content: Content,
    pub(super) version: Version,
}

/// A content that is being published, and the key that the ids of its batches are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sending {
    pub(super) content: Content,
    pub(super) key: Uuid,
}

/// Why a source is not in sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Since when, for this reason.
    pub since_ms: Timestamp,
    /// In words.
    pub why: String,
}

/// Bytes and how they are read, by their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    /// Of where the bytes are from and how they become updates. A newer version of this program may read them otherwise.
    pub(super) read_as: String,
    bytes: String,
}

impl Content {
    pub(super) fn new(read_as: &str, bytes: &[u8]) -> Self {
        Self { read_as: read_as.to_owned(), bytes: digest(bytes) }
    }
}

/// A digest, as text.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// What a content can be known by without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Version {
    /// A file's.
    File(Stamp),
    /// What the server calls it.
    Url(Validators),
}

/// What is known of all sources, and the file that keeps it.
#[derive(Debug)]
pub struct Checkpoints {
    state_file: StateFile,
    sources: Mutex<Sources>,
}

impl Checkpoints {
    /// What was kept of these feeds; of others it is forgotten.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or could not be kept again.
    pub fn open<'a>(
        state_file: StateFile,
        feeds: impl Iterator<Item = &'a Slug>,
    ) -> Result<Self, StateFileError> {
        let mut before: Sources = state_file.load()?;
        let of = |feed: &Slug| {
            let name = feed.as_str().to_owned();
            (name, before.remove(feed.as_str()).unwrap_or_default())
        };
        let sources: Sources = feeds.map(of).collect();
        // Where the state cannot be saved, nothing is sent.
        state_file.save(&sources)?;
        Ok(Self { state_file, sources: Mutex::new(sources) })
    }

    /// What is known of a feed.
    pub(super) fn entries(&self, feed: &Slug) -> BTreeMap<String, Entry> {
        self.look(|sources| sources.get(feed.as_str()).cloned()).unwrap_or_default()
    }

    /// How much of a feed is in trouble.
    pub(super) fn troubles(&self, feed: &Slug) -> usize {
        let count = |entries: &BTreeMap<String, Entry>| {
            entries.values().filter(|entry| entry.trouble.is_some()).count()
        };
        self.look(|sources| sources.get(feed.as_str()).map_or(0, count))
    }

    /// When something of a feed was published last.
    pub(super) fn published_at(&self, feed: &Slug) -> Option<Timestamp> {
        let at = |entry: &Entry| entry.published.as_ref().map(|published| published.at_ms);
        self.look(|sources| sources.get(feed.as_str())?.values().filter_map(at).max())
    }

    pub(super) fn entry(&self, feed: &Slug, file: &str) -> Entry {
        let entry = |sources: &Sources| sources.get(feed.as_str())?.get(file).cloned();
        self.look(entry).unwrap_or_default()
    }

    /// Changes an entry, and keeps it where that makes a difference.
    pub(super) fn change(
        &self,
        feed: &Slug,
        file: &str,
        change: impl FnOnce(&mut Entry),
    ) -> Result<(), Error> {
        self.keep(|sources| {
            let entries = sources.entry(feed.as_str().to_owned()).or_default();
            let before = entries.get(file).cloned().unwrap_or_default();
            let mut entry = before.clone();
            change(&mut entry);
            let differs = entry != before;
            if entry == Entry::default() {
                entries.remove(file);
            } else if differs {
                entries.insert(file.to_owned(), entry);
            }
            differs
        })
    }

    /// Forgets what is no longer there; gives its names.
    pub(super) fn forget(
        &self,
        feed: &Slug,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        let mut gone = Vec::new();
        self.keep(|sources| {
            let entries = sources.entry(feed.as_str().to_owned()).or_default();
            entries.retain(|file, _| {
                let stays = is_there(file);
                if !stays {
                    gone.push(file.clone());
                }
                stays
            });
            !gone.is_empty()
        })?;
        Ok(gone)
    }

    fn look<T>(&self, look: impl FnOnce(&Sources) -> T) -> T {
        look(&self.sources.lock().expect("nothing panics while it holds the sources"))
    }

    /// `change` says whether there is anything to keep.
    fn keep(&self, change: impl FnOnce(&mut Sources) -> bool) -> Result<(), Error> {
        let mut sources = self.sources.lock().expect("nothing panics while it holds the sources");
        if change(&mut sources) {
            self.state_file.save(&*sources)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1.0 keeps it.
    const KEPT: &str = concat!(
        r#"{"own":{"a.csv":{"published":{"at_ms":1,"taken":"1 report of 1 market","left_out":2,"#,
        r#""outcomes":{"applied":1,"unchanged":0,"superseded":0,"alerts":3},"#,
        r#""content":{"read_as":"00","bytes":"01"},"#,
        r#""version":{"file":{"inode":1,"bytes":2,"modified":[3,4],"changed":[5,6]}}},"#,
        r#""sending":{"content":{"read_as":"00","bytes":"02"},"key":"67e55044-10b1-426f-9247-bb680e5fe0c8"},"#,
        r#""trouble":{"since_ms":2,"why":"the server takes nothing"}}},"#,
        r#""web":{"":{"published":{"at_ms":1,"taken":"1 update","left_out":0,"#,
        r#""outcomes":{"applied":0,"unchanged":1,"superseded":0,"alerts":0},"#,
        r#""content":{"read_as":"00","bytes":"03"},"version":{"url":{"etag":"\"1\""}}}}}}"#
    );

    #[test]
    fn what_was_kept_is_kept_on_and_feeds_that_are_no_longer_named_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, KEPT).unwrap();
        let names = ["own", "web"].map(|name| Slug::parse(name).unwrap());
        let open = |names: &[Slug]| Checkpoints::open(StateFile::new(path.clone()), names.iter());
        let checkpoints = open(&names).unwrap();
        let kept = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept(), KEPT);
        let [own, web] = &names;
        assert_eq!((checkpoints.troubles(own), checkpoints.troubles(web)), (1, 0));
        checkpoints.change(own, "b.csv", |entry| entry.trouble = None).unwrap();
        assert_eq!(kept(), KEPT, "an entry that says nothing is none");
        assert_eq!(checkpoints.forget(own, str::is_empty).unwrap(), ["a.csv"]);
        assert_eq!(open(&names).unwrap().look(|sources| sources["own"].len()), 0);
        assert_eq!(open(&names[..1]).unwrap().look(Sources::len), 1);
        assert!(!kept().contains("web"));
    }

    #[test]
    fn a_content_is_its_bytes_and_how_they_are_read() {
        let content = Content::new("a", b"x");
        assert_eq!(content, Content::new("a", b"x"));
        assert_ne!(content, Content::new("b", b"x"));
        assert_ne!(content, Content::new("a", b"y"));
    }
}
