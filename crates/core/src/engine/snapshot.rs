//! The state as bytes, and back: what a restart starts from instead of the first entry.

use super::instance_state::InstanceState;
use super::market::{ExerciseState, InstanceStates, ReportRecord};
use super::plan::PlanCache;
use super::record::ThreatRecord;
use super::requests::BatchResult;
use super::state::{AdoptedPolicy, State};
use crate::domain::policy::{Destination, Policy};
use crate::domain::threat::ThreatStatus;
use crate::domain::update::RequestId;
use crate::domain::{MarketKey, Report, Seq, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The first byte of a snapshot; another layout gets another number.
const FORMAT: u8 = 2;
/// The layout before: reports do not say who published them, and policies have no revision.
const FORMAT_1: u8 = 1;

/// Why bytes are no snapshot of this version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Written by another version.
    #[error("snapshot format {0:?} is unknown; this version reads formats {FORMAT_1} and {FORMAT}")]
    Format(Option<u8>),
    /// Not what was written.
    #[error("snapshot cannot be read")]
    Decode(#[from] postcard::Error),
}

/// Everything that cannot be derived from the rest. Persisted: fields are never changed, a new layout is a new format.
#[derive(Serialize, Deserialize)]
struct Saved<R> {
    seq: Seq,
    now: Timestamp,
    last_alert: u64,
    adopted: Option<(Seq, Timestamp, Arc<Policy>)>,
    threats: Vec<Arc<ThreatRecord>>,
    reports: Vec<R>,
    states: Vec<SavedInstanceState>,
    noticed: Vec<(MarketKey, Slug, ThreatStatus)>,
    requests: Vec<(RequestId, Arc<BatchResult>)>,
}

/// A report as format 1 has it.
#[derive(Serialize, Deserialize)]
struct ReportRecord1 {
    report: Arc<Report>,
    accepted_at: Timestamp,
}

impl From<ReportRecord1> for ReportRecord {
    fn from(record: ReportRecord1) -> Self {
        let ReportRecord1 { report, accepted_at } = record;
        Self { report, accepted_at, feed: None }
    }
}

#[derive(Serialize, Deserialize)]
struct SavedInstanceState {
    market: MarketKey,
    rule: Slug,
    destination: Destination,
    real: InstanceState,
    exercise: Option<ExerciseState>,
}

impl State {
    /// The state as bytes; equal states give equal bytes.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let states = self.markets.iter().flat_map(|(key, market)| {
            market.plan.instances.iter().zip(&market.states).map(|(instance, states)| {
                SavedInstanceState {
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
        let adopted = self.adopted.as_ref();
        let saved = Saved {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: adopted.map(|one| (one.version, one.at, Arc::clone(&one.policy))),
            threats: self.threats.values().cloned().collect(),
            reports: self
                .markets
                .values()
                .flat_map(|market| market.reports.values())
                .collect::<Vec<&ReportRecord>>(),
            states: states.collect(),
            noticed: noticed.collect(),
            requests: self.recent_batches.iter().map(|(id, one)| (id, Arc::clone(one))).collect(),
        };
        let revision = adopted.map_or(0, |one| one.revision);
        postcard::to_extend(&(saved, revision), vec![FORMAT])
            .expect("a state has nothing that cannot be written")
    }

    /// The state of which these are the bytes.
    ///
    /// # Errors
    ///
    /// When another version wrote them, or nobody did.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&FORMAT, bytes)) => {
                let (saved, revision) = postcard::from_bytes::<(Saved<ReportRecord>, u64)>(bytes)?;
                Ok(Self::restore(saved, revision))
            }
            Some((&FORMAT_1, bytes)) => {
                Ok(Self::restore(postcard::from_bytes::<Saved<ReportRecord1>>(bytes)?, 0))
            }
            other => Err(Error::Format(other.map(|(format, _)| *format))),
        }
    }

    fn restore<R: Into<ReportRecord>>(saved: Saved<R>, revision: u64) -> Self {
        let mut state = Self {
            seq: saved.seq,
            now: saved.now,
            last_alert: saved.last_alert,
            adopted: saved.adopted.map(|(version, at, policy)| AdoptedPolicy {
                version,
                at,
                revision,
                policy,
            }),
            threats: saved
                .threats
                .into_iter()
                .map(|record| (record.threat.id.clone(), record))
                .collect(),
            ..Self::default()
        };
        if let Some(adopted) = &state.adopted {
            state.plans = PlanCache::new(&adopted.policy);
        }
        state.restore_markets(saved.reports.into_iter().map(Into::into), saved.states);
        for (key, id, status) in saved.noticed {
            if let Some(market) = state.markets.get_mut(&key) {
                market.noticed.insert(id, status);
            }
        }
        for (id, answered) in saved.requests {
            state.recent_batches.keep(id, answered);
        }
        state.schedule_everything();
        state
    }

    fn restore_markets(
        &mut self,
        reports: impl Iterator<Item = ReportRecord>,
        states: Vec<SavedInstanceState>,
    ) {
        for record in reports {
            let key = record.report.market();
            if let Some(market) = self.markets.get_mut(&key) {
                market.record_release(record);
            } else {
                let market = self.new_market(key, record);
                self.markets.insert(key, market);
            }
        }
        let policy = self.adopted.as_ref().map(|adopted| Arc::clone(&adopted.policy));
        for market in self.markets.values_mut() {
            market.select_report(policy.as_deref());
        }
        for state in states {
            let Some(market) = self.markets.get_mut(&state.market) else { continue };
            let instance = market.plan.instances.iter().position(|instance| {
                instance.rule.name == state.rule && instance.destination == state.destination
            });
            if let Some(one) = instance.and_then(|at| market.states.get_mut(at)) {
                *one = InstanceStates { real: state.real, exercise: state.exercise.map(Box::new) };
            }
        }
        if let Some(policy) = policy {
            for market in self.markets.values_mut() {
                market.compute_derived(&policy, self.now.day());
            }
        }
    }
}
