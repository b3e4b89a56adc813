//! The path of an entry: append to the journal, apply and archive, deliver to subscribers.

use super::{Histogram, unix_seconds};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Appending to the journal, with either store. Clones share the metrics.
#[derive(Debug, Clone)]
pub struct JournalMetrics {
    append: Histogram,
    commit: Histogram,
    group: Histogram,
    entries: Counter,
}

impl Default for JournalMetrics {
    fn default() -> Self {
        let (append, commit) = (Histogram::of_durations(), Histogram::of_durations());
        Self { append, commit, group: Histogram::of_counts(), entries: Counter::default() }
    }
}

impl JournalMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Time from when an entry was passed to the journal until it was durable";
        ours.register("journal_append_seconds", help, self.append.clone());
        let help = "Time to make a group of entries durable: the write and its fsync, or until NATS acknowledged it";
        ours.register("journal_commit_seconds", help, self.commit.clone());
        let help = "Entries that were made durable together, with one fsync";
        ours.register("journal_group_entries", help, self.group.clone());
        let help = "Entries that this process appended";
        ours.register("journal_entries_appended", help, self.entries.clone());
    }

    /// Records that an entry became durable.
    pub fn observe_append(&self, took: Duration) {
        self.append.observe_duration(took);
    }

    /// Records that a group of entries became durable.
    pub fn observe_commit(&self, entries: usize, took: Duration) {
        self.commit.observe_duration(took);
        self.group.observe_count(entries);
        self.entries.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }
}

/// Applying the journal: the engine, the archive and snapshots. Clones share the metrics.
#[derive(Debug, Clone)]
pub struct PipelineMetrics {
    engine: Counter<f64, AtomicU64>,
    entries: Counter,
    archive: Histogram,
    snapshot: Histogram,
    snapshot_entry: Gauge<u64, AtomicU64>,
    snapshot_time: Gauge<f64, AtomicU64>,
    snapshot_bytes: Gauge<u64, AtomicU64>,
    snapshot_failures: Counter,
    alerts: Family<[(&'static str, &'static str); 2], Counter>,
    updates: Family<[(&'static str, &'static str); 1], Counter>,
    staged: Counter,
}

impl Default for PipelineMetrics {
    fn default() -> Self {
        Self {
            engine: Counter::default(),
            entries: Counter::default(),
            archive: Histogram::of_durations(),
            snapshot: Histogram::of_durations(),
            snapshot_entry: Gauge::default(),
            snapshot_time: Gauge::default(),
            snapshot_bytes: Gauge::default(),
            snapshot_failures: Counter::default(),
            alerts: Family::default(),
            updates: Family::default(),
            staged: Counter::default(),
        }
    }
}

