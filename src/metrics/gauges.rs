//! Gauges: values that are read at every scrape instead of being counted.

use super::{Histogram, unix_seconds};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

type UnsignedGauge = Gauge<u64, AtomicU64>;
/// By the name of a limit on the record.
type LimitGauge = Family<[(&'static str, &'static str); 1], UnsignedGauge>;
/// Unix times, by the one label that the name says.
type Times = Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>;

/// All gauges. The help texts below say what each is; [`crate::server`] sets them before they are
/// exported.
#[derive(Debug, Default)]
pub struct Gauges {
    pub ready: Gauge,
    pub applied_entry: UnsignedGauge,
    pub journal_head_entry: UnsignedGauge,
    pub markets: UnsignedGauge,
    pub journal_reachable: Gauge,
    pub durability_verified: Gauge,
    pub diverged: Gauge,
    pub journal_damaged: Gauge,
    pub disk_full: Gauge,
    pub clock_jump_rejected: Gauge,
    pub insecure: Gauge,
    pub policy_version: UnsignedGauge,
    pub policy_revision: UnsignedGauge,
    pub settings_rejected: Gauge,
    pub identities_rejected: Gauge,
    pub certificates_rejected: Gauge,
    pub ring_bytes: UnsignedGauge,
    pub ring_bytes_max: UnsignedGauge,
    pub journal_bytes: UnsignedGauge,
    pub archive_bytes: UnsignedGauge,
    pub available_bytes: UnsignedGauge,
    pub snapshot_every_entries: UnsignedGauge,
    pub recent_batches_bytes: UnsignedGauge,
    pub recent_batches_identities: UnsignedGauge,
    pub subscribers: UnsignedGauge,
    pub subscriber_lag: Histogram,
    open_episodes: Family<[(&'static str, &'static str); 1], UnsignedGauge>,
    stale_instances: UnsignedGauge,
    credentials_loaded: Times,
    certificate_expiry: Times,
    newest_reports: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    record_items: LimitGauge,
    record_items_max: LimitGauge,
    record_bytes: LimitGauge,
    record_bytes_max: LimitGauge,
}

impl Gauges {
    pub(super) fn register(&self, ours: &mut Registry) {
        self.register_conditions(ours);
        self.register_values(ours);
        self.register_credentials(ours);
        let help = "Lag of each subscriber at this moment, in entries; buckets can decrease, so use it without rate()";
        ours.register("subscriber_lag_entries", help, self.subscriber_lag.clone());
        let help = "Open episodes, by level, without exercises";
        ours.register("episodes_open", help, self.open_episodes.clone());
        let help = "Rule instances whose report is older than the rule's max_age";
        ours.register("stale_rule_instances", help, self.stale_instances.clone());
        let help = "When the newest report of a source that the settings name was appended to the journal, as a Unix time";
        ours.register("source_last_report_timestamp_seconds", help, self.newest_reports.clone());
        for (name, help, gauge) in [
            (
                "record_items",
                "The most threats, reports, sources or periods that anything holds for which the limit counts: all feeds, one feed, one market",
                &self.record_items,
            ),
            ("record_items_max", "Limit of record_items", &self.record_items_max),
            (
                "record_bytes",
                "The most bytes of threats or reports that anything holds for which the limit counts",
                &self.record_bytes,
            ),
            ("record_bytes_max", "Limit of record_bytes", &self.record_bytes_max),
        ] {
            ours.register(name, help, gauge.clone());
        }
    }

    fn register_credentials(&self, ours: &mut Registry) {
        let help = "When the certificates, the identities or the keys of JSON web tokens in use were last read without an error, as a Unix time; 0 if never";
        let loaded = self.credentials_loaded.clone();
        ours.register("credentials_loaded_timestamp_seconds", help, loaded);
        let help = "When the first certificate of tls.certificate (server) or tls.client_ca (client_ca) expires, as a Unix time";
        let expiry = self.certificate_expiry.clone();
        ours.register("certificate_expiry_timestamp_seconds", help, expiry);
    }

