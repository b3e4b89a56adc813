//! Publishes the contents of one source, and reports whether the source is in sync.

use super::checkpoints::{
    Checkpoint, Checkpoints, Content, Published, Sending, SyncFailure, Version, digest,
};
use super::send::{Outcomes, SendError, send};
use super::{Error, FileContent, Format, Rounds};
use crate::clock::Clock;
use crate::config::{Feed, FeedSource};
use crate::escape::excerpt;
use crate::fetch::AGENT;
use crate::metrics;
use bytes::Bytes;
use lodewatch_client::{Backoff, Publisher, Servers};
use lodewatch_core::domain::Slug;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;

/// Characters of an error of a file that are logged and saved.
const ERROR_CHARS_MAX: usize = 400;

/// Publishes the contents of one source. A file of a folder is known by its name; for every other
/// source the name is empty.
pub(super) struct Publishing {
    feed: Slug,
    format: Arc<Format>,
    /// See [`Content`].
    read_as: String,
    servers: Servers,
    publisher: Publisher,
    clock: Clock,
    checkpoints: Arc<Checkpoints>,
    rounds: Rounds,
    metrics: metrics::FeedMetrics,
    /// The failure that was logged last, by name.
    logged: BTreeMap<String, String>,
    /// Contents that cannot be read or were rejected, by name: not retried before they change.
    invalid: BTreeMap<String, InvalidContent>,
}

struct InvalidContent {
    content: Content,
    why: String,
}

impl Publishing {
    pub(super) fn new(
        feed: &Feed,
        servers: Servers,
        clock: Clock,
        checkpoints: Arc<Checkpoints>,
        rounds: Rounds,
        metrics: metrics::FeedMetrics,
    ) -> Result<Self, Error> {
        let (format, mapping) = Format::open(&feed.format)?;
        Ok(Self {
            feed: feed.name.clone(),
            read_as: read_as(feed, &format, &mapping),
            format: Arc::new(format),
            publisher: Publisher::new(servers.clone()),
            servers,
            clock,
            checkpoints,
            rounds,
            metrics,
            logged: BTreeMap::new(),
            invalid: BTreeMap::new(),
        })
    }

    /// The versions of all contents that are in sync: a content of the same version need not be
    /// read.
    pub(super) fn synced_versions(&self) -> BTreeMap<String, Version> {
        let entries = self.checkpoints.of_feed(&self.feed);
        let is_in_sync = |entry: &Checkpoint| entry.sending.is_none() && entry.failure.is_none();
        let version = |(name, entry): (String, Checkpoint)| {
            let published = entry.published.clone().filter(|_| is_in_sync(&entry))?;
            (published.content.read_as == self.read_as).then_some((name, published.version))
        };
        entries.into_iter().filter_map(version).collect()
    }

    /// Deletes the checkpoints of files that do not exist any more. Their updates stay in the
    /// record, because a deleted file withdraws nothing.
    pub(super) fn forget_deleted(&mut self, exists: impl Fn(&str) -> bool) -> Result<(), Error> {
        self.invalid.retain(|name, _| exists(name));
        self.logged.retain(|name, _| exists(name));
        for file in self.checkpoints.remove_deleted(&self.feed, exists)? {
            tracing::info!(feed = %self.feed, file, "file deleted; its updates stay in the record");
        }
        Ok(())
    }

    /// Publishes a content unless it was published before; returns whether it is done with until it
    /// changes.
    pub(super) async fn publish(
        &mut self,
        name: &str,
        bytes: Bytes,
        version: Version,
    ) -> Result<bool, Error> {
        let content = Content::new(&self.read_as, &bytes);
        let entry = self.checkpoints.get(&self.feed, name);
        if let (Some(published), None) = (&entry.published, &entry.sending)
            && published.content == content
        {
            self.invalid.remove(name);
            self.checkpoints.update(&self.feed, name, |entry| {
                entry.published = Some(Published { version, ..published.clone() });
            })?;
            self.report_unchanged(name)?;
            return Ok(true);
        }
        if self.invalid.get(name).is_some_and(|invalid| invalid.content == content) {
            self.report_unchanged(name)?;
            return Ok(true);
        }
        self.invalid.remove(name);
        let format = Arc::clone(&self.format);
        let mut file = match blocking(move || format.read(&bytes)).await {
            Ok(file) => file,
            Err(error) => {
                // The error quotes the file.
                let error = excerpt(&error.to_string(), ERROR_CHARS_MAX);
                let why = format!("cannot import the file: {error}");
                self.invalid.insert(name.to_owned(), InvalidContent { content, why });
                self.report_unchanged(name)?;
                return Ok(true);
            }
        };
        let key = match entry.sending {
            Some(sending) if sending.content == content => sending.key,
            Some(_) | None => Uuid::new_v4(),
        };
        let sending = Some(Sending { content: content.clone(), key });
        self.checkpoints.update(&self.feed, name, |entry| entry.sending = sending)?;
        match self.send(name, key, &mut file).await? {
            Ok(outcomes) => {
                let at_ms = self.clock.now();
                let (imported, skipped) = (file.imported.count, file.skipped.len());
                let published = Published { at_ms, imported, skipped, outcomes, content, version };
                self.report_published(name, published)?;
                Ok(true)
            }
            Err(error) if error.status.code() == Code::InvalidArgument => {
                let why = error.explain();
                self.invalid.insert(name.to_owned(), InvalidContent { content, why });
                self.report_unchanged(name)?;
                Ok(true)
            }
            // Rights, a limit or another publisher: retried in the next round.
            Err(error) => {
                if lodewatch_client::retry_delay(&error.status).is_none() {
                    // The server keeps its answer to this key; another key is judged anew.
                    let sending = Some(Sending { content, key: Uuid::new_v4() });
                    self.checkpoints.update(&self.feed, name, |entry| entry.sending = sending)?;
                }
                self.report_failure(name, error.explain())?;
                Ok(false)
            }
        }
    }

