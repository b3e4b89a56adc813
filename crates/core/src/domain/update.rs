//! What feeds say, and what the journal holds of it.

use super::{Epoch, Mineral, Policy, Report, Seq, Slug, Threat, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One thing that a feed says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// A source's full distribution of a market for a period, in place of what it said before.
    Report(Arc<Report>),
    /// A threat, or a later revision of it.
    Threat(Arc<Threat>),
    /// A threat was published in error, or a drill is over: forget it.
    Removal(Removal),
}

/// The removal of a threat from the record. A measure that ends in law gets a revision with `date_removed` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Which threat.
    pub threat: Slug,
    /// The revision that is removed, so that a newer one is not removed unseen; `None` for whichever is in force.
    pub revision: Option<u64>,
}

/// The name a publisher gives to one batch, so that a retry gets the same answer: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u128);

/// Updates that are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The publisher's name for it.
    pub request_id: RequestId,
    /// A digest of everything else here, so that the same id with other content is noticed.
    pub digest: u128,
    /// Which feed sent it.
    pub feed: Slug,
    /// Whether it is a drill.
    pub exercise: bool,
    /// 1 to [`Batch::UPDATES_MAX`].
    pub updates: Vec<Update>,
    /// Who sent it; `None` where the server identifies no callers. Not part of `digest`.
    pub sender: Option<Sender>,
    /// The span that the batch's later spans belong to; `None` where it is not traced. Not part of
    /// `digest`.
    pub trace: Option<TraceContext>,
}

/// A place in a trace that is told to somebody, by W3C Trace Context. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace. Not 0.
    pub id: u128,
    /// The piece of work that what comes next is part of. Not 0.
    pub span: u64,
}

impl TraceContext {
    /// The trace's id as people look for it: 32 hexadecimal digits.
    pub fn id_text(self) -> String {
        format!("{:032x}", self.id)
    }
}

/// Who sent a batch, as the server knew it. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Its identity: 1 to [`Sender::NAME_BYTES_MAX`] bytes.
    pub name: Arc<str>,
    /// What the batch may change of the record; `None` for everything.
    pub write_scope: Option<WriteScope>,
}

impl Sender {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 320;
}

/// What a batch may change of the record: what its own feed has published, and nothing that another has. It is decided when the
/// batch was sent, and so it stands in the journal with it: a replay decides as it was decided then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteScope {
    /// Only threats about no other minerals than these; `None` for any.
    pub minerals: Option<BTreeSet<Mineral>>,
}

impl Batch {
    /// The most updates of one batch.
    pub const UPDATES_MAX: usize = 1000;
}

/// What an entry of the journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Updates of a feed.
    Batch(Batch),
    /// From here on this policy is in force.
    PolicyAdopted {
        /// Orders policies: one with a lower revision than the policy in force changes nothing. 0
        /// where the settings have no revision.
        revision: u64,
        /// The policy.
        policy: Arc<Policy>,
    },
    /// Time has passed: something was due.
    Tick {
        /// The deadline that had come; the tick's identity.
        due: Timestamp,
    },
}

/// An entry of the journal. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its position.
    pub seq: Seq,
    /// When it was appended; never before the entry before it.
    pub at: Timestamp,
    /// What it says.
    pub payload: Payload,
}

/// What became of one update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateOutcome {
    /// It is in the record now.
    Applied,
    /// The record said so already.
    Unchanged,
    /// A newer vintage of the same report is in the record; this one is not kept.
    Superseded,
}

/// Why a batch as a whole was not applied; `update` counts from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The id was used for another batch.
    #[error("request_id was used in entry {first} for a batch with other content; use a new one")]
    RequestIdReused {
        /// The entry of the first use.
        first: Seq,
    },
    /// A revision that is not newer than the one in the record.
    #[error(
        "updates[{update}]: revision {sent} of {threat} is stale; the record has revision {current}"
    )]
    StaleRevision {
        /// Which update.
        update: usize,
        /// Which threat.
        threat: Slug,
        /// As sent.
        sent: u64,
        /// As in the record.
        current: u64,
    },
    /// There is no such threat to remove.
    #[error("updates[{update}]: no threat {threat} is on record")]
    UnknownThreat {
        /// Which update.
        update: usize,
        /// Which threat.
        threat: Slug,
    },
    /// The policy in force has no such bloc.
    #[error("updates[{update}]: the policy in force has no bloc {bloc}")]
    UnknownBloc {
        /// Which update.
        update: usize,
        /// Which bloc.
        bloc: Slug,
    },
    /// A drill and the real record must not touch each other.
    #[error(
        "updates[{update}]: threat {threat} {}",
        if *.is_exercise { "is part of an exercise; only a batch with exercise = true can change it" }
        else { "is real; a batch with exercise = true cannot change it" }
    )]
    ExerciseMixed {
        /// Which update.
        update: usize,
        /// Which threat.
        threat: Slug,
        /// Whether the threat in the record is part of a drill.
        is_exercise: bool,
    },
    /// Another feed has published the threat, and the sender may change only what its own has.
    #[error("updates[{update}]: threat {threat} belongs to feed {feed}")]
    ThreatOwnedByOtherFeed {
        /// Which update.
        update: usize,
        /// Which threat.
        threat: Slug,
        /// Whose it is.
        feed: Slug,
    },
    /// The threat on record is about minerals that are not the sender's.
    #[error(
        "updates[{update}]: threat {threat} also covers {mineral}, which the sender may not publish"
    )]
    ThreatCoversOtherMinerals {
        /// Which update.
        update: usize,
        /// Which threat.
        threat: Slug,
        /// A mineral that is not the sender's.
        mineral: Mineral,
    },
    /// Another feed publishes what this source says of the market.
    #[error("updates[{update}]: reports of {source_name} on this market belong to feed {feed}")]
    ReportOwnedByOtherFeed {
        /// Which update.
        update: usize,
        /// Which source.
        source_name: Slug,
        /// Whose its reports are.
        feed: Slug,
    },
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchOutcome {
    /// One outcome an update.
    Accepted(Vec<UpdateOutcome>),
    /// Nothing was applied.
    Rejected(Vec<Rejection>),
}

/// How far somebody has read: everything up to and including `entry`, and the first `alerts` alerts of the entry after
/// it. Ordered as the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The last entry that is wholly behind.
    pub entry: Seq,
    /// How many alerts of the next entry are behind; 0 but where one entry's alerts had to be split.
    pub alerts: u32,
}

impl Position {
    /// Everything up to and including an entry.
    pub fn at(entry: Seq) -> Self {
        Self { entry, alerts: 0 }
    }
}

/// A place in the result to read on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Of which journal.
    pub epoch: Epoch,
    /// How far it was read.
    pub position: Position,
}
