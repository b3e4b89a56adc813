//! The state as bytes, and back: what a restart starts from instead of the first entry.

use super::market::{Memory, ReportRecord};
use super::record::ThreatRecord;
use super::requests::Answered;
use super::state::{Adopted, State};
use crate::domain::policy::{Destination, Policy};
use crate::domain::update::RequestId;
use crate::domain::{MarketKey, Seq, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// The first byte of a snapshot; another layout gets another number.
const FORMAT: u8 = 1;

/// Why bytes are no snapshot of this version.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Written by another version.
    #[error("snapshot format {0:?} is unknown; this version reads format {FORMAT}")]
    Format(Option<u8>),
    /// Not what was written.
    #[error("snapshot cannot be read")]
    Decode(#[from] postcard::Error),
}

/// Everything that cannot be derived from the rest. Persisted: fields are never changed, a new layout is a new format.
#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    seq: Seq,
    now: Timestamp,
    last_alert: u64,
    adopted: Option<(Seq, Timestamp, Arc<Policy>)>,
    threats: Vec<Cow<'a, ThreatRecord>>,
    reports: Vec<Cow<'a, ReportRecord>>,
    memories: Vec<SavedMemory>,
    requests: Vec<(RequestId, Arc<Answered>)>,
}

#[derive(Serialize, Deserialize)]
struct SavedMemory {
    market: MarketKey,
    rule: Slug,
    destination: Destination,
    real: Memory,
    drill: Option<Memory>,
}

impl State {
    /// The state as bytes; equal states give equal bytes.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let memories = self.markets.iter().flat_map(|(key, market)| {
            market.watches.iter().map(|watch| SavedMemory {
                market: *key,
                rule: watch.rule.name.clone(),
                destination: watch.destination.clone(),
                real: watch.real,
                drill: watch.drill,
            })
        });
        let adopted = self.adopted.as_ref();
        let saved = Saved {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: adopted.map(|one| (one.version, one.at, Arc::clone(&one.policy))),
            threats: self.threats.values().map(Cow::Borrowed).collect(),
            reports: self
                .markets
                .values()
                .flat_map(|market| market.reports.values().map(Cow::Borrowed))
                .collect(),
            memories: memories.collect(),
            requests: self.requests.iter().map(|(id, one)| (id, Arc::clone(one))).collect(),
        };
        postcard::to_extend(&saved, vec![FORMAT])
            .expect("a state has nothing that cannot be written")
    }

    /// The state of which these are the bytes.
    ///
    /// # Errors
    ///
    /// When another version wrote them, or nobody did.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, Error> {
        let (format, bytes) = match bytes.split_first() {
            Some((format, rest)) => (Some(*format), rest),
            None => (None, bytes),
        };
        if format != Some(FORMAT) {
            return Err(Error::Format(format));
        }
        let saved: Saved<'_> = postcard::from_bytes(bytes)?;
        let mut state = Self {
            seq: saved.seq,
            now: saved.now,
            last_alert: saved.last_alert,
            adopted: saved.adopted.map(|(version, at, policy)| Adopted { version, at, policy }),
            threats: saved
                .threats
                .into_iter()
                .map(|record| (record.threat.id.clone(), record.into_owned()))
                .collect(),
            ..Self::default()
        };
        state.restore_markets(saved.reports, saved.memories);
        for (id, answered) in saved.requests {
            state.requests.keep(id, answered);
        }
        state.reschedule_all();
        Ok(state)
    }

    fn restore_markets(&mut self, reports: Vec<Cow<'_, ReportRecord>>, memories: Vec<SavedMemory>) {
        for record in reports {
            let record = record.into_owned();
            let key = record.report.market();
            if let Some(market) = self.markets.get_mut(&key) {
                let name = (record.report.source().clone(), record.report.period());
                market.reports.insert(name, record);
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
            let watches = self.markets.get_mut(&memory.market).map(|market| &mut market.watches);
            let watch = watches.into_iter().flatten().find(|watch| {
                watch.rule.name == memory.rule && watch.destination == memory.destination
            });
            if let Some(watch) = watch {
                (watch.real, watch.drill) = (memory.real, memory.drill);
            }
        }
    }
}
