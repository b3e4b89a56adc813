//! What the archive stores, what it is asked, and what it returns.

use bytes::Bytes;
use lodewatch_core::domain::{Facets, Filter, Position, Seq, Timestamp};
use std::sync::Arc;

/// An alert as it is stored: its encoded bytes, and the values that queries look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// Orders and identifies the alert; without gaps from 1.
    pub sequence: u64,
    /// The entry that caused it; the alerts of one entry have consecutive sequences.
    pub entry: Seq,
    /// The sequence of the alert that opened the episode.
    pub episode: u64,
    /// The event time.
    pub at: Timestamp,
    /// The entry's time, which retention uses. Never before that of an earlier record.
    pub journal_time: Timestamp,
    /// The values that filters look at.
    pub facets: Facets,
    pub bytes: Bytes,
}

#[cfg(test)]
impl AlertRecord {
    /// A record of a mined mineral, with an arbitrary rule and time.
    pub(crate) fn sample(entry: Seq, sequence: u64, mineral: &str, bytes: Bytes) -> Self {
        use lodewatch_core::domain::alert::Kind;
        use lodewatch_core::domain::{MarketKey, Mineral, Slug, Stage};
        let mineral = Mineral::parse(mineral).expect("it is in the catalogue");
        Self {
            sequence,
            entry,
            episode: sequence,
            at: Timestamp::MIN,
            journal_time: Timestamp::MIN,
            facets: Facets {
                kind: Kind::Raised,
                level: None,
                rule: Slug::parse("rule").expect("it is a name"),
                market: MarketKey { mineral, stage: Stage::Mining },
                destination: None,
                countries: Vec::new(),
                exercise: false,
            },
            bytes,
        }
    }
}

/// A snapshot of the engine's state after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    pub seq: Seq,
    /// The replica's [`crate::journal::StateDigest`] after the entry.
    pub digest: u64,
    /// The number of pieces that the encoded state is stored in.
    pub pieces: u32,
}

/// Selects alerts of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertQuery {
    pub filter: Filter,
    /// Only alerts of this episode.
    pub episode: Option<u64>,
    /// From the newest to the oldest instead of from the oldest to the newest.
    pub newest_first: bool,
    /// Only alerts that follow this one in that direction.
    pub after_sequence: Option<u64>,
    /// Only these alerts, in the order of their sequences.
    pub among: Option<Arc<[u64]>>,
    /// No alerts of later entries.
    pub until_entry: Seq,
    /// The largest number of alerts to return.
    pub limit: usize,
    /// No further alerts once those before have more bytes than this.
    pub limit_bytes: usize,
    /// The largest number of alerts to examine, whether they pass the filter or not.
    pub examined_max: usize,
}

/// A page of a list, in the query's direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertList {
    pub records: Vec<AlertRecord>,
    /// The sequence after which the next page begins; `None` where nothing more follows. A page
    /// that ends early may have no records and yet be followed by others.
    pub next_after: Option<u64>,
    /// The alerts that were examined, whether they are on the page or not.
    pub examined: usize,
}

/// A part of the history, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPage {
    /// The alerts that passed the filter.
    pub records: Vec<AlertRecord>,
    /// The position up to which alerts were examined, whether any passed or not: read on from here.
    pub reached: Position,
}
