//! The expected messages: the journal, copied and replayed offline.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lodewatch::grpc;
use lodewatch::journal::{Journal, SqliteJournal};
use lodewatch_core::domain::update::RequestId;
use lodewatch_core::domain::{Facets, Payload, Position, Seq};
use lodewatch_core::engine::{BatchResult, State};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// An alert as every subscriber must see it.
#[derive(Debug)]
pub struct Expected {
    pub sequence: u64,
    pub entry: Seq,
    /// Its index among its entry's alerts, from 0.
    pub nth: u32,
    pub facets: Facets,
    pub bytes: Vec<u8>,
}

impl Expected {
    /// Whether it is at or before a position.
    pub fn is_behind(&self, position: Position) -> bool {
        self.entry <= position.entry
            || (self.entry == position.entry.next() && self.nth < position.alerts)
    }
}

/// Everything that follows from a journal.
pub struct Oracle {
    pub alerts: Vec<Expected>,
    /// The active alerts after each entry, from entry 0 on.
    pub open: Vec<BTreeSet<u64>>,
    /// Of the batches of all senders.
    results: BTreeMap<RequestId, Arc<BatchResult>>,
}

impl Oracle {
    /// Replays a copy of the journal in a directory whose server has stopped.
    pub async fn replay(dir: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in ["journal.db", "journal.db-wal"] {
            if dir.join(file).exists() {
                std::fs::copy(dir.join(file), copy.path().join(file)).unwrap();
            }
        }
        Self::of(&SqliteJournal::open(copy.path()).unwrap()).await
    }

    /// Replays a journal up to its current end.
    pub async fn of(journal: &dyn Journal) -> Self {
        let encode = grpc::encoding(journal.epoch()).alert;
        let head = *journal.head().borrow();
        let mut tail = journal.tail(Seq::ZERO).unwrap();
        let mut state = State::default();
        let (mut alerts, mut open) = (Vec::new(), vec![BTreeSet::new()]);
        let mut results = BTreeMap::new();
        while state.seq() < head {
            for entry in tail.next().await.unwrap() {
                let applied = state.apply(&entry);
                for (nth, alert) in (0..).zip(&applied.alerts) {
                    alerts.push(Expected {
                        sequence: alert.sequence,
                        entry: alert.entry,
                        nth,
                        facets: Facets::from(alert),
                        bytes: encode(alert).to_vec(),
                    });
                }
                open.push(state.open_alerts());
                if let Payload::Batch(batch) = &entry.payload {
                    let result = state.result_of(batch).unwrap();
                    results.insert(batch.request_id, Arc::clone(result));
                }
            }
        }
        Self { alerts, open, results }
    }

    /// The entry of a batch, and the alerts it caused: the first, and their number.
    pub fn batch(&self, request_id: &str) -> Option<(Seq, (u64, u64))> {
        let id = uuid::Uuid::parse_str(request_id).unwrap();
        let answered = self.results.get(&RequestId(id.as_u128()))?;
        Some((answered.entry, answered.alerts))
    }
}

/// The position in a cursor. Opaque to clients; a test may look inside.
pub fn position(cursor: &str) -> Position {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let entry = Seq(u64::from_be_bytes(bytes[9..17].try_into().unwrap()));
    Position { entry, alerts: u32::from_be_bytes(bytes[17..21].try_into().unwrap()) }
}
