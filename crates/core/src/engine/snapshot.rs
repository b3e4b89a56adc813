//! The state as bytes, and back: what a restart starts from instead of the first entry.

use super::market::{Drill, Memories, ReportRecord};
use super::memory::Memory;
use super::plan::Plans;
use super::record::ThreatRecord;
use super::requests::Answered;
use super::state::{Adopted, State};
use crate::domain::policy::{Destination, Policy};
use crate::domain::threat::Status;
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
    memories: Vec<SavedMemory>,
    noticed: Vec<(MarketKey, Slug, Status)>,
    requests: Vec<(RequestId, Arc<Answered>)>,
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
struct SavedMemory {
    market: MarketKey,
    rule: Slug,
    destination: Destination,
    real: Memory,
    drill: Option<Drill>,
}

impl State {
    /// The state as bytes; equal states give equal bytes.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let memories = self.markets.iter().flat_map(|(key, market)| {
            market.plan.asked.iter().zip(&market.memories).map(|(asked, memories)| SavedMemory {
                market: *key,
                rule: asked.rule.name.clone(),
                destination: asked.destination.clone(),
                real: memories.real.clone(),
                drill: memories.drill.as_deref().cloned(),
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
            memories: memories.collect(),
            noticed: noticed.collect(),
            requests: self.requests.iter().map(|(id, one)| (id, Arc::clone(one))).collect(),
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
            adopted: saved.adopted.map(|(version, at, policy)| Adopted {
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
            state.plans = Plans::new(&adopted.policy);
        }
        state.restore_markets(saved.reports.into_iter().map(Into::into), saved.memories);
        for (key, id, status) in saved.noticed {
            if let Some(market) = state.markets.get_mut(&key) {
                market.noticed.insert(id, status);
            }
        }
        for (id, answered) in saved.requests {
            state.requests.keep(id, answered);
        }
        state.reschedule_all();
        state
    }

    fn restore_markets(
        &mut self,
        reports: impl Iterator<Item = ReportRecord>,
        memories: Vec<SavedMemory>,
    ) {
        for record in reports {
            let key = record.report.market();
            if let Some(market) = self.markets.get_mut(&key) {
                market.put(record);
            } else {
                let market = self.new_market(key, record);
                self.markets.insert(key, market);
            }
        }
        let policy = self.adopted.as_ref().map(|adopted| Arc::clone(&adopted.policy));
        for market in self.markets.values_mut() {
            market.choose(policy.as_deref());
        }
        for memory in memories {
            let Some(market) = self.markets.get_mut(&memory.market) else { continue };
            let asked = market.plan.asked.iter().position(|asked| {
                asked.rule.name == memory.rule && asked.destination == memory.destination
            });
            if let Some(one) = asked.and_then(|at| market.memories.get_mut(at)) {
                *one = Memories { real: memory.real, drill: memory.drill.map(Box::new) };
            }
        }
        if let Some(policy) = policy {
            for market in self.markets.values_mut() {
                market.work_out(&policy, self.now.day());
            }
        }
    }
}
