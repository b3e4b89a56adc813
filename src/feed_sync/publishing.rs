//! What one source says, made the server's: read, published, kept; and how the source stands.

use super::checkpoints::{
    Checkpoints, Content, Entry, Published, Sending, Trouble, Version, digest,
};
use super::send::{Refusal, send};
use super::{Error, Format, Outcomes, Read, Rounds};
use crate::clock::Clock;
use crate::config::{Feed, FeedSource};
use crate::domain::Slug;
use crate::fetch::AGENT;
use crate::metrics;
use bytes::Bytes;
use lodewatch_client::{Backoff, Publisher, Servers};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tonic::Code;
use uuid::Uuid;

/// Where the contents of one source go. Of a folder, each file has its name; everywhere else the name is empty.
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
    /// The trouble that was told last, by name.
    told: BTreeMap<String, String>,
    /// What cannot be read or is refused for what it says, by name: not tried again before it changes.
    useless: BTreeMap<String, Useless>,
}

struct Useless {
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
            told: BTreeMap::new(),
            useless: BTreeMap::new(),
        })
    }

    /// By what it can be known, without reading it, that a name still says what was published; of all names of which it can.
    pub(super) fn in_sync(&self) -> BTreeMap<String, Version> {
        let entries = self.checkpoints.entries(&self.feed);
        let is_in_sync = |entry: &Entry| entry.sending.is_none() && entry.trouble.is_none();
        let version = |(name, entry): (String, Entry)| {
            let published = entry.published.clone().filter(|_| is_in_sync(&entry))?;
            (published.content.read_as == self.read_as).then_some((name, published.version))
        };
        entries.into_iter().filter_map(version).collect()
    }

    /// Forgets names that are no longer there. What they said stays: nobody has said that it is not so.
    pub(super) fn forget(&mut self, is_there: impl Fn(&str) -> bool) -> Result<(), Error> {
        self.useless.retain(|name, _| is_there(name));
        self.told.retain(|name, _| is_there(name));
        for file in self.checkpoints.forget(&self.feed, is_there)? {
            tracing::info!(feed = %self.feed, file, "a file is gone; what it said stays");
        }
        Ok(())
    }

    /// Publishes a content unless it was; whether nothing more is to be done about it before it changes.
    pub(super) async fn take(
        &mut self,
        name: &str,
        bytes: Bytes,
        version: Version,
    ) -> Result<bool, Error> {
        let content = Content::new(&self.read_as, &bytes);
        let entry = self.checkpoints.entry(&self.feed, name);
        if let (Some(published), None) = (&entry.published, &entry.sending)
            && published.content == content
        {
            self.useless.remove(name);
            self.checkpoints.change(&self.feed, name, |entry| {
                entry.published = Some(Published { version, ..published.clone() });
            })?;
            self.stands(name)?;
            return Ok(true);
        }
        if self.useless.get(name).is_some_and(|useless| useless.content == content) {
            self.stands(name)?;
            return Ok(true);
        }
        self.useless.remove(name);
        let format = Arc::clone(&self.format);
        let mut read = match blocking(move || format.read(&bytes)).await {
            Ok(read) => read,
            Err(error) => {
                let why = format!("it cannot be read: {error}");
                self.useless.insert(name.to_owned(), Useless { content, why });
                self.stands(name)?;
                return Ok(true);
            }
        };
        let key = match entry.sending {
            Some(sending) if sending.content == content => sending.key,
            Some(_) | None => Uuid::new_v4(),
        };
        let sending = Some(Sending { content: content.clone(), key });
        self.checkpoints.change(&self.feed, name, |entry| entry.sending = sending)?;
        match self.send(name, key, &mut read).await? {
            Ok(outcomes) => {
                let at_ms = self.clock.now();
                let (taken, left_out) = (read.taken.count, read.skipped.len());
                self.published(
                    name,
                    Published { at_ms, taken, left_out, outcomes, content, version },
                )?;
                Ok(true)
            }
            Err(refusal) if refusal.status.code() == Code::InvalidArgument => {
                let why = refusal.why();
                self.useless.insert(name.to_owned(), Useless { content, why });
                self.stands(name)?;
                Ok(true)
            }
            // Rights, a limit or another publisher: tried again with the next round.
            Err(refusal) => {
                self.trouble(name, refusal.why())?;
                Ok(false)
            }
        }
    }

    /// Tries until the server takes it or refuses it for good; once, where there is one round.
    async fn send(
        &mut self,
        name: &str,
        key: Uuid,
        read: &mut Read,
    ) -> Result<Result<Outcomes, Refusal>, Error> {
        let mut backoff = Backoff::new();
        loop {
            let sent = send(&self.servers, &mut self.publisher, &self.feed, key, read).await;
            let Err(refusal) = sent else { return Ok(sent) };
            let is_endless = self.rounds == Rounds::Endless;
            let Some(least) = lodewatch_client::retry_delay(&refusal.status).filter(|_| is_endless)
            else {
                return Ok(Err(refusal));
            };
            self.trouble(name, refusal.why())?;
            sleep(backoff.next_delay(least)).await;
        }
    }

    /// Kept before it is told.
    fn published(&self, name: &str, published: Published) -> Result<(), Error> {
        self.checkpoints.change(&self.feed, name, |entry| {
            let published = Some(published.clone());
            *entry = Entry { published, sending: None, trouble: None };
        })?;
        let Published { taken, left_out, outcomes, at_ms, .. } = published;
        let Outcomes { applied, unchanged, superseded, alerts } = outcomes;
        let outcomes = [("applied", applied), ("unchanged", unchanged), ("superseded", superseded)];
        self.metrics.count_published(self.feed.as_str(), outcomes, at_ms.millis());
        tracing::info!(
            feed = %self.feed,
            file = shown(name),
            taken,
            left_out,
            applied,
            unchanged,
            superseded,
            alerts,
            "published"
        );
        Ok(())
    }

    /// All of it was looked at.
    pub(super) fn looked(&self) {
        let troubled = self.checkpoints.troubles(&self.feed);
        self.metrics.set_failing(self.feed.as_str(), troubled, self.clock.now().millis());
    }

    /// Nothing has changed: it is as well, or in as much trouble, as what it says allows.
    pub(super) fn stands(&mut self, name: &str) -> Result<(), Error> {
        match self.useless.get(name) {
            Some(Useless { why, .. }) => {
                let why = why.clone();
                self.trouble(name, why)
            }
            None => self.well(name),
        }
    }

    pub(super) fn well(&mut self, name: &str) -> Result<(), Error> {
        let mut was_troubled = false;
        self.told.remove(name);
        self.checkpoints.change(&self.feed, name, |entry| {
            was_troubled = entry.trouble.take().is_some();
        })?;
        if was_troubled {
            tracing::info!(feed = %self.feed, file = shown(name), "in sync again");
        }
        Ok(())
    }

    /// Told once, for as long as it is the same.
    pub(super) fn trouble(&mut self, name: &str, why: String) -> Result<(), Error> {
        let since_ms = self.clock.now();
        self.checkpoints.change(&self.feed, name, |entry| {
            if entry.trouble.as_ref().is_none_or(|trouble| trouble.why != why) {
                entry.trouble = Some(Trouble { since_ms, why: why.clone() });
            }
        })?;
        // Before the round has ended: a server that takes nothing holds it up.
        self.looked();
        if self.told.get(name) != Some(&why) {
            tracing::warn!(feed = %self.feed, file = shown(name), why, "not in sync");
            self.told.insert(name.to_owned(), why);
        }
        Ok(())
    }
}

/// The file of a folder; there is none where the source is one content.
fn shown(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// Of everything but the bytes that decides what is published.
fn read_as(feed: &Feed, format: &Format, mapping: &[u8]) -> String {
    let source = match &feed.source {
        FeedSource::Url { url, .. } => url.to_string(),
        FeedSource::Path(path) => path.display().to_string(),
    };
    let mapping = digest(mapping);
    digest(format!("{AGENT} {} {} {mapping} {source}", feed.name, format.name()).as_bytes())
}

/// Runs what reads files or takes long.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("it neither panics nor is cancelled")
}
