//! The loop: read the tail, apply, archive, hand to the fan-out, advance the applied entry.

use super::digest::{DigestHistory, Divergence};
use super::pending::PendingAlerts;
use super::snapshots::{Retention, SnapshotSchedule, newest_snapshot};
use super::view::{PipelineView, RETRY_INTERVAL, Stall};
use crate::archive::{self, AlertRecord, Archive};
use crate::fanout::{self, Ring};
use crate::journal::{self, Journal, ReadAhead, Tail};
use crate::metrics::PipelineMetrics;
use crate::traces::Traces;
use bytes::Bytes;
use lodewatch_core::domain::outcome::BatchOutcome;
use lodewatch_core::domain::policy::Level;
use lodewatch_core::domain::update::{TraceContext, UpdateOutcome};
use lodewatch_core::domain::{Alert, Entry, Facets, Payload, Seq, Timestamp};
use lodewatch_core::engine::{BatchResult, State};
use std::io;
use std::sync::{Arc, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Encodes an alert, once.
pub type EncodeAlert = Box<dyn Fn(&Alert) -> Bytes + Send>;

/// The wire format of alerts. The gRPC edge provides it, because only the edge knows the format.
pub struct Encoding {
    /// Makes the bytes that are archived and delivered.
    pub alert: EncodeAlert,
    /// Writes a message of alerts.
    pub message: fanout::WriteMessage,
}

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the journal")]
    Journal(#[from] journal::Error),
    #[error("cannot use the archive")]
    Archive(#[from] archive::Error),
    #[error("cannot start the thread that reads the journal ahead")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

/// Entries between two snapshots while a start replays the journal, if that is more than
/// configured: a state is large, and replay should run at the speed of the engine.
const REPLAY_SNAPSHOT_ENTRIES: u64 = 1_000_000;

/// The loop and everything it owns.
pub struct Pipeline {
    journal: Arc<dyn Journal>,
    tail: Box<dyn Tail>,
    digests: DigestHistory,
    archive: Archive,
    view: PipelineView,
    next_deadline_tx: watch::Sender<Option<Timestamp>>,
    stall_tx: watch::Sender<Option<Stall>>,
    encode: EncodeAlert,
    retention: Retention,
    snapshots: SnapshotSchedule,
    /// The journal's last entry at the start.
    recovered: Seq,
    metrics: PipelineMetrics,
    traces: Traces,
}

impl Pipeline {
    /// Continues after the newest snapshot, or from the first entry if there is none.
    ///
    /// # Errors
    ///
    /// If the archive or the journal cannot be read.
    pub fn open(
        journal: Arc<dyn Journal>,
        archive: Archive,
        encoding: Encoding,
        retention: Retention,
    ) -> Result<Self, Error> {
        let (state, digest) = newest_snapshot(&archive)?;
        let after = state.seq();
        let (next_deadline_tx, next_deadline_rx) = watch::channel(state.next_deadline());
        let (stall_tx, stall_rx) = watch::channel(None);
        let view = PipelineView {
            ring: Arc::new(Ring::new(after, retention.ring_bytes_max, encoding.message)),
            archive: archive.reader(),
            state: Arc::new(RwLock::new(state)),
            next_deadline_rx,
            stall_rx,
        };
        let mut tail = journal.tail(after)?;
        let recovered = *journal.head().borrow();
        if recovered > after {
            tail = Box::new(ReadAhead::until(tail, recovered)?);
        }
        tracing::info!(entry = after.0, head = recovered.0, "replaying the journal");
        Ok(Self {
            journal,
            tail,
            digests: DigestHistory::new(after, digest),
            archive,
            view,
            next_deadline_tx,
            stall_tx,
            encode: encoding.alert,
            retention,
            snapshots: SnapshotSchedule::new(after),
            recovered,
            metrics: PipelineMetrics::default(),
            traces: Traces::default(),
        })
    }

    /// Records its metrics here.
    #[must_use]
    pub fn with_metrics(mut self, metrics: PipelineMetrics) -> Self {
        let (entry, at) = self.view.read_state(|state| (state.seq(), state.now()));
        metrics.set_newest_snapshot(entry.0, at.millis());
        self.metrics = metrics;
        self
    }

    /// Continues the traces of the entries that it applies.
    #[must_use]
    pub fn with_traces(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    pub fn view(&self) -> PipelineView {
        self.view.clone()
    }

    /// Runs until `stop` is cancelled. Blocks on the disk: run it on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the journal cannot be read or the archive cannot be written; applied entries stay
    /// readable. A damaged archive is deleted, and the next start rebuilds it.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let result = self.run_until(&stop).await;
        if let Err(Error::Journal(error @ journal::Error::Damaged { .. })) = &result {
            self.stall_tx.send_replace(Some(Stall::Damaged(error.clone())));
        }
        if let Err(Error::Archive(archive::Error::Damaged { .. })) = &result {
            self.archive.discard()?;
        }
        if let Err(Error::Diverged(divergence)) = &result {
            self.stall_tx.send_replace(Some(Stall::Diverged(*divergence)));
        }
        result
    }

    async fn run_until(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let damaged = self.view.archive.damaged().clone();
        loop {
            let entries = tokio::select! {
                biased;
                () = stop.cancelled() => return self.snapshot(),
                () = damaged.cancelled() => return Err(self.archive.damage_error().into()),
                entries = self.tail.next() => entries?,
            };
            tokio::select! {
                processed = self.process(&entries) => processed?,
                // On a full disk; entries whose alerts are not archived are read from the journal
                // again.
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn process(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let peer_digests = self.tail.peer_digests();
        let mut rest = entries;
        while !rest.is_empty() {
            let (count, pending) = self.apply(rest);
            let applied = rest.split_off(..count).unwrap_or_default();
            for digest in &peer_digests {
                // Before any alert of these entries is delivered.
                self.digests.check(digest)?;
            }
            if let Some(last) = applied.last() {
                self.deliver(last.seq, pending).await?;
            }
        }
        Ok(())
    }

    /// Archives the alerts of entries up to `last` and hands them to the fan-out.
    async fn deliver(&mut self, last: Seq, mut pending: PendingAlerts) -> Result<(), Error> {
        let traces = pending.entries().iter().filter_map(|entry| entry.trace.as_ref());
        let archive_spans: Vec<_> = traces.map(|trace| trace.start_archive()).collect();
        self.commit(last, &mut pending).await?;
        drop(archive_spans);
        // The deadline first: a task that sees an entry applied must also see what is due after it,
        // so that no tick is appended twice.
        let next_deadline = self.view.read_state(State::next_deadline);
        self.next_deadline_tx
            .send_if_modified(|before| std::mem::replace(before, next_deadline) != next_deadline);
        if pending.is_staged {
            self.metrics.count_staged_entry();
            self.view.ring.skip_to(last);
        } else {
            self.view.ring.push(pending.into_entries(), last);
        }
        self.journal.share_digest(self.digests.latest());
        let configured = self.retention.snapshot_every_entries;
        let is_replay = last < self.recovered;
        let every = if is_replay { configured.max(REPLAY_SNAPSHOT_ENTRIES) } else { configured };
        if self.snapshots.is_due(last, every) {
            self.snapshot()?;
        }
        Ok(())
    }

    /// Archives alerts; on a full disk retries until there is space, and reports the stall
    /// meanwhile.
    async fn commit(&mut self, applied: Seq, pending: &mut PendingAlerts) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let result = if pending.is_lost() {
                self.derive_again(applied).await
            } else {
                pending.commit(applied, &mut self.archive).map_err(Error::from)
            };
            let error = match result {
                Ok(()) => break,
                Err(Error::Archive(error @ archive::Error::Full { .. })) => error,
                Err(error) => return Err(error),
            };
            let is_new = self.stall_tx.send_replace(Some(Stall::Full(error.clone()))).is_none();
            if is_new {
                tracing::error!(%error, "disk full, rejecting updates until there is space");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        self.metrics.observe_archive_commit(begun.elapsed());
        if self.stall_tx.send_replace(None).is_some() {
            tracing::info!("disk has space again, accepting updates");
        }
        Ok(())
    }

    /// Derives and archives the alerts of entries that are applied already, up to `applied`: those
    /// that did not fit into memory when the disk was full.
    async fn derive_again(&mut self, applied: Seq) -> Result<(), Error> {
        let (mut state, _) = newest_snapshot(&self.archive)?;
        let mut tail = self.journal.tail(state.seq())?;
        let mut pending = PendingAlerts::default();
        while state.seq() < applied {
            let entries = tail.next().await?;
            for entry in entries.iter().filter(|entry| entry.seq <= applied) {
                let is_archived = entry.seq <= self.archive.applied();
                state.apply_with(entry, &mut |alert| {
                    if !is_archived {
                        pending.push(record(&self.encode, &alert), &mut self.archive);
                    }
                });
                pending.end_entry(entry.seq, Instant::now(), || None);
            }
        }
        Ok(pending.commit(applied, &mut self.archive)?)
    }

    /// Applies entries until their alerts are enough for a commit; returns how many.
    fn apply(&mut self, entries: &[Entry]) -> (usize, PendingAlerts) {
        let (mut pending, mut count) = (PendingAlerts::default(), 0);
        let since = Instant::now();
        for entry in entries {
            count += 1;
            // A replayed entry was traced when it was new.
            let parent = trace_of(entry).filter(|_| entry.seq > self.recovered);
            let mut span = parent.and_then(|parent| self.traces.start_apply(parent, entry.seq));
            let (first, alerts) = self.apply_entry(entry, &mut pending);
            tracing::trace!(entry = entry.seq.0, alerts, "applied");
            if let Some(span) = &mut span {
                span.set_alerts(first, alerts);
            }
            let trace = || span.as_ref().map(|span| Arc::new(span.entry_trace()));
            pending.end_entry(entry.seq, since, trace);
            if pending.is_full() {
                break;
            }
        }
        self.metrics.count_applied(count, since.elapsed());
        (count, pending)
    }

    /// Applies an entry; returns the sequence of its first alert, and how many it caused.
    fn apply_entry(&mut self, entry: &Entry, pending: &mut PendingAlerts) -> (Option<u64>, usize) {
        // A replayed entry was counted when it was new.
        let is_new = entry.seq > self.recovered;
        let Self { view, archive, encode, metrics, .. } = self;
        let mut digest = self.digests.begin();
        let (mut first, mut alerts) = (None, 0_usize);
        // Locked for one entry at a time, so that readers get their turn.
        let sink = &mut |alert: Alert| {
            first.get_or_insert(alert.sequence);
            alerts = alerts.saturating_add(1);
            if is_new {
                metrics.count_alert(alert.kind.name(), alert.level.map_or("none", Level::name));
            }
            let record = record(encode, &alert);
            digest.add(&record);
            pending.push(record, archive);
        };
        let answered = view.apply(entry, sink, |state| answer_to(state, entry));
        self.digests.push(digest, answered.as_ref().map(|answered| &answered.outcome));
        if is_new {
            count_outcome(&self.metrics, entry, answered.as_deref());
        }
        (first, alerts)
    }

    /// Saves a snapshot, if that is possible.
    fn snapshot(&mut self) -> Result<(), Error> {
        let digest = self.digests.latest().digest;
        let Self { snapshots, archive, view, retention, metrics, .. } = self;
        Ok(snapshots.run(archive, view, digest, *retention, metrics)?)
    }
}

/// The answer to an entry's batch.
fn answer_to(state: &State, entry: &Entry) -> Option<Arc<BatchResult>> {
    match &entry.payload {
        Payload::Batch(batch) => state.result_of(batch).cloned(),
        Payload::PolicyAdopted { .. } | Payload::Tick { .. } => None,
    }
}

/// The trace of an entry's batch.
fn trace_of(entry: &Entry) -> Option<TraceContext> {
    match &entry.payload {
        Payload::Batch(batch) => batch.trace,
        Payload::PolicyAdopted { .. } | Payload::Tick { .. } => None,
    }
}

fn record(encode: &EncodeAlert, alert: &Alert) -> AlertRecord {
    AlertRecord {
        sequence: alert.sequence,
        entry: alert.entry,
        episode: alert.episode,
        at: alert.event_time,
        journal_time: alert.journal_time,
        facets: Facets::from(alert),
        bytes: encode(alert),
    }
}

/// Counts the outcomes of an entry's updates.
fn count_outcome(metrics: &PipelineMetrics, entry: &Entry, answered: Option<&BatchResult>) {
    // A retry gets the answer of an earlier entry, which was counted with that entry.
    let answered = answered.filter(|answered| answered.entry == entry.seq);
    if let (Payload::Batch(batch), Some(answered)) = (&entry.payload, answered) {
        match &answered.outcome {
            BatchOutcome::Rejected(_) => metrics.count_updates("rejected", batch.updates.len()),
            BatchOutcome::Accepted(outcomes) => {
                for (outcome, name) in [
                    (UpdateOutcome::Applied, "applied"),
                    (UpdateOutcome::Unchanged, "unchanged"),
                    (UpdateOutcome::Superseded, "superseded"),
                ] {
                    let count = outcomes.count(outcome);
                    if count > 0 {
                        metrics.count_updates(name, count);
                    }
                }
            }
        }
    }
}
