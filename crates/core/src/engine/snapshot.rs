//! Snapshots: the state as bytes and back, so that a restart need not replay the journal from its
//! first entry.
//!
//! ```text
//! byte 0    format, 1
//! byte 1 …  SavedRecords in postcard's encoding, one after the other; the last is the end
//! ```
//!
//! Both ways go piece by piece, so that no second copy of the whole state is in memory. A piece has
//! whole records.

use super::instance_state::InstanceState;
use super::market::{ExerciseState, InstanceStates, Market, ReportRecord};
use super::plan::PlanCache;
use super::recent_batches::{BatchResult, RecentBatches};
use super::record::ThreatRecord;
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

/// A piece ends with the record that reaches this length, in bytes: 1 MiB.
const PIECE_BYTES: usize = 1 << 20;

/// Why bytes cannot be read as a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The first byte is another format's, or missing.
    #[error(
        "snapshot has {}; this version reads format {FORMAT}",
        .0.map_or("no format".to_owned(), |format| format!("unknown format {format}"))
    )]
    Format(Option<u8>),
    /// The bytes after the first are damaged.
    #[error("snapshot cannot be decoded")]
    Decode(#[from] postcard::Error),
    /// Records are missing, or follow the end.
    #[error("snapshot is incomplete")]
    Incomplete,
}

/// A part of the state that cannot be derived from the rest. Persisted: another layout is another
/// format.
#[derive(Serialize, Deserialize)]
enum SavedRecord {
    Position(SavedPosition),
    Threat(Arc<ThreatRecord>),
    Report(ReportRecord),
    Instance(Box<SavedInstance>),
    Notice(SavedNotice),
    /// The sender of the batches that follow; "" for none.
    Sender(Arc<str>),
    Batch(RequestId, Arc<BatchResult>),
    /// The number of the records before it.
    End(u64),
}

#[derive(Default, Serialize, Deserialize)]
struct SavedPosition {
    seq: Seq,
    now: Timestamp,
    last_alert: u64,
    adopted: Option<SavedPolicy>,
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

#[derive(Serialize, Deserialize)]
struct SavedNotice {
    market: MarketKey,
    threat: Slug,
    status: ThreatStatus,
}

/// Restores a state from the pieces of its snapshot.
#[derive(Default)]
pub struct SnapshotReader {
    is_open: bool,
    is_complete: bool,
    records: u64,
    position: SavedPosition,
    threats: Vec<Arc<ThreatRecord>>,
    reports: Vec<ReportRecord>,
    instances: Vec<SavedInstance>,
    notices: Vec<SavedNotice>,
    recent_batches: RecentBatches,
    sender: Arc<str>,
}

impl SnapshotReader {
    /// Reads the next piece.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Format`] where the first piece is of another format,
    /// [`SnapshotError::Decode`] for damaged bytes, [`SnapshotError::Incomplete`] for bytes after
    /// the end.
    pub fn read_piece(&mut self, mut piece: &[u8]) -> Result<(), SnapshotError> {
        if !self.is_open {
            piece = match piece.split_first() {
                Some((&FORMAT, rest)) => rest,
                other => return Err(SnapshotError::Format(other.map(|(format, _)| *format))),
            };
            self.is_open = true;
        }
        while !piece.is_empty() {
            let (record, rest) = postcard::take_from_bytes(piece)?;
            self.read_record(record)?;
            piece = rest;
        }
        Ok(())
    }

    fn read_record(&mut self, record: SavedRecord) -> Result<(), SnapshotError> {
        if self.is_complete {
            return Err(SnapshotError::Incomplete);
        }
        match record {
            SavedRecord::Position(position) => self.position = position,
            SavedRecord::Threat(record) => self.threats.push(record),
            SavedRecord::Report(record) => self.reports.push(record),
            SavedRecord::Instance(instance) => self.instances.push(*instance),
            SavedRecord::Notice(notice) => self.notices.push(notice),
            SavedRecord::Sender(name) => self.sender = name,
            SavedRecord::Batch(id, result) => {
                self.recent_batches.insert(Some(&self.sender), id, result);
            }
            SavedRecord::End(records) if records == self.records => self.is_complete = true,
            SavedRecord::End(_) => return Err(SnapshotError::Incomplete),
        }
        self.records = self.records.saturating_add(1);
        Ok(())
    }

    /// The state, once all pieces are read.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Incomplete`] where pieces are missing.
    pub fn finish(self) -> Result<State, SnapshotError> {
        if self.is_complete { Ok(State::restore(self)) } else { Err(SnapshotError::Incomplete) }
    }
}

impl State {
    /// The state as bytes, in pieces of about 1 MiB; longer only where a single record is. Equal
    /// states give equal bytes.
    pub fn snapshot_pieces(&self) -> impl Iterator<Item = Vec<u8>> {
        let mut records = self.saved_records();
        let (mut count, mut is_complete) = (0_u64, false);
        let mut piece = vec![FORMAT];
        std::iter::from_fn(move || {
            while piece.len() < PIECE_BYTES && !is_complete {
                let record = records.next().unwrap_or_else(|| {
                    is_complete = true;
                    SavedRecord::End(count)
                });
                count = count.saturating_add(1);
                piece = postcard::to_extend(&record, std::mem::take(&mut piece))
                    .expect("a record is plain data");
            }
            (!piece.is_empty()).then(|| std::mem::take(&mut piece))
        })
    }