impl PipelineMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Applied entries, including those replayed at the start";
        ours.register("entries_applied", help, self.entries.clone());
        let help = "Time the engine spent applying entries";
        ours.register("engine_seconds", help, self.engine.clone());
        let help = "Time to archive the alerts of the entries that were applied together";
        ours.register("archive_commit_seconds", help, self.archive.clone());
        let help = "Time to save a snapshot and delete alerts past their retention; entries wait meanwhile";
        ours.register("snapshot_seconds", help, self.snapshot.clone());
        let help = "The last entry that the newest snapshot includes";
        ours.register("snapshot_entry", help, self.snapshot_entry.clone());
        let help = "Journal time of the newest snapshot, as a Unix time; 0 before the first";
        ours.register("snapshot_timestamp_seconds", help, self.snapshot_time.clone());
        let help = "Size of the snapshot that was saved last, in bytes; 0 before the first since the start";
        ours.register("snapshot_bytes", help, self.snapshot_bytes.clone());
        let help = "Failed attempts to save a snapshot or to delete alerts past their retention";
        ours.register("snapshot_failures", help, self.snapshot_failures.clone());
        let help = "Alerts emitted since the start, by kind and level";
        ours.register("alerts", help, self.alerts.clone());
        let help = "Updates in entries applied since the start: applied, unchanged, superseded, or rejected with their batch";
        ours.register("updates", help, self.updates.clone());
        let help = "Entries with more alerts than fit in memory: every subscriber read them from the archive";
        ours.register("entries_staged", help, self.staged.clone());
    }

    /// Counts entries that the engine applied together.
    pub fn count_applied(&self, entries: usize, took: Duration) {
        self.entries.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
        self.engine.inc_by(took.as_secs_f64());
    }

    pub fn observe_archive_commit(&self, took: Duration) {
        self.archive.observe_duration(took);
    }

    pub fn count_alert(&self, kind: &'static str, level: &'static str) {
        self.alerts.get_or_create(&[("kind", kind), ("level", level)]).inc();
    }

    pub fn count_updates(&self, outcome: &'static str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.updates.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }

    /// Counts an entry whose alerts were staged in the archive.
    pub fn count_staged_entry(&self) {
        self.staged.inc();
    }

    pub fn observe_snapshot(&self, took: Duration) {
        self.snapshot.observe_duration(took);
    }

    pub fn count_snapshot_failure(&self) {
        self.snapshot_failures.inc();
    }

    /// Sets the last entry of the newest snapshot, and its journal time in Unix milliseconds.
    pub fn set_newest_snapshot(&self, entry: u64, at_ms: i64) {
        self.snapshot_entry.set(entry);
        self.snapshot_time.set(unix_seconds(at_ms));
    }

    /// Sets the size of the snapshot that was saved last.
    pub fn set_snapshot_bytes(&self, bytes: usize) {
        self.snapshot_bytes.set(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Delivering alerts to subscribers. Updated for every message to every subscriber, so it waits for
/// nothing. Clones share the metrics.
#[derive(Debug, Clone)]
pub struct DeliveryMetrics {
    alerts: Counter,
    messages: Counter,
    wait: Histogram,
    fell_behind: Counter,
    market_snapshots: Counter,
}

impl Default for DeliveryMetrics {
    fn default() -> Self {
        Self {
            alerts: Counter::default(),
            messages: Counter::default(),
            wait: Histogram::of_durations(),
            fell_behind: Counter::default(),
            market_snapshots: Counter::default(),
        }
    }
}

impl DeliveryMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Delivered alerts; an alert to two subscribers counts twice";
        ours.register("alerts_delivered", help, self.alerts.clone());
        let help = "Delivered messages of alerts";
        ours.register("messages_delivered", help, self.messages.clone());
        let help = "Time from when an entry was durable and read until its alerts were written to a connection, for \
                    subscribers served from memory; observed for the oldest of the alerts written together";
        ours.register("delivery_wait_seconds", help, self.wait.clone());
        let help = "How often a subscriber fell so far behind that it was served from the archive";
        ours.register("subscribers_fell_behind", help, self.fell_behind.clone());
        let help = "Snapshots of all markets rendered for WatchMarkets; one serves all readers of its destination";
        ours.register("market_snapshots_rendered", help, self.market_snapshots.clone());
    }

    /// Counts messages that were delivered together. `waited` is how long the oldest of their
    /// alerts waited; `None` for alerts from the archive.
    pub fn count_delivery(&self, messages: u64, alerts: u64, waited: Option<Duration>) {
        self.messages.inc_by(messages);
        self.alerts.inc_by(alerts);
        if let Some(waited) = waited {
            self.wait.observe_duration(waited);
        }
    }

    /// Counts a snapshot of all markets that was rendered.
    pub fn count_market_snapshot(&self) {
        self.market_snapshots.inc();
    }

    /// Counts a subscriber that is served from the archive again.
    pub fn count_fell_behind(&self) {
        self.fell_behind.inc();
    }
}

/// Work for single calls: simulations, reads of the past and of the history. Clones share the
/// metrics.
#[derive(Debug, Clone, Default)]
pub struct WorkMetrics {
    evaluations: Counter,
    examined: Counter,
}

impl WorkMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Evaluations of simulations, backtests and reads with as_of that have ended";
        ours.register("simulation_evaluations", help, self.evaluations.clone());
        let help = "Alerts of the archive that ListAlerts examined, whether it listed them or not";
        ours.register("alerts_examined", help, self.examined.clone());
    }

    pub fn count_evaluations(&self, evaluations: u64) {
        self.evaluations.inc_by(evaluations);
    }

    /// Counts alerts that one list examined.
    pub fn count_examined(&self, alerts: usize) {
        self.examined.inc_by(u64::try_from(alerts).unwrap_or(u64::MAX));
    }
}
