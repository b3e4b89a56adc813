//! Snapshots: the state as bytes and back, so that a restart need not replay the journal from its
//! first entry.
//!
//! ```text
//! byte 0    format, 1
//! byte 1 …  SavedState in postcard's encoding, nothing after it
//! ```

use super::instance_state::InstanceState;
use super::market::{ExerciseState, InstanceStates, Market, ReportRecord};
use super::plan::PlanCache;
use super::record::{BatchResult, ThreatRecord};
use super::reports::{StagedSource, with_release};
use super::state::{AdoptedPolicy, State};
use super::usage::UsageChange;
use crate::domain::policy::{Destination, Policy};
use crate::domain::threat::ThreatStatus;
use crate::domain::update::RequestId;
use crate::domain::{MarketKey, Seq, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const FORMAT: u8 = 1;

/// Why bytes cannot be read as a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The first byte is another format's, or missing.
    #[error(
        "snapshot has {}; this version reads format {FORMAT}",
        .0.map_or("no format".to_owned(), |format| format!("unknown format {format}"))
    )]
    Format(Option<u8>),
    /// The bytes after the first are damaged or cut off.
    #[error("snapshot cannot be decoded")]
    Decode(#[from] postcard::Error),
}

/// Everything that cannot be derived from the rest. Persisted: another layout is another format.
#[derive(Serialize, Deserialize)]
struct SavedState {
    seq: Seq,
    now: Timestamp,
    last_alert: u64,
    adopted: Option<SavedPolicy>,
    threats: Vec<Arc<ThreatRecord>>,
    reports: Vec<ReportRecord>,
    instances: Vec<SavedInstance>,
    noticed: Vec<(MarketKey, Slug, ThreatStatus)>,
    batches: Vec<(RequestId, Arc<BatchResult>)>,
}

#[derive(Serialize, Deserialize)]
struct SavedPolicy {
    version: Seq,
    at: Timestamp,
    revision: u64,
    policy: Arc<Policy>,
}

#[derive(Serialize, Deserialize)]
struct SavedInstance {
    market: MarketKey,
    rule: Slug,
    destination: Destination,
    real: InstanceState,
    exercise: Option<ExerciseState>,
}

impl State {
    /// The state as bytes. Equal states give equal bytes.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let instances = self.markets.iter().flat_map(|(key, market)| {
            market.plan.instances.iter().zip(&market.states).map(|(instance, states)| {
                SavedInstance {
                    market: *key,
                    rule: instance.rule.name.clone(),
                    destination: instance.destination.clone(),
                    real: states.real.clone(),
                    exercise: states.exercise.as_deref().cloned(),
                }
            })
        });
        let noticed = self.markets.iter().flat_map(|(key, market)| {
            market.noticed.iter().map(|(id, status)| (*key, id.clone(), *status))
        });
        let reports = self.markets.values().flat_map(Market::reports);
        let saved = SavedState {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: self.adopted.as_ref().map(|adopted| SavedPolicy {
                version: adopted.version,
                at: adopted.at,
                revision: adopted.revision,
                policy: Arc::clone(&adopted.policy),
            }),
            threats: self.threats.values().cloned().collect(),
            reports: reports.cloned().collect(),
            instances: instances.collect(),
            noticed: noticed.collect(),
            batches: self.recent_batches.iter().map(|(id, one)| (id, Arc::clone(one))).collect(),
        };
        postcard::to_extend(&saved, vec![FORMAT])
            .expect("every sequence in a state knows its length")
    }

    /// Reads the state that [`State::to_snapshot`] wrote.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Format`] for bytes of another format, [`SnapshotError::Decode`] for damaged
    /// bytes.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        match bytes.split_first() {
            Some((&FORMAT, bytes)) => Ok(Self::restore(postcard::from_bytes(bytes)?)),
            other => Err(SnapshotError::Format(other.map(|(format, _)| *format))),
        }
    }

    fn restore(saved: SavedState) -> Self {
        let adopted = saved.adopted.map(|SavedPolicy { version, at, revision, policy }| {
            AdoptedPolicy { version, at, revision, policy }
        });
        let threats = saved.threats.into_iter().map(|record| (record.threat.id.clone(), record));
        let mut state = Self {
            seq: saved.seq,
            now: saved.now,
            last_alert: saved.last_alert,
            adopted,
            threats: threats.collect(),
            ..Self::default()
        };
        if let Some(adopted) = &state.adopted {
            state.plans = PlanCache::new(&adopted.policy);
        }
        for record in state.threats.values() {
            let mut change = UsageChange::default();
            change.add_threat(&record.feed, &record.threat);
            state.usage.restore(change);
        }
        state.restore_markets(saved.reports, saved.instances);
        for (key, id, status) in saved.noticed {
            if let Some(market) = state.markets.get_mut(&key) {
                market.noticed.insert(id, status);
            }
        }
        for (id, result) in saved.batches {
            state.recent_batches.insert(id, result);
        }
        state.schedule_everything();
        state
    }

    fn restore_markets(&mut self, reports: Vec<ReportRecord>, instances: Vec<SavedInstance>) {
        let mut sources: BTreeMap<(MarketKey, Slug), StagedSource> = BTreeMap::new();
        for record in reports {
            let report = &record.report;
            let (key, source, period) = (report.market(), report.source().clone(), report.period());
            let staged =
                sources.entry((key, source.clone())).or_insert_with(|| StagedSource::new(None));
            let before = staged.releases(None, period).to_vec();
            let after = with_release(&before, record);
            self.usage.restore(staged.usage_change((key, &source), &before, &after));
            staged.replace(period, &before, after);
        }
        self.record_reports(sources, &mut BTreeMap::new());
        for saved in instances {
            let Some(market) = self.markets.get_mut(&saved.market) else { continue };
            let at = market.plan.instances.iter().position(|instance| {
                instance.rule.name == saved.rule && instance.destination == saved.destination
            });
            if let Some(states) = at.and_then(|at| market.states.get_mut(at)) {
                let exercise = saved.exercise.map(Box::new);
                *states = InstanceStates { real: saved.real, exercise };
            }
        }
        let policy = self.adopted.as_ref().map(|adopted| Arc::clone(&adopted.policy));
        if let Some(policy) = policy {
            for market in self.markets.values_mut() {
                market.compute_derived(&policy, self.now.day());
            }
        }
    }
}
