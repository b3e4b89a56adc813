//! What goes into the archive, what is asked of it, and what comes out.

use crate::domain::{Facets, Filter, Position, Seq, Timestamp};
use bytes::Bytes;

/// An alert as it is kept: its encoded bytes, and what it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// Orders and identifies the alert; without gaps from 1.
    pub sequence: u64,
    /// The entry that caused it; the alerts of one entry follow each other.
    pub entry: Seq,
    /// The sequence of the alert that opened the episode.
    pub episode: u64,
    /// When it happened: the event time.
    pub at: Timestamp,
    /// When the journal took the entry; what retention goes by. Never before that of an earlier record.
    pub journal_time: Timestamp,
    /// What filters look at.
    pub facets: Facets,
    /// The encoded alert.
    pub bytes: Bytes,
}

#[cfg(test)]
impl AlertRecord {
    /// One of a market that is mined, of a rule and at a time that are no matter.
    pub(crate) fn sample(entry: Seq, sequence: u64, mineral: &str, bytes: Bytes) -> Self {
        use crate::domain::alert::Kind;
        use crate::domain::{MarketKey, Mineral, Slug, Stage};
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

/// The state at an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// After this entry.
    pub seq: Seq,
    /// The digest of all that came of the journal so far.
    pub digest: u64,
    /// The state as bytes.
    pub bytes: Vec<u8>,
}

/// Which alerts of the history are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertQuery {
    /// What they must pass.
    pub filter: Filter,
    /// Of one episode only.
    pub episode: Option<u64>,
    /// From the newest to the oldest, instead of the other way round.
    pub newest_first: bool,
    /// Only what follows this alert in that direction, without it.
    pub after_sequence: Option<u64>,
    /// Nothing of later entries.
    pub until_entry: Seq,
    /// At most so many.
    pub limit: usize,
}

/// A part of the history, read in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPage {
    /// What passed the filter.
    pub records: Vec<AlertRecord>,
    /// How far was looked, whether or not anything passed: read on from here.
    pub reached: Position,
}
