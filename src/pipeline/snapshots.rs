//! Snapshots of the state, so that the next start replays few entries.

use super::view::PipelineView;
use crate::archive::{self, Archive, Snapshot};
use crate::metrics::PipelineMetrics;
use lodewatch_core::domain::Seq;
use lodewatch_core::engine::{SnapshotError, SnapshotReader, State};
use std::error::Error as _;
use tokio::time::Instant;

/// What the pipeline keeps, on disk and in memory.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Entries between two snapshots.
    pub snapshot_every_entries: u64,
    /// Days that alerts are kept; 0 for ever.
    pub keep_days: u32,
    /// Size of the archive in bytes at which the oldest alerts are deleted; 0 for no limit.
    pub keep_bytes: u64,
    /// Memory for the latest alerts and the messages made of them, in bytes.
    pub ring_bytes_max: usize,
}

/// When snapshots were made.
pub(super) struct SnapshotSchedule {
    /// The last entry of the newest snapshot.
    saved: Seq,
    /// The last entry applied when one was last attempted.
    attempted: Seq,
    is_failing: bool,
}

impl SnapshotSchedule {
    /// After a start from a snapshot up to an entry.
    pub(super) fn new(saved: Seq) -> Self {
        Self { saved, attempted: saved, is_failing: false }
    }

    /// Whether the next snapshot is due: so many entries after the last one, or after the last
    /// attempt.
    pub(super) fn is_due(&self, applied: Seq, every_entries: u64) -> bool {
        applied.0.saturating_sub(self.attempted.0) >= every_entries
    }

    /// Saves a snapshot with the digest after its last entry, and deletes alerts that are no longer
    /// kept. A failure is logged and counted, and the next snapshot is attempted when it is due.
    ///
    /// # Errors
    ///
    /// If the archive is damaged.
    pub(super) fn run(
        &mut self,
        archive: &mut Archive,
        view: &PipelineView,
        digest: u64,
        retention: Retention,
        metrics: &PipelineMetrics,
    ) -> Result<(), archive::Error> {
        self.attempted = view.read_state(State::seq);
        if self.attempted == self.saved {
            return Ok(());
        }
        let begun = Instant::now();
        let saved = self.save(archive, view, digest, metrics);
        // Also without a snapshot: on a full disk, deleting makes space for the next one.
        match saved.and(prune(archive, view, retention)) {
            Ok(()) => {
                metrics.observe_snapshot(begun.elapsed());
                if std::mem::replace(&mut self.is_failing, false) {
                    tracing::info!(entry = self.saved.0, "snapshot saved again");
                }
                Ok(())
            }
            Err(error @ archive::Error::Damaged { .. }) => Err(error),
            Err(error) => {
                metrics.count_snapshot_failure();
                if !std::mem::replace(&mut self.is_failing, true) {
                    let cause = error.source().map(ToString::to_string);
                    tracing::error!(
                        %error,
                        cause,
                        "cannot save a snapshot, the next start replays more entries; \
                         see LodewatchSnapshotFailed in the runbook"
                    );
                }
                Ok(())
            }
        }
    }

    fn save(
        &mut self,
        archive: &mut Archive,
        view: &PipelineView,
        digest: u64,
        metrics: &PipelineMetrics,
    ) -> Result<(), archive::Error> {
        // Other readers are not held up: the only writer of the state waits here.
        let (seq, now, bytes) = view.read_state(|state| {
            let bytes = archive.save_snapshot(state.seq(), digest, state.snapshot_pieces())?;
            Ok((state.seq(), state.now(), bytes))
        })?;
        self.saved = seq;
        metrics.set_newest_snapshot(seq.0, now.millis());
        metrics.set_snapshot_bytes(bytes);
        Ok(())
    }
}

fn prune(
    archive: &mut Archive,
    view: &PipelineView,
    retention: Retention,
) -> Result<(), archive::Error> {
    let (now, open) = view.read_state(|state| (state.now(), state.open_alerts()));
    if retention.keep_days > 0 {
        archive.prune(now.minus_days(retention.keep_days), &open)?;
    }
    if retention.keep_bytes > 0 {
        archive.prune_to(retention.keep_bytes, &open)?;
    }
    Ok(())
}

/// The state of the newest snapshot and its digest. A snapshot that cannot be read is skipped,
/// because the journal has every entry.
pub(super) fn newest_snapshot(archive: &Archive) -> Result<(State, u64), archive::Error> {
    for snapshot in archive.snapshots()? {
        match restore(archive, &snapshot) {
            Ok(state) => return Ok((state, snapshot.digest)),
            Err(RestoreError::Archive(error))
                if !matches!(error, archive::Error::Damaged { .. }) =>
            {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(entry = snapshot.seq.0, %error, "skipping a snapshot that cannot be read");
            }
        }
    }
    Ok((State::default(), 0))
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

fn restore(archive: &Archive, snapshot: &Snapshot) -> Result<State, RestoreError> {
    let mut reader = SnapshotReader::default();
    for piece in archive.snapshot_pieces(snapshot) {
        reader.read_piece(&piece?)?;
    }
    Ok(reader.finish()?)
}
