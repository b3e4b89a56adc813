//! The one loop: tail → apply → archive → fan out → advance the head.
//!
//! A live node, a restart and a replica are the same loop: it consumes what the journal's tail yields and nothing else,
//! also for entries that this very process appended.

mod digest;
mod outcome;
mod ticks;

pub use digest::Divergence;
pub use ticks::keep_time;

use crate::archive::{self, Archive, Record, Snapshot};
use crate::domain::{Alert, Entry, Facets, Seq, Timestamp};
use crate::engine::State;
use crate::fanout::{self, Frame, Ring};
use crate::journal::{self, Ahead, Journal, Tail};
use crate::metrics;
use crate::traces::Traces;
use bytes::Bytes;
use digest::Digests;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Makes an alert's bytes, once.
pub type Encode = Box<dyn Fn(&Alert) -> Bytes + Send>;

/// How alerts look on the wire; given by the edge, which alone knows.
pub struct Encoding {
    /// Makes the bytes that are archived and sent.
    pub alert: Encode,
    /// Writes a message of alerts.
    pub message: fanout::Write,
}

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be read.
    #[error("the journal cannot be read on")]
    Journal(#[from] journal::Error),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Archive(#[from] archive::Error),
    /// The journal cannot be read ahead.
    #[error("no thread can be started")]
    Thread(#[from] io::Error),
    /// Two replicas are not of one mind.
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

/// Why entries that are in the journal are not applied, while everything before them is served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// The next entry is damaged: it never will be.
    #[error(transparent)]
    Damaged(journal::Error),
    /// There is no space for their alerts: they will be, once there is.
    #[error(transparent)]
    Full(archive::Error),
    /// Another replica made something else of the journal: what was applied may be wrong as well.
    #[error(transparent)]
    Diverged(Divergence),
}

impl Trouble {
    /// Whether nothing is applied any more.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Diverged(_) => true,
            Self::Full(_) => false,
        }
    }
}

/// How long a trouble that passes by itself is left alone before the same is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Entries between two snapshots while a start replays what was there before, if that is more than is configured: a state is
/// large, and replay should go at the engine's speed.
const REPLAY_SNAPSHOT_ENTRIES: u64 = 1_000_000;

/// How the loop keeps house.
#[derive(Debug, Clone, Copy)]
pub struct Housekeeping {
    /// Entries between two snapshots.
    pub snapshot_every_entries: u64,
    /// Days that alerts are kept; 0 for ever.
    pub keep_days: u32,
    /// Bytes that the archive may have before the oldest alerts go; 0 for any number.
    pub keep_bytes: u64,
    /// Bytes of recent alerts, and of messages made of them, in memory.
    pub ring_bytes_max: usize,
}

/// What everybody else may see of the loop: the state, the alerts, and how far it is. Cheap to clone.
#[derive(Clone)]
pub struct View {
    state: Arc<RwLock<State>>,
    ring: Arc<Ring>,
    archive: archive::Reader,
    next_deadline: watch::Receiver<Option<Timestamp>>,
    trouble: watch::Receiver<Option<Trouble>>,
}

impl View {
    /// Looks at the state. The loop waits meanwhile: take what is needed and leave.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Recent alerts.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// All alerts. Calls block on the disk.
    pub fn archive(&self) -> &archive::Reader {
        &self.archive
    }

    /// The last entry that is applied and whose alerts can be read.
    pub fn head(&self) -> Seq {
        self.ring.settled()
    }

    /// Waits until an entry is applied and its alerts can be read.
    ///
    /// # Errors
    ///
    /// What keeps it from being applied, now or for ever.
    pub async fn wait_for(&self, entry: Seq) -> Result<(), Trouble> {
        tokio::select! {
            biased;
            () = self.ring.wait_for(entry) => Ok(()),
            trouble = self.until_trouble(|_| true) => Err(trouble),
        }
    }

    /// What keeps entries from being applied, if anything does.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    /// Whether the loop has come to an end: everything before it is applied, nothing after it ever is.
    pub fn is_ended(&self) -> bool {
        self.trouble.borrow().as_ref().is_some_and(Trouble::is_final)
    }

    /// Whether another replica made something else of the journal, so that nothing here can be trusted.
    pub fn divergence(&self) -> Option<Divergence> {
        match &*self.trouble.borrow() {
            Some(Trouble::Diverged(divergence)) => Some(*divergence),
            Some(Trouble::Damaged(_) | Trouble::Full(_)) | None => None,
        }
    }

    /// Waits until the loop has come to an end: for ever where the journal is sound.
    pub async fn ended(&self) -> Trouble {
        self.until_trouble(Trouble::is_final).await
    }