    /// Gauges that are 1 or 0.
    fn register_conditions(&self, ours: &mut Registry) {
        for (name, help, gauge) in [
            (
                "ready",
                "1 if calls should be sent here: the journal is reachable and entries are applied",
                &self.ready,
            ),
            ("journal_reachable", "1 if the journal's store is reachable", &self.journal_reachable),
            (
                "durability_verified",
                "1 if it is verified that acknowledged writes survive a power failure",
                &self.durability_verified,
            ),
            (
                "diverged",
                "1 if another replica derived a different state from the journal; this replica then rejects all calls",
                &self.diverged,
            ),
            (
                "journal_damaged",
                "1 if an entry of the journal is damaged; entries before it are served, later ones are not",
                &self.journal_damaged,
            ),
            (
                "disk_full",
                "1 if there is no space to archive alerts; updates are rejected meanwhile",
                &self.disk_full,
            ),
            (
                "clock_jump_rejected",
                "1 if the system clock jumped forward by more than clock.jump_max; updates are rejected meanwhile",
                &self.clock_jump_rejected,
            ),
            (
                "insecure",
                "1 if server.insecure is set: a proxy or mesh must protect the server",
                &self.insecure,
            ),
            (
                "settings_rejected",
                "1 if the settings as they are now were rejected; the previous ones stay in force",
                &self.settings_rejected,
            ),
            (
                "identities_rejected",
                "1 if the file of identities as it is now was rejected; the previous identities stay in use",
                &self.identities_rejected,
            ),
            (
                "certificates_rejected",
                "1 if the TLS files as they are now were rejected; the previous certificates stay in use",
                &self.certificates_rejected,
            ),
        ] {
            ours.register(name, help, gauge.clone());
        }
    }

    fn register_values(&self, ours: &mut Registry) {
        for (name, help, gauge) in [
            (
                "applied_entry",
                "The last applied entry: its alerts can be read",
                &self.applied_entry,
            ),
            (
                "journal_head_entry",
                "The last durable entry of the journal",
                &self.journal_head_entry,
            ),
            ("markets", "Markets with a report", &self.markets),
            (
                "policy_version",
                "The journal entry that adopted the policy in force",
                &self.policy_version,
            ),
            (
                "policy_revision",
                "The policy_revision of the policy in force",
                &self.policy_revision,
            ),
            (
                "ring_bytes",
                "Memory of the latest alerts and the messages made of them",
                &self.ring_bytes,
            ),
            ("ring_max_bytes", "Limit of ring_bytes: fanout.ring_bytes_max", &self.ring_bytes_max),
            (
                "journal_bytes",
                "Size of the journal's files in the data directory; 0 if the journal is a NATS stream",
                &self.journal_bytes,
            ),
            (
                "archive_bytes",
                "Size of the archive's files in the data directory",
                &self.archive_bytes,
            ),
            (
                "data_available_bytes",
                "Free space on the disk of the data directory",
                &self.available_bytes,
            ),
            (
                "snapshot_interval_entries",
                "Entries between two snapshots: archive.snapshot_every_entries",
                &self.snapshot_every_entries,
            ),
            (
                "recent_batches_bytes",
                "Memory of the results of recent batches, which are kept for retries; at most 64 MiB",
                &self.recent_batches_bytes,
            ),
            (
                "recent_batches_identities",
                "Identities whose results of recent batches are kept; at most 2048",
                &self.recent_batches_identities,
            ),
            ("subscribers", "Open subscriptions", &self.subscribers),
        ] {
            ours.register(name, help, gauge.clone());
        }
    }

    pub fn set_open_episodes(&self, level: &'static str, count: u64) {
        self.open_episodes.get_or_create(&[("level", level)]).set(count);
    }

    pub fn set_stale_instances(&self, count: u64) {
        self.stale_instances.set(count);
    }

    /// Sets how much of a limit on the record is used, and the limit: items, and bytes where those
    /// are limited.
    pub fn set_record_limit(
        &self,
        limit: &'static str,
        (items, items_max): (u64, u64),
        bytes: Option<(u64, u64)>,
    ) {
        let label = [("limit", limit)];
        self.record_items.get_or_create(&label).set(items);
        self.record_items_max.get_or_create(&label).set(items_max);
        if let Some((bytes, bytes_max)) = bytes {
            self.record_bytes.get_or_create(&label).set(bytes);
            self.record_bytes_max.get_or_create(&label).set(bytes_max);
        }
    }

    /// Sets when the newest report of each source was appended, in Unix milliseconds. Other sources
    /// are no longer exported.
    pub fn set_newest_reports(&self, sources: impl IntoIterator<Item = (String, i64)>) {
        self.newest_reports.clear();
        for (source, at_ms) in sources {
            self.newest_reports.get_or_create(&[("source", source)]).set(unix_seconds(at_ms));
        }
    }

    /// Sets when `certificates`, `identities` or `keys` were read, in Unix milliseconds; 0 if
    /// never.
    pub fn set_credentials_loaded(&self, credentials: &'static str, at_ms: i64) {
        self.credentials_loaded
            .get_or_create(&[("credentials", credentials)])
            .set(unix_seconds(at_ms));
    }

    /// Sets when the first certificate of `server` or `client_ca` expires, in Unix milliseconds.
    pub fn set_certificate_expiry(&self, certificate: &'static str, at_ms: i64) {
        self.certificate_expiry
            .get_or_create(&[("certificate", certificate)])
            .set(unix_seconds(at_ms));
    }
}
