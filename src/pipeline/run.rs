//! The loop: read the tail, apply, archive, hand to the fan-out, advance the applied entry.

use super::digest::{DigestHistory, Divergence};
use super::snapshots::{Retention, SnapshotSchedule, newest_snapshot};
use super::view::{PipelineView, RETRY_INTERVAL, Stall};
use crate::archive::{self, AlertRecord, Archive};
use crate::fanout::{self, EntryAlerts, Ring};
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
use std::sync::{Arc, PoisonError, RwLock};
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
        let Some(last) = entries.last() else { return Ok(()) };
        let applied = self.apply(entries);
        for digest in self.tail.peer_digests() {
            // Before any alert of these entries is delivered.
            self.digests.check(&digest)?;
        }
        let records: Vec<AlertRecord> =
            applied.iter().flat_map(|entry| &entry.records).cloned().collect();
        let traces = applied.iter().filter_map(|entry| entry.trace.as_ref());
        let archive_spans: Vec<_> = traces.map(|trace| trace.start_archive()).collect();
        self.commit(last.seq, &records).await?;
        drop(archive_spans);
        // The deadline first: a task that sees an entry applied must also see what is due after it,
        // so that no tick is appended twice.
        let next_deadline = self.view.read_state(State::next_deadline);
        self.next_deadline_tx
            .send_if_modified(|before| std::mem::replace(before, next_deadline) != next_deadline);
        self.view.ring.push(applied, last.seq);
        self.journal.share_digest(self.digests.latest());
        let configured = self.retention.snapshot_every_entries;
        let is_replay = last.seq < self.recovered;
        let every = if is_replay { configured.max(REPLAY_SNAPSHOT_ENTRIES) } else { configured };
        if self.snapshots.is_due(last.seq, every) {
            self.snapshot()?;
        }
        Ok(())
    }

    /// Archives alerts; on a full disk retries until there is space, and reports the stall
    /// meanwhile.
    async fn commit(&mut self, applied: Seq, records: &[AlertRecord]) -> Result<(), Error> {
        let begun = Instant::now();
        while let Err(error) = self.archive.commit(applied, records) {
            if !matches!(error, archive::Error::Full { .. }) {
                return Err(error.into());
            }
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

    fn apply(&mut self, entries: &[Entry]) -> Vec<EntryAlerts> {
        let mut all = Vec::new();
        let since = Instant::now();
        for entry in entries {
            // A replayed entry was traced when it was new.
            let parent = trace_of(entry).filter(|_| entry.seq > self.recovered);
            let mut span = parent.and_then(|parent| self.traces.start_apply(parent, entry.seq));
            // Locked for one entry at a time, so that readers get their turn.
            let (applied, answered) = {
                let mut state = self.view.state.write().unwrap_or_else(PoisonError::into_inner);
                (state.apply(entry), answer_to(&state, entry))
            };
            tracing::trace!(entry = entry.seq.0, alerts = applied.alerts.len(), "applied");
            let records: Vec<_> = applied.alerts.iter().map(|alert| self.record(alert)).collect();
            self.digests.push(answered.as_ref().map(|answered| &answered.outcome), &records);
            // A replayed entry was counted when it was new.
            if entry.seq > self.recovered {
                count_outcome(&self.metrics, entry, &applied.alerts, answered.as_deref());
            }
            if let Some(span) = &mut span {
                span.set_alerts(records.first().map(|first| first.sequence), records.len());
            }
            if !records.is_empty() {
                let trace = span.as_ref().map(|span| Arc::new(span.entry_trace()));
                all.push(EntryAlerts { entry: entry.seq, since, records, trace });
            }
        }
        self.metrics.count_applied(entries.len(), since.elapsed());
        all
    }

    fn record(&self, alert: &Alert) -> AlertRecord {
        AlertRecord {
            sequence: alert.sequence,
            entry: alert.entry,
            episode: alert.episode,
            at: alert.event_time,
            journal_time: alert.journal_time,
            facets: Facets::from(alert),
            bytes: (self.encode)(alert),
        }
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

/// Counts the alerts of an entry and the outcomes of its updates.
fn count_outcome(
    metrics: &PipelineMetrics,
    entry: &Entry,
    alerts: &[Alert],
    answered: Option<&BatchResult>,
) {
    for alert in alerts {
        metrics.count_alert(alert.kind.name(), alert.level.map_or("none", Level::name));
    }
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
