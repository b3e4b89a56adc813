//! How things stand, looked up whenever Prometheus asks.

use crate::config::Config;
use crate::domain::policy::Level;
use crate::engine::{Market, State};
use crate::grpc::Api;
use crate::metrics::{Metrics, Standing};
use crate::pipeline::Trouble;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Knows where to look.
pub(super) struct Looker {
    api: Arc<Api>,
    dir: PathBuf,
}

impl Looker {
    /// Takes down what never changes.
    pub(super) fn new(config: &Config, api: &Arc<Api>) -> Self {
        let standing = &api.metrics.standing;
        standing.insecure.set(i64::from(config.server.insecure));
        standing.ring_max.set(u64::try_from(config.fanout.ring_bytes_max).unwrap_or(u64::MAX));
        standing.snapshot_every.set(config.archive.snapshot_every_entries);
        Self { api: Arc::clone(api), dir: config.data_dir.clone() }
    }

    /// All metrics as they are now. Looks at files.
    pub(super) fn text(&self) -> String {
        let metrics: &Metrics = &self.api.metrics;
        let standing = &metrics.standing;
        self.health(standing);
        self.memory(standing);
        self.disk(standing);
        self.api.view.look(|state| policy(state, standing));
        metrics.text()
    }

    fn health(&self, standing: &Standing) {
        let Api { journal, view, clock, .. } = &*self.api;
        let is = i64::from;
        standing.in_reach.set(is(*journal.reach().borrow()));
        standing.ready.set(is(self.api.is_ready()));
        standing.durable.set(is(*journal.durability().borrow()));
        let trouble = view.trouble();
        standing.damaged.set(is(matches!(trouble, Some(Trouble::Damaged(_)))));
        standing.full.set(is(matches!(trouble, Some(Trouble::Full(_)))));
        standing.diverged.set(is(matches!(trouble, Some(Trouble::Diverged(_)))));
        standing.clock_jump_rejected.set(is(clock.stamp().is_err()));
        standing.settings_rejected.set(is(!self.api.settings_error.borrow().is_empty()));
        // In this order: what is applied was in the journal before.
        standing.applied.set(view.head().0);
        standing.head.set(journal.head().borrow().0);
    }

    fn memory(&self, standing: &Standing) {
        let ring = self.api.view.ring();
        standing.ring.set(u64::try_from(ring.bytes()).unwrap_or(u64::MAX));
        let lags = ring.lags();
        standing.subscribers.set(u64::try_from(lags.len()).unwrap_or(u64::MAX));
        standing.behind.replace(lags.into_iter());
    }

    fn disk(&self, standing: &Standing) {
        standing.journal_bytes.set(size(&self.dir, "journal.db"));
        standing.archive_bytes.set(size(&self.dir, "archive.db"));
        if let Ok(disk) = rustix::fs::statvfs(&self.dir) {
            standing.available_bytes.set(disk.f_bavail.saturating_mul(disk.f_frsize));
        }
    }
}

/// What is in force, what is open, and how old what is known is.
fn policy(state: &State, shown: &Standing) {
    if let Some(adopted) = state.adopted() {
        shown.policy_version.set(adopted.version.0);
        shown.policy_revision.set(adopted.revision);
    }
    let (mut late, mut open) = (0_u64, BTreeMap::<Level, u64>::new());
    let markets = state.markets();
    let all = markets.values().flat_map(Market::rule_statuses);
    for one in all.filter(|one| !one.exercise) {
        late = late.saturating_add(u64::from(one.stale));
        if let (Some(_), Some(level)) = (one.episode, one.level) {
            let count = open.entry(level).or_default();
            *count = count.saturating_add(1);
        }
    }
    shown.markets.set(u64::try_from(markets.len()).unwrap_or(u64::MAX));
    shown.stale(late);
    for level in Level::ALL {
        shown.open(level.name(), open.get(level).copied().unwrap_or(0));
    }
    shown.reported(newest_reports(state));
}

/// When the newest report of each source that the policy names was taken, in Unix milliseconds.
fn newest_reports(state: &State) -> BTreeMap<String, i64> {
    let mut newest = BTreeMap::new();
    let Some(adopted) = state.adopted() else { return newest };
    for market in state.markets().values() {
        let others = market.other_reports().map(|(record, _)| record);
        for record in others.chain([market.report()]) {
            let source = record.report.source();
            if adopted.policy.sources.contains(source) {
                let at = newest.entry(source.to_string()).or_insert(i64::MIN);
                *at = record.accepted_at.millis().max(*at);
            }
        }
    }
    newest
}

/// The bytes of a database: its file, and the log beside it.
fn size(dir: &Path, name: &str) -> u64 {
    let files = [name.to_owned(), format!("{name}-wal")];
    let size = |file: String| dir.join(file).metadata().map_or(0, |metadata| metadata.len());
    files.into_iter().map(size).fold(0, u64::saturating_add)
}