    /// Sends until the server accepts or rejects the content; once, where there is one round.
    async fn send(
        &mut self,
        name: &str,
        key: Uuid,
        content: &mut FileContent,
    ) -> Result<Result<Outcomes, SendError>, Error> {
        let mut backoff = Backoff::new();
        loop {
            let sent = send(&self.servers, &mut self.publisher, &self.feed, key, content).await;
            let Err(error) = sent else { return Ok(sent) };
            let is_endless = self.rounds == Rounds::Endless;
            let Some(at_least) =
                lodewatch_client::retry_delay(&error.status).filter(|_| is_endless)
            else {
                return Ok(Err(error));
            };
            self.report_failure(name, error.explain())?;
            sleep(backoff.next_delay(at_least)).await;
        }
    }

    /// Saves the checkpoint of a published content, then logs it.
    fn report_published(&self, name: &str, published: Published) -> Result<(), Error> {
        self.checkpoints.update(&self.feed, name, |entry| {
            let published = Some(published.clone());
            *entry = Checkpoint { published, sending: None, failure: None };
        })?;
        let Published { imported, skipped, outcomes, at_ms, .. } = published;
        let Outcomes { applied, unchanged, superseded, alerts } = outcomes;
        let outcomes = [("applied", applied), ("unchanged", unchanged), ("superseded", superseded)];
        self.metrics.count_published(self.feed.as_str(), outcomes, at_ms.millis());
        tracing::info!(
            feed = %self.feed,
            file = shown(name),
            imported,
            skipped,
            applied,
            unchanged,
            superseded,
            alerts,
            "published"
        );
        Ok(())
    }

    /// Updates the metrics of the feed.
    pub(super) fn report_status(&self) {
        let failing = self.checkpoints.count_failures(&self.feed);
        self.metrics.set_failing(self.feed.as_str(), failing, self.clock.now().millis());
    }

    /// The content is unchanged: it is in sync, or still invalid.
    pub(super) fn report_unchanged(&mut self, name: &str) -> Result<(), Error> {
        match self.invalid.get(name) {
            Some(InvalidContent { why, .. }) => {
                let why = why.clone();
                self.report_failure(name, why)
            }
            None => self.report_in_sync(name),
        }
    }

    pub(super) fn report_in_sync(&mut self, name: &str) -> Result<(), Error> {
        let mut was_failing = false;
        self.logged.remove(name);
        self.checkpoints.update(&self.feed, name, |entry| {
            was_failing = entry.failure.take().is_some();
        })?;
        if was_failing {
            tracing::info!(feed = %self.feed, file = shown(name), "in sync again");
        }
        Ok(())
    }

    /// Saves a failure, and logs it once as long as it stays the same.
    pub(super) fn report_failure(&mut self, name: &str, why: String) -> Result<(), Error> {
        let since_ms = self.clock.now();
        self.checkpoints.update(&self.feed, name, |entry| {
            if entry.failure.as_ref().is_none_or(|failure| failure.why != why) {
                entry.failure = Some(SyncFailure { since_ms, why: why.clone() });
            }
        })?;
        // Not at the end of the round, which an unavailable server delays.
        self.report_status();
        if self.logged.get(name) != Some(&why) {
            tracing::warn!(feed = %self.feed, file = shown(name), why, "not in sync");
            self.logged.insert(name.to_owned(), why);
        }
        Ok(())
    }
}

/// The file of a folder; `None` where the source is one content.
fn shown(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// The digest of everything but the bytes that decides what is published.
fn read_as(feed: &Feed, format: &Format, mapping: &[u8]) -> String {
    let source = match &feed.source {
        FeedSource::Url { url, .. } => url.to_string(),
        FeedSource::Path(path) => path.display().to_string(),
    };
    let mapping = digest(mapping);
    digest(format!("{AGENT} {} {} {mapping} {source}", feed.name, format.name()).as_bytes())
}

/// Runs work that reads files or takes long on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("it neither panics nor is cancelled")
}
