//! The handle of a journal in a stream.

use super::super::queue::Queue;
use super::super::{BoxFuture, Error, Journal, Tail, Testimony, codec, lock, new_epoch};
use super::locate;
use super::message::Mark;
use super::proof;
use super::reach::Watcher;
use super::reading::Reading;
use super::stream::{Store, unfit};
use super::tail::StreamTail;
use super::window::Window;
use super::writer::{Appender, GROUPS, Writer};
use crate::config::JetStream as Settings;
use crate::domain::{Epoch, Payload, Seq, Timestamp};
use crate::metrics;
use bytes::Bytes;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{Instant, timeout_at};

/// How long servers that do not answer at the start are left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A journal in a stream of NATS, shared by many replicas.
pub struct JetStream {
    epoch: Epoch,
    queue: Queue,
    appender: Appender,
    testimony: watch::Sender<Option<Testimony>>,
    reach: watch::Receiver<bool>,
    is_proven: watch::Receiver<bool>,
    /// Ended with the handle.
    _tasks: JoinSet<()>,
    _lock: File,
}

impl JetStream {
    /// Opens the stream, made where it is missing, and takes the directory for this process. Waits for servers that do not
    /// answer yet, and says so.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] with everything that keeps the stream from being a journal; [`Error::Locked`]; [`Error::Damaged`].
    pub async fn open(settings: &Settings, dir: &Path) -> Result<Self, Error> {
        Self::open_counted(settings, dir, metrics::JournalMetrics::default()).await
    }

    /// The same, and counts what it does here.
    ///
    /// # Errors
    ///
    /// As [`JetStream::open`].
    pub async fn open_counted(
        settings: &Settings,
        dir: &Path,
        metrics: metrics::JournalMetrics,
    ) -> Result<Self, Error> {
        let lock = lock::take(dir)?;
        let mut told = None;
        let begun = loop {
            match begin(settings).await {
                Err(error @ Error::Unreachable { .. }) => {
                    let why = error.to_string();
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(why, "waiting for the journal");
                        told = Some(why);
                    }
                    tokio::time::sleep(RETRY).await;
                }
                begun => break begun?,
            }
        };
        Ok(Self::start(begun, settings, lock, metrics))
    }

    fn start(
        begun: Begun,
        settings: &Settings,
        lock: File,
        metrics: metrics::JournalMetrics,
    ) -> Self {
        let Begun { store, epoch, is_proven, mut reading } = begun;
        let window = Arc::new(Window::new(reading.mark()));
        let (testimony, told) = watch::channel(None);
        let appender = Appender {
            store: store.clone(),
            window: Arc::clone(&window),
            id: new_epoch().0,
            testimony: told,
            patience: settings.timeout,
        };
        let (queue, waiting) = Queue::new(GROUPS, metrics);
        let (reach, in_reach) = watch::channel(true);
        let (tell_proven, is_proven) = watch::channel(is_proven);
        let settings = settings.clone();
        let watcher =
            Watcher { store, window: Arc::clone(&window), settings, reach, is_proven: tell_proven };
        let mut tasks = JoinSet::new();
        tasks.spawn(watcher.run());
        tasks.spawn(Writer { appender: appender.clone(), waiting }.run());
        tasks.spawn(async move {
            let why = loop {
                match reading.next().await {
                    Ok(group) => window.push(group),
                    Err(why) => break why,
                }
            };
            tracing::error!(error = %why, "the journal cannot be read on");
            window.end(why);
        });
        let reach = in_reach;
        Self { epoch, queue, appender, testimony, reach, is_proven, _tasks: tasks, _lock: lock }
    }

    fn window(&self) -> &Arc<Window> {
        &self.appender.window
    }

    async fn ask_latest(&self) -> Result<Seq, Error> {
        let store = &self.appender.store;
        let until = Instant::now() + self.appender.patience;
        let last = store.info().await?.state.last_sequence;
        let mut mark = self.window().mark();
        let reached = timeout_at(until, mark.wait_for(|mark| mark.message >= last)).await;
        let reached = reached.map_err(|_| store.unreachable(&"its end is not read in time"))?;
        reached.map(|mark| mark.entry).map_err(|_| Error::Closed)
    }

    async fn append_named(
        &self,
        name: &str,
        at: Timestamp,
        payload: &Payload,
    ) -> Result<Seq, Error> {
        let bytes = Bytes::from(codec::encode(payload)?);
        let placed = self.appender.append(name, 0, vec![(at, bytes)]).await?;
        Ok(placed.after.entry)
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        self.window().end(Error::Closed);
    }
}

/// Everything that the start needs of the stream.
struct Begun {
    store: Store,
    /// Which journal it is.
    epoch: Epoch,
    /// Whether it is proved that what it acknowledges is durable.
    is_proven: bool,
    /// At its end.
    reading: Reading,
}

async fn begin(settings: &Settings) -> Result<Begun, Error> {
    let store = Store::open(settings).await?;
    let epoch = store.epoch().await?;
    let info = store.info().await?;
    let doubts = proof::doubts(&store, &info, &settings.monitors).await;
    if settings.allow_weaker_durability {
        for doubt in &doubts {
            tracing::warn!(doubt, "what is acknowledged may be lost with the power, as is allowed");
        }
    } else if !doubts.is_empty() {
        let allow = "or allow that what is acknowledged may be lost with the power: \
                     journal.jetstream.allow_weaker_durability = true";
        return Err(unfit(settings, doubts.into_iter().chain([allow.to_owned()]).collect()));
    }
    let last = info.state.last_sequence;
    let mark =
        if last > Mark::BEGIN.message { locate::seen(&store, last).await? } else { Mark::BEGIN };
    let mut reading = Reading::new(store.clone(), mark);
    while reading.mark().message < last {
        reading.next().await?;
    }
    Ok(Begun { store, epoch, is_proven: doubts.is_empty(), reading })
}

impl Journal for JetStream {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn append(&self, at: Timestamp, payload: Payload) -> BoxFuture<'_, Result<Seq, Error>> {
        // Unconstrained, as for a file: else those who poll many appends would see them out of order.
        Box::pin(unconstrained(async move { self.queue.append(at, &payload).await }))
    }

    fn tail(&self, after: Seq) -> Result<Box<dyn Tail>, Error> {
        let head = *self.head().borrow();
        if after > head {
            return Err(Error::OutOfRange { after, head });
        }
        let store = self.appender.store.clone();
        Ok(Box::new(StreamTail::new(store, Arc::clone(self.window()), after)))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.window().head()
    }

    fn latest(&self) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(self.ask_latest())
    }

    fn append_once<'a>(
        &'a self,
        name: &'a str,
        at: Timestamp,
        payload: Payload,
    ) -> BoxFuture<'a, Result<Seq, Error>> {
        Box::pin(async move { self.append_named(name, at, &payload).await })
    }

    fn testify(&self, testimony: Testimony) {
        self.testimony.send_replace(Some(testimony));
    }

    fn reach(&self) -> watch::Receiver<bool> {
        self.reach.clone()
    }

    fn durability(&self) -> watch::Receiver<bool> {
        self.is_proven.clone()
    }

    fn is_shared(&self) -> bool {
        true
    }
}
