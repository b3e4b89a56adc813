//! Reads the gauges at every scrape.

use super::security::{CredentialErrors, ListenerSecurity};
use crate::config::Config;
use crate::grpc::Api;
use crate::metrics::{Gauges, Metrics};
use crate::pipeline::Stall;
use lodewatch_core::domain::policy::Level;
use lodewatch_core::domain::{Slug, Timestamp};
use lodewatch_core::engine::{Market, State};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sets the gauges from the server's state.
pub(super) struct GaugeCollector {
    api: Arc<Api>,
    security: ListenerSecurity,
    credential_errors: CredentialErrors,
    dir: PathBuf,
}

impl GaugeCollector {
    /// Sets the gauges that never change.
    pub(super) fn new(
        config: &Config,
        api: &Arc<Api>,
        security: ListenerSecurity,
        credential_errors: CredentialErrors,
    ) -> Self {
        let gauges = &api.metrics.gauges;
        gauges.insecure.set(i64::from(config.server.insecure));
        gauges.ring_bytes_max.set(u64::try_from(config.fanout.ring_bytes_max).unwrap_or(u64::MAX));
        gauges.snapshot_every_entries.set(config.archive.snapshot_every_entries);
        Self { api: Arc::clone(api), security, credential_errors, dir: config.data_dir.clone() }
    }

    /// The current values of all metrics. Reads file sizes.
    pub(super) fn text(&self) -> String {
        let metrics: &Metrics = &self.api.metrics;
        let gauges = &metrics.gauges;
        self.health(gauges);
        self.credentials(gauges);
        self.memory(gauges);
        self.disk(gauges);
        self.api.view.read_state(|state| {
            set_policy_gauges(state, gauges);
            set_record_gauges(state, gauges);
        });
        metrics.text()
    }

    fn health(&self, gauges: &Gauges) {
        let Api { journal, view, clock, .. } = &*self.api;
        let is = i64::from;
        gauges.journal_reachable.set(is(*journal.reachable().borrow()));
        gauges.ready.set(is(self.api.is_ready()));
        gauges.durability_verified.set(is(*journal.durability_verified().borrow()));
        let stall = view.stall();
        gauges.journal_damaged.set(is(matches!(stall, Some(Stall::Damaged(_)))));
        gauges.disk_full.set(is(matches!(stall, Some(Stall::Full(_)))));
        gauges.diverged.set(is(matches!(stall, Some(Stall::Diverged(_)))));
        gauges.clock_jump_rejected.set(is(clock.stamp().is_err()));
        gauges.settings_rejected.set(is(!self.api.settings_error.borrow().is_empty()));
        let CredentialErrors { identities, certificates } = &self.credential_errors;
        gauges.identities_rejected.set(is(!identities.borrow().is_empty()));
        gauges.certificates_rejected.set(is(!certificates.borrow().is_empty()));
        // In this order, so that the applied entry is never ahead of the head.
        gauges.applied_entry.set(view.applied().0);
        gauges.journal_head_entry.set(journal.head().borrow().0);
    }

    fn credentials(&self, gauges: &Gauges) {
        if let Some(loads) = self.security.gate.loads() {
            gauges.set_credentials_loaded("identities", loads.identities.millis());
            if let Some(keys) = loads.keys {
                gauges.set_credentials_loaded("keys", keys.map_or(0, Timestamp::millis));
            }
        }
        let Some(encryption) = &self.security.encryption else { return };
        let status = encryption.status();
        gauges.set_credentials_loaded("certificates", status.loaded_at.millis());
        let expiries = [("server", status.server_expiry), ("client_ca", status.client_ca_expiry)];
        for (certificate, expiry) in expiries {
            if let Some(expiry) = expiry {
                gauges.set_certificate_expiry(certificate, expiry.millis());
            }
        }
    }

    fn memory(&self, gauges: &Gauges) {
        let ring = self.api.view.ring();
        gauges.ring_bytes.set(u64::try_from(ring.bytes()).unwrap_or(u64::MAX));
        let lags = ring.lags();
        gauges.subscribers.set(u64::try_from(lags.len()).unwrap_or(u64::MAX));
        gauges.subscriber_lag.replace(lags.into_iter());
    }

    fn disk(&self, gauges: &Gauges) {
        gauges.journal_bytes.set(database_bytes(&self.dir, "journal.db"));
        gauges.archive_bytes.set(database_bytes(&self.dir, "archive.db"));
        if let Ok(disk) = rustix::fs::statvfs(&self.dir) {
            gauges.available_bytes.set(disk.f_bavail.saturating_mul(disk.f_frsize));
        }
    }
}

/// Sets the gauges of the policy, the open episodes, the recent batches and the age of the reports.
fn set_policy_gauges(state: &State, gauges: &Gauges) {
    if let Some(adopted) = state.adopted() {
        gauges.policy_version.set(adopted.version.0);
        gauges.policy_revision.set(adopted.revision);
    }
    let (mut stale_count, mut open) = (0_u64, BTreeMap::<Level, u64>::new());
    let markets = state.markets();
    let all = markets.values().flat_map(Market::rule_statuses);
    for one in all.filter(|one| !one.exercise) {
        stale_count = stale_count.saturating_add(u64::from(one.stale));
        if let (Some(_), Some(level)) = (one.episode, one.level) {
            let count = open.entry(level).or_default();
            *count = count.saturating_add(1);
        }
    }
    gauges.markets.set(u64::try_from(markets.len()).unwrap_or(u64::MAX));
    let batches = state.recent_batches();
    gauges.recent_batches_bytes.set(u64::try_from(batches.bytes()).unwrap_or(u64::MAX));
    gauges.recent_batches_identities.set(u64::try_from(batches.identities()).unwrap_or(u64::MAX));
    gauges.set_stale_instances(stale_count);
    for level in Level::ALL {
        gauges.set_open_episodes(level.name(), open.get(level).copied().unwrap_or(0));
    }
    gauges.set_newest_reports(newest_reports(state));
}

/// Sets how much of each limit on the record is used.
fn set_record_gauges(state: &State, gauges: &Gauges) {
    for (limit, held) in state.usage() {
        let max = limit.max();
        let bytes = (max.bytes > 0).then_some((held.bytes, max.bytes));
        gauges.set_record_limit(limit.name(), (held.items, max.items), bytes);
    }
}

/// When the newest report of each source that the policy names was appended, in Unix milliseconds.
fn newest_reports(state: &State) -> BTreeMap<String, i64> {
    let mut newest: BTreeMap<&Slug, i64> = BTreeMap::new();
    let Some(adopted) = state.adopted() else { return BTreeMap::new() };
    for market in state.markets().values() {
        let others = market.other_reports().map(|(record, _)| record);
        for record in others.chain([market.report()]) {
            let source = record.report.source();
            if adopted.policy.sources.contains(source) {
                let at = newest.entry(source).or_insert(i64::MIN);
                *at = record.accepted_at.millis().max(*at);
            }
        }
    }
    newest.into_iter().map(|(source, at)| (source.to_string(), at)).collect()
}

/// Size of a database in bytes: its file and its write-ahead log.
fn database_bytes(dir: &Path, name: &str) -> u64 {
    let files = [name.to_owned(), format!("{name}-wal")];
    let size = |file: String| dir.join(file).metadata().map_or(0, |metadata| metadata.len());
    files.into_iter().map(size).fold(0, u64::saturating_add)
}