    /// All pieces of a snapshot in one, for a state that is small.
    pub fn to_snapshot(&self) -> Vec<u8> {
        self.snapshot_pieces().flatten().collect()
    }

    /// Reads the state that [`State::to_snapshot`] wrote.
    ///
    /// # Errors
    ///
    /// As [`SnapshotReader`].
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = SnapshotReader::default();
        reader.read_piece(bytes)?;
        reader.finish()
    }

    fn saved_records(&self) -> impl Iterator<Item = SavedRecord> {
        let position = SavedPosition {
            seq: self.seq,
            now: self.now,
            last_alert: self.last_alert,
            adopted: self.adopted.as_ref().map(|adopted| SavedPolicy {
                version: adopted.version,
                at: adopted.at,
                revision: adopted.revision,
                policy: Arc::clone(&adopted.policy),
            }),
        };
        let threats = self.threats.values().cloned().map(SavedRecord::Threat);
        let reports = self.markets.values().flat_map(Market::reports);
        let instances = self.markets.iter().flat_map(|(key, market)| {
            market.plan.instances.iter().zip(&market.states).map(|(instance, states)| {
                SavedRecord::Instance(Box::new(SavedInstance {
                    market: *key,
                    rule: instance.rule.name.clone(),
                    destination: instance.destination.clone(),
                    real: states.real.clone(),
                    exercise: states.exercise.as_deref().cloned(),
                }))
            })
        });
        let notices = self.markets.iter().flat_map(|(key, market)| {
            market.noticed.iter().map(|(threat, status)| {
                let (market, threat, status) = (*key, threat.clone(), *status);
                SavedRecord::Notice(SavedNotice { market, threat, status })
            })
        });
        let batches = self.recent_batches.iter().flat_map(|(sender, results)| {
            let results = results.map(|(id, one)| SavedRecord::Batch(id, Arc::clone(one)));
            std::iter::once(SavedRecord::Sender(Arc::clone(sender))).chain(results)
        });
        std::iter::once(SavedRecord::Position(position))
            .chain(threats)
            .chain(reports.cloned().map(SavedRecord::Report))
            .chain(instances)
            .chain(notices)
            .chain(batches)
    }

    fn restore(saved: SnapshotReader) -> Self {
        let SavedPosition { seq, now, last_alert, adopted } = saved.position;
        let adopted = adopted.map(|SavedPolicy { version, at, revision, policy }| AdoptedPolicy {
            version,
            at,
            revision,
            policy,
        });
        let threats = saved.threats.into_iter().map(|record| (record.threat.id.clone(), record));
        let mut state = Self {
            seq,
            now,
            last_alert,
            adopted,
            threats: threats.collect(),
            recent_batches: saved.recent_batches,
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
        for SavedNotice { market, threat, status } in saved.notices {
            if let Some(market) = state.markets.get_mut(&market) {
                market.noticed.insert(threat, status);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{BatchOutcome, RejectedBatch};
    use crate::domain::update::Rejection;

    /// A state whose snapshot has several pieces.
    fn large() -> State {
        let mut state = State::default();
        for entry in 1..=10_000 {
            state.seq = Seq(entry);
            let threat = Slug::parse(&format!("A-THREAT-WITH-A-LONG-NAME-{entry}")).unwrap();
            let unknown =
                (0..10).map(|update| Rejection::UnknownThreat { update, threat: threat.clone() });
            let outcome = BatchOutcome::Rejected(RejectedBatch::new(unknown.collect()));
            let result = BatchResult { digest: 7, entry: Seq(entry), outcome, alerts: (1, 0) };
            let sender = if entry % 2 == 0 { Some("desk") } else { None };
            state.recent_batches.insert(sender, RequestId(entry.into()), Arc::new(result));
        }
        state
    }

    #[test]
    fn a_large_state_is_written_and_read_in_pieces() {
        let state = large();
        let pieces: Vec<Vec<u8>> = state.snapshot_pieces().collect();
        assert!(pieces.len() >= 3, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE_BYTES + 1000));
        let mut reader = SnapshotReader::default();
        for piece in &pieces {
            reader.read_piece(piece).unwrap();
        }
        let restored = reader.finish().unwrap();
        assert_eq!(restored.snapshot_pieces().collect::<Vec<_>>(), pieces);
        let bytes =
            |state: &State| (state.recent_batches.bytes(), state.recent_batches.identities());
        assert_eq!(bytes(&restored), bytes(&state));
    }

    #[test]
    fn a_snapshot_without_one_of_its_pieces_is_rejected() {
        let pieces: Vec<Vec<u8>> = large().snapshot_pieces().collect();
        for missing in 0..pieces.len() {
            let mut reader = SnapshotReader::default();
            let mut others = pieces.iter().enumerate().filter(|(at, _)| *at != missing);
            let read = others.try_for_each(|(_, piece)| reader.read_piece(piece));
            assert!(read.is_err() || reader.finish().is_err(), "without piece {missing}");
        }
        let mut reader = SnapshotReader::default();
        let mut twice = pieces.iter().chain(pieces.last());
        let read = twice.try_for_each(|piece| reader.read_piece(piece));
        assert!(matches!(read, Err(SnapshotError::Incomplete)));
    }
}
