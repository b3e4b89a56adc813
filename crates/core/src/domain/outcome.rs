//! The outcome of a batch, in a form whose size is bounded: it is kept, so that a retry gets the
//! same answer.

use super::update::{Rejection, UpdateOutcome};
use serde::{Deserialize, Serialize};

/// The outcome of a batch. Persisted in snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchOutcome {
    /// All updates were accepted.
    Accepted(UpdateOutcomes),
    /// Nothing was applied.
    Rejected(RejectedBatch),
}

impl BatchOutcome {
    /// The memory it uses beside itself, in bytes: at most 10,000. The same on every platform,
    /// because it decides which answers are kept.
    pub fn memory_bytes(&self) -> usize {
        /// An outcome and its count, and as much space for more.
        const RUN_BYTES: usize = 8;
        /// A rejection with its names.
        const REJECTION_BYTES: usize = 256;
        match self {
            Self::Accepted(outcomes) => outcomes.runs.len().saturating_mul(RUN_BYTES),
            Self::Rejected(rejected) => rejected.first.len().saturating_mul(REJECTION_BYTES),
        }
    }
}

/// The outcomes of an accepted batch, one per update, in order. Equal ones that follow each other
/// are one run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UpdateOutcomes {
    runs: Vec<(UpdateOutcome, u16)>,
}

impl UpdateOutcomes {
    /// Adds the outcome of the next update.
    pub fn push(&mut self, outcome: UpdateOutcome) {
        match self.runs.last_mut() {
            Some((last, count)) if *last == outcome && *count < u16::MAX => {
                *count = count.saturating_add(1);
            }
            Some(_) | None => self.runs.push((outcome, 1)),
        }
    }

    /// One outcome per update, in order.
    pub fn iter(&self) -> impl Iterator<Item = UpdateOutcome> {
        self.runs.iter().flat_map(|(outcome, count)| (0..*count).map(|_| *outcome))
    }

    /// How many updates had an outcome.
    pub fn count(&self, wanted: UpdateOutcome) -> usize {
        let runs = self.runs.iter().filter(|(outcome, _)| *outcome == wanted);
        runs.map(|(_, count)| usize::from(*count)).fold(0, usize::saturating_add)
    }
}

impl FromIterator<UpdateOutcome> for UpdateOutcomes {
    fn from_iter<I: IntoIterator<Item = UpdateOutcome>>(outcomes: I) -> Self {
        outcomes.into_iter().fold(Self::default(), |mut all, outcome| {
            all.push(outcome);
            all
        })
    }
}

/// Why a batch was rejected: the number of all rejections, and the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.text())]
pub struct RejectedBatch {
    total: u32,
    first: Vec<Rejection>,
}

impl RejectedBatch {
    /// The limit of the rejections that are kept.
    pub const FIRST_MAX: usize = 10;

    /// The limit of the text of the rejections that are kept, in bytes. One is always kept.
    pub const FIRST_BYTES_MAX: usize = 1024;

    /// Keeps the first of all rejections of a batch, in the order of its updates.
    pub fn new(rejections: Vec<Rejection>) -> Self {
        let total = u32::try_from(rejections.len()).unwrap_or(u32::MAX);
        let mut bytes = 0_usize;
        let mut fits = |rejection: &Rejection| {
            let is_first = bytes == 0;
            bytes = bytes.saturating_add(rejection.to_string().len());
            is_first || bytes <= Self::FIRST_BYTES_MAX
        };
        let kept = rejections.into_iter().take(Self::FIRST_MAX);
        let mut first: Vec<Rejection> = kept.take_while(|rejection| fits(rejection)).collect();
        first.shrink_to_fit();
        Self { total, first }
    }

    /// The number of all rejections: one per rejected update.
    pub fn total(&self) -> usize {
        usize::try_from(self.total).unwrap_or(usize::MAX)
    }

    /// The first rejections, in the order of the updates.
    pub fn first(&self) -> &[Rejection] {
        &self.first
    }

    fn text(&self) -> String {
        let shown = self.first.iter().map(ToString::to_string);
        let more = self.total().saturating_sub(self.first.len());
        let rest = (more > 0).then(|| format!("and {more} more"));
        shown.chain(rest).collect::<Vec<_>>().join("; ")
    }
}

impl From<Rejection> for RejectedBatch {
    fn from(rejection: Rejection) -> Self {
        Self::new(vec![rejection])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Batch, Slug};

    #[test]
    fn outcomes_are_kept_as_runs_and_read_one_by_one() {
        use UpdateOutcome::{Applied, Superseded, Unchanged};
        for list in [vec![], vec![Applied], vec![Applied, Applied, Superseded, Unchanged, Applied]]
        {
            let outcomes: UpdateOutcomes = list.iter().copied().collect();
            assert_eq!(outcomes.iter().collect::<Vec<_>>(), list);
            let applied = list.iter().filter(|one| **one == Applied).count();
            assert_eq!(outcomes.count(Applied), applied);
        }
        let all = UpdateOutcomes::from_iter([Applied; Batch::UPDATES_MAX]);
        assert_eq!(BatchOutcome::Accepted(all).memory_bytes(), 8, "one run");
    }

    #[test]
    fn of_many_rejections_the_first_are_kept_within_both_limits() {
        let unknown = |update, threat: &str| Rejection::UnknownThreat {
            update,
            threat: Slug::parse(threat).unwrap(),
        };
        let rejected = |count, threat: &str| {
            RejectedBatch::new((0..count).map(|update| unknown(update, threat)).collect())
        };
        let short = rejected(1000, "T");
        assert_eq!((short.total(), short.first().len()), (1000, RejectedBatch::FIRST_MAX));
        assert!(short.to_string().ends_with("; and 990 more"), "{short}");
        assert!(!rejected(10, "T").to_string().contains("more"));
        let name = Slug::parse(&"x".repeat(64)).unwrap();
        let owned = |update| Rejection::ThreatOwnedByOtherFeed {
            update,
            threat: name.clone(),
            feed: name.clone(),
        };
        let long = RejectedBatch::new((0..1000).map(owned).collect());
        let texts = long.first().iter().map(|one| one.to_string().len()).sum::<usize>();
        assert!(long.first().len() < RejectedBatch::FIRST_MAX, "limited by bytes");
        assert!(texts <= RejectedBatch::FIRST_BYTES_MAX, "{texts} bytes");
        assert_eq!(rejected(1, "T").to_string(), unknown(0, "T").to_string());
    }
}
