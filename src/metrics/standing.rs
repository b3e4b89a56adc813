//! How things stand: looked up when Prometheus asks, not counted.

use super::Histogram;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Number = Gauge<u64, AtomicU64>;
/// How things stand. Whoever knows sets them before they are shown.
#[derive(Debug, Default)]
pub struct Standing {
    /// Whether calls should be sent here.
    pub ready: Gauge,
    /// The last entry whose alerts can be read.
    pub applied: Number,
    /// The last entry of the journal.
    pub head: Number,
    /// Markets of which there is a report.
    pub markets: Number,
    /// Whether the journal's store can be reached.
    pub in_reach: Gauge,
    /// Whether it is proved that what is acknowledged is durable.
    pub durable: Gauge,
    /// Whether another replica made something else of the journal.
    pub diverged: Gauge,
    /// Whether the journal is damaged.
    pub damaged: Gauge,
    /// Whether there is no space for what must be written.
    pub full: Gauge,
    /// Whether the clock jumped, so that nothing is taken.
    pub clock_jump_rejected: Gauge,
    /// `server.insecure`.
    pub insecure: Gauge,
    /// The entry that brought the policy into force.
    pub policy_version: Number,
    /// Its `policy_revision`.
    pub policy_revision: Number,
    /// Whether the settings as they are written now did not come into force.
    pub settings_rejected: Gauge,
    /// Memory that the ring takes, in bytes.
    pub ring: Number,
    /// Memory that it may take, in bytes.
    pub ring_max: Number,
    /// Bytes of the journal's files, where it is on this machine.
    pub journal_bytes: Number,
    /// Bytes of the archive's files.
    pub archive_bytes: Number,
    /// Bytes that may still be written to the data directory.
    pub available_bytes: Number,
    /// Entries between two snapshots, as configured.
    pub snapshot_every: Number,
    /// Subscribers.
    pub subscribers: Number,
    /// How many entries each of them is behind.
    pub behind: Histogram,
    open: Family<[(&'static str, &'static str); 1], Number>,
    stale: Number,
    reported: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
}

impl Standing {
    pub(super) fn register(&self, ours: &mut Registry) {
        self.register_answers(ours);
        self.register_numbers(ours);
        let help = "How many entries each subscriber is behind at this moment; as numbers may fall, use it without rate()";
        ours.register("subscriber_lag_entries", help, self.behind.clone());
        let help = "Episodes that are open, by level; drills not counted";
        ours.register("episodes_open", help, self.open.clone());
        let help = "Markets and rules whose report is older than the rule's max_age";
        ours.register("stale_rule_instances", help, self.stale.clone());
        let help = "When the journal took the newest report of a source that the settings name, as a Unix time";
        ours.register("source_last_report_timestamp_seconds", help, self.reported.clone());
    }

    /// What is 1 or 0.
    fn register_answers(&self, ours: &mut Registry) {
        for (name, help, gauge) in [
            (
                "ready",
                "1 where calls should be sent here: the journal can be reached and everything can be applied",
                &self.ready,
            ),
            ("journal_reachable", "1 where the journal's store can be reached", &self.in_reach),
            (
                "durability_verified",
                "1 where it is proved that what is acknowledged survives a power cut",
                &self.durable,
            ),
            (
                "diverged",
                "1 where another replica made something else of the journal; this one then refuses everybody",
                &self.diverged,
            ),
            (
                "journal_damaged",
                "1 where an entry of the journal is damaged; nothing past it is served",
                &self.damaged,
            ),
            (
                "disk_full",
                "1 where there is no space to archive alerts; nothing is taken then",
                &self.full,
            ),
            (
                "clock_jump_rejected",
                "1 where the system's clock jumped by more than clock.jump_max; nothing is taken then",
                &self.clock_jump_rejected,
            ),
            (
                "insecure",
                "1 where server.insecure is set: something in front must protect the server",
                &self.insecure,
            ),
            (
                "settings_rejected",
                "1 where the settings as they are written now did not come into force; those before stay",
                &self.settings_rejected,
            ),
        ] {
            ours.register(name, help, gauge.clone());
        }
    }

    fn register_numbers(&self, ours: &mut Registry) {
        for (name, help, gauge) in [
            (
                "applied_entry",
                "The last entry of the journal whose alerts can be read",
                &self.applied,
            ),
            ("journal_head_entry", "The last entry of the journal", &self.head),
            ("markets", "Markets of which there is a report", &self.markets),
            (
                "policy_version",
                "The entry of the journal that brought the policy into force",
                &self.policy_version,
            ),
            (
                "policy_revision",
                "The policy_revision of the policy in force",
                &self.policy_revision,
            ),
            ("ring_bytes", "Memory of the latest alerts and the messages made of them", &self.ring),
            ("ring_max_bytes", "Memory that these may take: fanout.ring_bytes_max", &self.ring_max),
            (
                "journal_bytes",
                "Size of the journal's files in the data directory; 0 where it is a stream of NATS",
                &self.journal_bytes,
            ),
            (
                "archive_bytes",
                "Size of the archive's files in the data directory",
                &self.archive_bytes,
            ),
            (
                "data_available_bytes",
                "What may still be written where the data directory is",
                &self.available_bytes,
            ),
            (
                "snapshot_interval_entries",
                "Entries between two snapshots: archive.snapshot_every_entries",
                &self.snapshot_every,
            ),
            ("subscribers", "Subscriptions that alerts are handed to", &self.subscribers),
        ] {
            ours.register(name, help, gauge.clone());
        }
    }

    /// So many episodes of a level are open.
    pub fn open(&self, level: &'static str, count: u64) {
        self.open.get_or_create(&[("level", level)]).set(count);
    }

    /// So many reports are older than the rule that they are judged by allows.
    pub fn stale(&self, count: u64) {
        self.stale.set(count);
    }

    /// When the journal took the newest report of each source, in Unix milliseconds. Sources that are not among them are no
    /// longer told of.
    pub fn reported(&self, sources: impl IntoIterator<Item = (String, i64)>) {
        self.reported.clear();
        for (source, at_ms) in sources {
            let at = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
            self.reported.get_or_create(&[("source", source)]).set(at.as_secs_f64());
        }
    }
}
