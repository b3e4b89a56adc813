//! Applying the journal: the engine, the archive and snapshots.

use super::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What applying takes, and what comes of it. Clones share it.
#[derive(Debug, Clone)]
pub struct Pipeline {
    engine: Counter<f64, AtomicU64>,
    entries: Counter,
    archive: Histogram,
    snapshot: Histogram,
    snapshot_entry: Gauge<u64, AtomicU64>,
    snapshot_time: Gauge<f64, AtomicU64>,
    alerts: Family<[(&'static str, &'static str); 2], Counter>,
    updates: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            engine: Counter::default(),
            entries: Counter::default(),
            archive: Histogram::of_durations(),
            snapshot: Histogram::of_durations(),
            snapshot_entry: Gauge::default(),
            snapshot_time: Gauge::default(),
            alerts: Family::default(),
            updates: Family::default(),
        }
    }
}

impl Pipeline {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Entries that were applied, those that a start replays included";
        ours.register("entries_applied", help, self.entries.clone());
        let help = "Time that the engine took for them; divided by the entries, what one takes";
        ours.register("engine_seconds", help, self.engine.clone());
        let help =
            "How long it took to archive the alerts of the entries that were applied together";
        ours.register("archive_commit_seconds", help, self.archive.clone());
        let help = "How long a snapshot took, and keeping house with it: entries wait meanwhile";
        ours.register("snapshot_seconds", help, self.snapshot.clone());
        let help = "The last entry that the newest snapshot holds";
        ours.register("snapshot_entry", help, self.snapshot_entry.clone());
        let help = "The journal's time at the newest snapshot, as a Unix time; 0 before the first";
        ours.register("snapshot_timestamp_seconds", help, self.snapshot_time.clone());
        let help = "Alerts that came of entries after the start, by kind and level";
        ours.register("alerts", help, self.alerts.clone());
        let help = "Updates in entries after the start: applied, unchanged, superseded, or refused with their batch";
        ours.register("updates", help, self.updates.clone());
    }

    /// So many entries were applied by the engine, in so long.
    pub fn applied(&self, entries: usize, took: Duration) {
        self.entries.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
        self.engine.inc_by(took.as_secs_f64());
    }

    /// What came of them was archived, in so long.
    pub fn archived(&self, took: Duration) {
        self.archive.took(took);
    }

    /// An alert of this kind and level came of an entry.
    pub fn alert(&self, kind: &'static str, level: &'static str) {
        self.alerts.get_or_create(&[("kind", kind), ("level", level)]).inc();
    }

    /// So many updates came to this.
    pub fn updates(&self, outcome: &'static str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.updates.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }

    /// A snapshot was saved, in so long.
    pub fn saved(&self, took: Duration) {
        self.snapshot.took(took);
    }

    /// The newest snapshot ends with this entry, at this time of the journal in Unix milliseconds.
    pub fn snapshot(&self, entry: u64, at_ms: i64) {
        self.snapshot_entry.set(entry);
        let at = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
        self.snapshot_time.set(at.as_secs_f64());
    }
}
