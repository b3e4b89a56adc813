//! Updates: what feeds publish, what a journal entry holds, and its outcome.

use super::limit::LimitExcess;
use super::market::Period;
use super::{Epoch, MarketKey, Mineral, Policy, Report, Seq, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One update of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// One source's full distribution of a market for one period. It replaces the source's earlier
    /// report of that market and period.
    Report(Arc<Report>),
    /// A threat, or a later revision of one.
    Threat(Arc<Threat>),
    /// The removal of a threat that was published in error, or of an exercise that is over.
    Removal(Removal),
    /// The removal of reports that were published in error.
    ReportRemoval(ReportRemoval),
}

/// The removal of a threat from the record. A measure that ends in law gets a revision with
/// `date_removed` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The threat's id.
    pub threat: Slug,
    /// The revision to remove, so that a newer one is not removed by mistake; `None` for the
    /// current one.
    pub revision: Option<u64>,
}

/// The removal of a source's reports on a market, with all their releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRemoval {
    /// The market.
    pub market: MarketKey,
    /// The source.
    pub source: Slug,
    /// The period; `None` for all periods of the source.
    pub period: Option<Period>,
}

/// The id a publisher gives to one batch, a UUID: a retry with the same id gets the same answer.
/// Another identity's batch may have the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u128);

/// Updates that are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The publisher's id of the batch.
    pub request_id: RequestId,
    /// A digest of the content, so that the same id with other content is rejected.
    pub digest: u128,
    /// The feed that sent it.
    pub feed: Slug,
    /// Whether it is an exercise.
    pub exercise: bool,
    /// 1 to [`Batch::UPDATES_MAX`] updates.
    pub updates: Vec<Update>,
    /// Who sent it; `None` for batches that no server received: imported without a sender, or
    /// simulated. Not part of `digest`.
    pub sender: Option<Sender>,
    /// The span that the batch's later spans belong to; `None` where it is not traced. Not part of
    /// `digest`.
    pub trace: Option<TraceContext>,
}

/// A span of a trace, as W3C Trace Context identifies it. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace's id; not 0.
    pub id: u128,
    /// The id of the parent of later spans; not 0.
    pub span: u64,
}

impl TraceContext {
    /// The trace's id as tracing tools show it: 32 hexadecimal digits.
    pub fn id_text(self) -> String {
        format!("{:032x}", self.id)
    }
}

/// The authenticated sender of a batch. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The name of its identity: 1 to [`Sender::NAME_BYTES_MAX`] bytes.
    pub name: Arc<str>,
    /// What the batch may change; `None` for everything.
    pub write_scope: Option<WriteScope>,
}

impl Sender {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 320;
}

/// The write access of a batch: only what its own feed has published. Decided when the batch is
/// received and kept in the journal, so that a replay decides the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteScope {
    /// The only minerals whose threats it may change; `None` for all.
    pub minerals: Option<BTreeSet<Mineral>>,
}

impl Batch {
    /// The maximum number of updates in one batch.
    pub const UPDATES_MAX: usize = 1000;

    /// The name of the sender; `None` where the batch has none.
    pub fn sender_name(&self) -> Option<&str> {
        self.sender.as_ref().map(|sender| &*sender.name)
    }
}

/// The content of a journal entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A batch of updates from a feed.
    Batch(Batch),
    /// A policy that is in force from this entry on.
    PolicyAdopted {
        /// Orders policies: one with a lower revision than the policy in force changes nothing. 0
        /// where the settings have no revision.
        revision: u64,
        /// The policy.
        policy: Arc<Policy>,
    },
    /// Time passed, and a deadline is due.
    Tick {
        /// The deadline; the tick's identity.
        due: Timestamp,
    },
}

/// A journal entry. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its position in the journal.
    pub seq: Seq,
    /// When it was appended; never before the previous entry.
    pub at: Timestamp,
    /// Its content.
    pub payload: Payload,
}

/// The outcome of one update of an accepted batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateOutcome {
    /// The record now holds it.
    Applied,
    /// The record already held the same.
    Unchanged,
    /// The record holds a newer vintage of the report, which stays in force.
    Superseded,
}