    async fn until_trouble(&self, which: impl Fn(&Trouble) -> bool) -> Trouble {
        let mut trouble = self.trouble.clone();
        let found = trouble.wait_for(|trouble| trouble.as_ref().is_some_and(&which)).await;
        match found.map(|trouble| trouble.clone()) {
            Ok(Some(trouble)) => trouble,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything that was due by an instant has happened and its alerts can be read.
    pub async fn wait_until_done(&self, now: Timestamp) {
        let mut head = self.ring.head();
        let is_done = |head: &Seq| {
            // The state is ahead of what can be read while an entry is on its way to the archive.
            let (seq, due) = self.look(|state| (state.seq(), state.next_deadline()));
            seq <= *head && due.is_none_or(|due| due > now)
        };
        head.wait_for(is_done).await.expect("the ring rings its own doorbell");
    }
}

/// The loop and all that it owns.
pub struct Pipeline {
    journal: Arc<dyn Journal>,
    tail: Box<dyn Tail>,
    digests: Digests,
    archive: Archive,
    view: View,
    deadline: watch::Sender<Option<Timestamp>>,
    trouble: watch::Sender<Option<Trouble>>,
    encode: Encode,
    housekeeping: Housekeeping,
    last_snapshot: Seq,
    /// The last entry that was there before this start.
    recovered: Seq,
    metrics: metrics::Pipeline,
    traces: Traces,
}

impl Pipeline {
    /// Takes up where the newest snapshot left off; from the first entry where there is none.
    ///
    /// # Errors
    ///
    /// When the archive or the journal cannot be read.
    pub fn open(
        journal: Arc<dyn Journal>,
        archive: Archive,
        encoding: Encoding,
        housekeeping: Housekeeping,
    ) -> Result<Self, Error> {
        let (state, digest) = newest_snapshot(&archive)?;
        let after = state.seq();
        let (deadline, next_deadline) = watch::channel(state.next_deadline());
        let (tell_trouble, trouble) = watch::channel(None);
        let view = View {
            ring: Arc::new(Ring::new(after, housekeeping.ring_bytes_max, encoding.message)),
            archive: archive.reader(),
            state: Arc::new(RwLock::new(state)),
            next_deadline,
            trouble,
        };
        let mut tail = journal.tail(after)?;
        let recovered = *journal.head().borrow();
        if recovered > after {
            tail = Box::new(Ahead::until(tail, recovered)?);
        }
        tracing::info!(entry = after.0, head = recovered.0, "replaying the journal");
        Ok(Self {
            journal,
            tail,
            digests: Digests::new(after, digest),
            archive,
            view,
            deadline,
            trouble: tell_trouble,
            encode: encoding.alert,
            housekeeping,
            last_snapshot: after,
            recovered,
            metrics: metrics::Pipeline::default(),
            traces: Traces::default(),
        })
    }

    /// Counts what it does here.
    #[must_use]
    pub fn counted(mut self, metrics: metrics::Pipeline) -> Self {
        let (entry, at) = self.view.look(|state| (state.seq(), state.now()));
        metrics.snapshot(entry.0, at.millis());
        self.metrics = metrics;
        self
    }

    /// Goes on in the traces of what it applies.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// What others may see.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Runs until told to stop. Blocks on the disk: run it on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read on or the archive cannot be written; what was applied stays readable. An archive
    /// that is damaged is gone then: the next start makes it anew.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let result = self.run_until(&stop).await;
        if let Err(Error::Journal(error @ journal::Error::Damaged { .. })) = &result {
            self.trouble.send_replace(Some(Trouble::Damaged(error.clone())));
        }
        if let Err(Error::Archive(archive::Error::Damaged { .. })) = &result {
            self.archive.discard()?;
        }
        if let Err(Error::Diverged(divergence)) = &result {
            self.trouble.send_replace(Some(Trouble::Diverged(*divergence)));
        }
        result
    }

    async fn run_until(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let damaged = self.view.archive.damaged().clone();
        loop {
            let entries = tokio::select! {
                biased;
                () = stop.cancelled() => return self.snapshot(),
                () = damaged.cancelled() => return Err(self.archive.damage().into()),
                entries = self.tail.next() => entries?,
            };
            tokio::select! {
                taken = self.take(&entries) => taken?,
                // On a full disk; what was not archived comes again from the journal.
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn take(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let Some(last) = entries.last() else { return Ok(()) };
        let frames = self.apply(entries);
        for testimony in self.tail.testimonies() {
            // Before anyone is told of these entries.
            self.digests.check(&testimony)?;
        }
        let records: Vec<Record> =
            frames.iter().flat_map(|frame| &frame.records).cloned().collect();
        let trails = frames.iter().filter_map(|frame| frame.trail.as_ref());
        let archiving: Vec<_> = trails.map(|trail| trail.archive()).collect();
        self.commit(last.seq, &records).await?;
        drop(archiving);
        // First the deadline: who sees that an entry is applied sees what is due after it, and appends no tick twice.
        let next_deadline = self.view.look(State::next_deadline);
        self.deadline
            .send_if_modified(|before| std::mem::replace(before, next_deadline) != next_deadline);
        self.view.ring.push(frames, last.seq);
        self.journal.testify(self.digests.testimony());
        let configured = self.housekeeping.snapshot_every_entries;
        let is_replay = last.seq < self.recovered;
        let every = if is_replay { configured.max(REPLAY_SNAPSHOT_ENTRIES) } else { configured };
        if last.seq.0.saturating_sub(self.last_snapshot.0) >= every {
            self.snapshot()?;
        }
        Ok(())
    }

    /// Archives alerts; on a full disk tries until there is space, and tells so meanwhile.
    async fn commit(&mut self, applied: Seq, records: &[Record]) -> Result<(), Error> {
        let begun = Instant::now();
        while let Err(error) = self.archive.commit(applied, records) {
            if !matches!(error, archive::Error::Full { .. }) {
                return Err(error.into());
            }
            let is_new = self.trouble.send_replace(Some(Trouble::Full(error.clone()))).is_none();
            if is_new {
                tracing::error!(%error, "no entry is taken until there is space");
            }
            tokio::time::sleep(RETRY).await;
        }
        self.metrics.archived(begun.elapsed());
        if self.trouble.send_replace(None).is_some() {
            tracing::info!("there is space again");
        }
        Ok(())
    }

    fn apply(&mut self, entries: &[Entry]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let since = Instant::now();
        for entry in entries {
            // What a start replays was told when it was new.
            let traced = outcome::trace(entry).filter(|_| entry.seq > self.recovered);
            let mut work = traced.and_then(|trace| self.traces.apply(trace, entry.seq));
            // Held for one entry at a time, so that readers get their turn.
            let (applied, answered) = {
                let mut state = self.view.state.write().unwrap_or_else(PoisonError::into_inner);
                (state.apply(entry), outcome::answer(&state, entry))
            };
            tracing::trace!(entry = entry.seq.0, alerts = applied.alerts.len(), "applied");
            let records: Vec<_> = applied.alerts.iter().map(|alert| self.record(alert)).collect();
            self.digests.push(answered.as_ref().map(|answered| &answered.outcome), &records);
            // What a start replays was counted when it was new.
            if entry.seq > self.recovered {
                outcome::count(&self.metrics, entry, &applied.alerts, answered.as_deref());
            }
            if let Some(work) = &mut work {
                work.alerts(records.first().map(|first| first.sequence), records.len());
            }
            if !records.is_empty() {
                let trail = work.as_ref().map(|work| Arc::new(work.trail()));
                frames.push(Frame { entry: entry.seq, since, records, trail });
            }
        }
        self.metrics.applied(entries.len(), since.elapsed());
        frames
    }

    fn record(&self, alert: &Alert) -> Record {
        Record {
            sequence: alert.sequence,
            entry: alert.entry,
            episode: alert.episode,
            at: alert.event_time,
            journal_time: alert.journal_time,
            facets: Facets::from(alert),
            bytes: (self.encode)(alert),
        }
    }

    /// Saves the state, and forgets alerts past their time; on a full disk that is left for the next time.
    fn snapshot(&mut self) -> Result<(), Error> {
        match self.keep_house() {
            Err(error @ archive::Error::Full { .. }) => {
                tracing::warn!(%error, "no snapshot is saved; a start would replay more");
                Ok(())
            }
            kept => Ok(kept?),
        }
    }

    fn keep_house(&mut self) -> Result<(), archive::Error> {
        let begun = Instant::now();
        let (seq, now, bytes, open) = self
            .view
            .look(|state| (state.seq(), state.now(), state.to_snapshot(), state.open_alerts()));
        if seq == self.last_snapshot {
            return Ok(());
        }
        let digest = self.digests.testimony().digest;
        self.archive.save_snapshot(&Snapshot { seq, digest, bytes })?;
        self.last_snapshot = seq;
        self.metrics.snapshot(seq.0, now.millis());
        if self.housekeeping.keep_days > 0 {
            let before = now.minus_days(self.housekeeping.keep_days);
            self.archive.prune(before, &open)?;
        }
        if self.housekeeping.keep_bytes > 0 {
            self.archive.prune_to(self.housekeeping.keep_bytes, &open)?;
        }
        self.metrics.saved(begun.elapsed());
        Ok(())
    }
}

/// The newest state that can be read, and its digest; what cannot is passed over, since the journal has it all.
fn newest_snapshot(archive: &Archive) -> Result<(State, u64), Error> {
    let Some(snapshot) = archive.latest_snapshot()? else { return Ok((State::default(), 0)) };
    match State::from_snapshot(&snapshot.bytes) {
        Ok(state) => Ok((state, snapshot.digest)),
        Err(error) => {
            tracing::warn!(entry = snapshot.seq.0, %error, "snapshot cannot be used; replaying all");
            Ok((State::default(), 0))
        }
    }
}
