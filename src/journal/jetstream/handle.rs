//! The handle of a journal in a stream.

use super::super::codec;
use super::super::contract::{BoxFuture, Journal, StateDigest, Tail};
use super::super::data_dir::{lock_dir, new_epoch};
use super::super::error::Error;
use super::super::queue::AppendQueue;
use super::durability;
use super::message::StreamPosition;
use super::monitor::StreamMonitor;
use super::reader::{StreamReader, position_before_message};
use super::recent_groups::RecentGroups;
use super::stream::{StreamClient, unsuitable};
use super::tail::StreamTail;
use super::writer::{Appender, GROUP_LIMITS, Writer};
use crate::config::JetStream as Settings;
use crate::metrics;
use bytes::Bytes;
use lodewatch_core::domain::{Epoch, Payload, Seq, Timestamp};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{Instant, timeout_at};

/// The pause between attempts to open a stream whose servers do not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A journal in a NATS stream, shared by many replicas.
pub struct JetStreamJournal {
    epoch: Epoch,
    queue: AppendQueue,
    appender: Appender,
    digest_tx: watch::Sender<Option<StateDigest>>,
    reachable: watch::Receiver<bool>,
    durability_verified: watch::Receiver<bool>,
    /// Ended with the handle.
    _tasks: JoinSet<()>,
    _lock: File,
}

impl JetStreamJournal {
    /// Opens the stream, creates it where it is missing, and locks the directory for this process.
    /// Waits for servers that do not answer yet, and logs that it waits.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`] with everything that makes the stream unusable as a journal;
    /// [`Error::Locked`]; [`Error::Damaged`].
    pub async fn open(settings: &Settings, dir: &Path) -> Result<Self, Error> {
        Self::open_with_metrics(settings, dir, metrics::JournalMetrics::default()).await
    }