/// Why a batch was rejected as a whole. `update` is the index of the update, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The request id belongs to another batch.
    #[error("request_id was used in entry {first} for a batch with other content; use a new one")]
    RequestIdReused {
        /// The entry that used it first.
        first: Seq,
    },
    /// The revision is not newer than the one on record.
    #[error(
        "updates[{update}]: revision {sent} of {threat} is stale; the record has revision {current}"
    )]
    StaleRevision {
        /// Index of the update, from 0.
        update: usize,
        /// The threat's id.
        threat: Slug,
        /// The revision sent.
        sent: u64,
        /// The revision on record.
        current: u64,
    },
    /// The threat to remove is not on record.
    #[error("updates[{update}]: no threat {threat} is on record")]
    UnknownThreat {
        /// Index of the update, from 0.
        update: usize,
        /// The threat's id.
        threat: Slug,
    },
    /// The policy in force has no bloc of this name.
    #[error("updates[{update}]: the policy in force has no bloc {bloc}")]
    UnknownBloc {
        /// Index of the update, from 0.
        update: usize,
        /// The bloc's name.
        bloc: Slug,
    },
    /// An exercise would change the real record, or the real record an exercise.
    #[error(
        "updates[{update}]: threat {threat} {}",
        if *.is_exercise { "is part of an exercise; only a batch with exercise = true can change it" }
        else { "is real; a batch with exercise = true cannot change it" }
    )]
    ExerciseMixed {
        /// Index of the update, from 0.
        update: usize,
        /// The threat's id.
        threat: Slug,
        /// Whether the threat on record is part of an exercise.
        is_exercise: bool,
    },
    /// The sender may only change threats of its own feed, and the threat is of another.
    #[error("updates[{update}]: threat {threat} belongs to feed {feed}")]
    ThreatOwnedByOtherFeed {
        /// Index of the update, from 0.
        update: usize,
        /// The threat's id.
        threat: Slug,
        /// The feed that published it.
        feed: Slug,
    },
    /// The threat on record covers a mineral that the sender may not publish.
    #[error(
        "updates[{update}]: threat {threat} also covers {mineral}, which the sender may not publish"
    )]
    ThreatCoversOtherMinerals {
        /// Index of the update, from 0.
        update: usize,
        /// The threat's id.
        threat: Slug,
        /// The mineral.
        mineral: Mineral,
    },
    /// The sender may only change reports of its own feed, and the source's reports of the market
    /// are of another.
    #[error("updates[{update}]: reports of {source_name} on this market belong to feed {feed}")]
    ReportOwnedByOtherFeed {
        /// Index of the update, from 0.
        update: usize,
        /// The source of the report.
        source_name: Slug,
        /// The feed that published its reports.
        feed: Slug,
    },
    /// The report to remove is not on record.
    #[error(
        "updates[{update}]: no report of {source_name}{} on {market} is on record",
        .period.map(|period| format!(" for {period}")).unwrap_or_default()
    )]
    UnknownReport {
        /// Index of the update, from 0.
        update: usize,
        /// The market.
        market: MarketKey,
        /// The source.
        source_name: Slug,
        /// The period; `None` where all were to be removed.
        period: Option<Period>,
    },
    /// The record would hold more than a limit allows.
    #[error("updates[{update}]: {excess}")]
    LimitReached {
        /// Index of the update, from 0.
        update: usize,
        /// The limit.
        excess: Box<LimitExcess>,
    },
}

/// A reader's position in the alerts: it has read everything up to and including `entry`, and the
/// first `alerts` alerts of the next entry. Ordered like the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The last entry that was read completely.
    pub entry: Seq,
    /// How many alerts of the next entry were read; above 0 only where one entry needed several
    /// messages.
    pub alerts: u32,
}

impl Position {
    /// After all alerts of an entry.
    pub fn at(entry: Seq) -> Self {
        Self { entry, alerts: 0 }
    }
}

/// A position to resume from, in one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The identity of the journal.
    pub epoch: Epoch,
    /// The last position read.
    pub position: Position,
}