    /// The same, with metrics.
    ///
    /// # Errors
    ///
    /// As [`JetStreamJournal::open`].
    pub async fn open_with_metrics(
        settings: &Settings,
        dir: &Path,
        metrics: metrics::JournalMetrics,
    ) -> Result<Self, Error> {
        let lock = lock_dir(dir)?;
        let mut logged = None;
        let opened = loop {
            match open_stream(settings).await {
                Err(error @ Error::Unreachable { .. }) => {
                    let text = error.to_string();
                    if logged.as_ref() != Some(&text) {
                        tracing::warn!(error = text, "waiting for the journal's NATS servers");
                        logged = Some(text);
                    }
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                opened => break opened?,
            }
        };
        Ok(Self::start(opened, settings, lock, metrics))
    }

    fn start(
        opened: OpenedStream,
        settings: &Settings,
        lock: File,
        metrics: metrics::JournalMetrics,
    ) -> Self {
        let OpenedStream { client, epoch, is_durability_verified, mut reader } = opened;
        let recent = Arc::new(RecentGroups::new(reader.position()));
        let (digest_tx, digest_rx) = watch::channel(None);
        let appender = Appender {
            client: client.clone(),
            recent: Arc::clone(&recent),
            id: new_epoch().0,
            digest_rx,
            timeout: settings.timeout,
        };
        let (queue, queue_rx) = AppendQueue::new(GROUP_LIMITS, metrics);
        let (reachable_tx, reachable) = watch::channel(true);
        let (durability_tx, durability_verified) = watch::channel(is_durability_verified);
        let monitor = StreamMonitor {
            client,
            recent: Arc::clone(&recent),
            settings: settings.clone(),
            reachable_tx,
            durability_tx,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(monitor.run());
        tasks.spawn(Writer { appender: appender.clone(), queue_rx }.run());
        tasks.spawn(async move {
            let error = loop {
                match reader.next().await {
                    Ok(group) => recent.push(group),
                    Err(error) => break error,
                }
            };
            tracing::error!(%error, "the journal stops after a failed read");
            recent.end(error);
        });
        Self {
            epoch,
            queue,
            appender,
            digest_tx,
            reachable,
            durability_verified,
            _tasks: tasks,
            _lock: lock,
        }
    }

    fn recent(&self) -> &Arc<RecentGroups> {
        &self.appender.recent
    }

    async fn fetch_stream_head(&self) -> Result<Seq, Error> {
        let client = &self.appender.client;
        let until = Instant::now() + self.appender.timeout;
        let last = client.fetch_info().await?.state.last_sequence;
        let mut position = self.recent().position();
        let reached = timeout_at(until, position.wait_for(|at| at.message >= last)).await;
        let reached =
            reached.map_err(|_| client.unreachable(&"its last message was not read in time"))?;
        reached.map(|position| position.entry).map_err(|_| Error::Closed)
    }

    async fn append_named(
        &self,
        name: &str,
        at: Timestamp,
        payload: &Payload,
    ) -> Result<Seq, Error> {
        let bytes = Bytes::from(codec::encode(payload)?);
        let appended = self.appender.append(name, 0, vec![(at, bytes)]).await?;
        Ok(appended.after.entry)
    }
}

impl Drop for JetStreamJournal {
    fn drop(&mut self) {
        self.recent().end(Error::Closed);
    }
}

/// Everything that the start needs of the stream.
struct OpenedStream {
    client: StreamClient,
    epoch: Epoch,
    is_durability_verified: bool,
    /// Positioned at the end of the stream.
    reader: StreamReader,
}

async fn open_stream(settings: &Settings) -> Result<OpenedStream, Error> {
    let client = StreamClient::open(settings).await?;
    let epoch = client.read_epoch().await?;
    let info = client.fetch_info().await?;
    let faults = durability::find_faults(&client, &info, &settings.monitors).await;
    let is_durability_verified = faults.is_empty();
    if settings.allow_weaker_durability {
        for fault in faults {
            tracing::warn!(
                fault,
                "durability not verified: acknowledged writes may be lost on power failure \
                 (journal.jetstream.allow_weaker_durability = true)"
            );
        }
    } else if !is_durability_verified {
        let allow = "or, if acknowledged writes may be lost on power failure, set \
                     journal.jetstream.allow_weaker_durability = true";
        return Err(unsuitable(settings, faults.into_iter().chain([allow.to_owned()]).collect()));
    }
    let last = info.state.last_sequence;
    let position = if last > StreamPosition::START.message {
        position_before_message(&client, last).await?
    } else {
        StreamPosition::START
    };
    let mut reader = StreamReader::new(client.clone(), position);
    while reader.position().message < last {
        reader.next().await?;
    }
    Ok(OpenedStream { client, epoch, is_durability_verified, reader })
}

impl Journal for JetStreamJournal {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>> {
        // Unconstrained, as for a file: else a task that polls many appends would see them out of
        // order.
        Box::pin(unconstrained(async move { self.queue.append(at, &payload).await }))
    }

    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error> {
        let head = *self.head().borrow();
        if after > head {
            return Err(Error::OutOfRange { after, head });
        }
        let client = self.appender.client.clone();
        Ok(Box::new(StreamTail::new(client, Arc::clone(self.recent()), after)))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.recent().head()
    }

    fn fetch_head(&self) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(self.fetch_stream_head())
    }

    fn append_once<'a>(
        &'a self,
        name: &'a str,
        at: Timestamp,
        payload: Payload,
    ) -> BoxFuture<'a, Result<Seq, Error>> {
        Box::pin(async move { self.append_named(name, at, &payload).await })
    }

    fn share_digest(&self, digest: StateDigest) {
        self.digest_tx.send_replace(Some(digest));
    }

    fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.clone()
    }

    fn durability_verified(&self) -> watch::Receiver<bool> {
        self.durability_verified.clone()
    }

    fn is_shared(&self) -> bool {
        true
    }
}
