//! The state digest: one number over all answers and alerts up to an entry. Replicas whose answers
//! or alerts differ have different digests.

use crate::archive::AlertRecord;
use crate::journal::StateDigest;
use lodewatch_core::domain::Seq;
use lodewatch_core::domain::outcome::BatchOutcome;
use std::collections::VecDeque;
use xxhash_rust::xxh3::Xxh3;

/// How many entries the digest is remembered for. A digest of an earlier entry is not compared;
/// every appender sends that of its last applied entry, which is far less behind.
const ENTRIES_MAX: usize = 65_536;

/// Another replica derived a different state from the same entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "replicas diverged: up to entry {entry} the state digest is {ours:016x} here and {theirs:016x} on another replica; \
     one of the two is wrong, so this replica rejects all calls; \
     see \"Diverged replicas\" in the runbook"
)]
pub struct Divergence {
    /// The replicas diverged at this entry or before it.
    pub entry: Seq,
    /// This replica's digest.
    pub ours: u64,
    /// The other replica's digest.
    pub theirs: u64,
}

/// The digests of the latest entries.
pub(super) struct DigestHistory {
    last: Seq,
    /// One per entry up to `last`; each also covers everything before it.
    recent: VecDeque<u64>,
}

/// The digest of an entry whose alerts are being added.
pub(super) struct EntryDigest(Xxh3);

impl EntryDigest {
    /// Adds the next alert, as it is archived and delivered.
    pub(super) fn add(&mut self, alert: &AlertRecord) {
        self.0.update(&alert.sequence.to_le_bytes());
        self.0.update(&alert.bytes);
    }
}

impl DigestHistory {
    /// Continues after an entry whose digest is known.
    pub(super) fn new(entry: Seq, digest: u64) -> Self {
        Self { last: entry, recent: VecDeque::from([digest]) }
    }

    /// The digest of the last entry, to be sent with the next append.
    pub(super) fn latest(&self) -> StateDigest {
        let digest = *self.recent.back().expect("there always is a last one");
        StateDigest { entry: self.last, digest }
    }

    /// The digest of the next entry, for [`Self::push`].
    pub(super) fn begin(&self) -> EntryDigest {
        let mut hash = Xxh3::new();
        hash.update(&self.latest().digest.to_le_bytes());
        EntryDigest(hash)
    }

    /// Adds the next entry, with the answer to its batch.
    pub(super) fn push(&mut self, entry: EntryDigest, answer: Option<&BatchOutcome>) {
        let mut hash = entry.0;
        if let Some(answer) = answer {
            let bytes = postcard::to_stdvec(answer).expect("an answer is plain data");
            hash.update(&bytes);
        }
        self.last = self.last.next();
        self.recent.push_back(hash.digest());
        if self.recent.len() > ENTRIES_MAX {
            self.recent.pop_front();
        }
    }

    /// Compares another replica's digest with this replica's.
    pub(super) fn check(&self, other: &StateDigest) -> Result<(), Divergence> {
        let behind = self.last.0.checked_sub(other.entry.0).and_then(|n| usize::try_from(n).ok());
        let at = behind.and_then(|behind| self.recent.len().checked_sub(behind)?.checked_sub(1));
        match at.and_then(|at| self.recent.get(at)) {
            Some(ours) if *ours != other.digest => {
                Err(Divergence { entry: other.entry, ours: *ours, theirs: other.digest })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lodewatch_core::domain::update::UpdateOutcome;

    fn alert(text: &'static str) -> AlertRecord {
        AlertRecord::sample(Seq(1), 1, "gallium", Bytes::from_static(text.as_bytes()))
    }

    fn after(steps: &[(Option<BatchOutcome>, Vec<AlertRecord>)]) -> DigestHistory {
        let mut digests = DigestHistory::new(Seq(10), 0);
        for (answer, alerts) in steps {
            let mut digest = digests.begin();
            for alert in alerts {
                digest.add(alert);
            }
            digests.push(digest, answer.as_ref());
        }
        digests
    }

    #[test]
    fn a_different_answer_or_alert_changes_every_later_digest() {
        let quiet = (None, Vec::new());
        let alerted = |text| (None, vec![alert(text)]);
        let answered =
            |outcome| (Some(BatchOutcome::Accepted([outcome].into_iter().collect())), Vec::new());
        for (one, other) in [
            (alerted("one"), alerted("another")),
            (alerted("one"), quiet.clone()),
            (answered(UpdateOutcome::Applied), answered(UpdateOutcome::Unchanged)),
        ] {
            let ours = after(&[quiet.clone(), one, quiet.clone()]);
            let theirs = after(&[quiet.clone(), other, quiet.clone()]);
            let found = ours.check(&theirs.latest()).unwrap_err();
            assert_eq!(found.entry, Seq(13));
            assert_eq!(ours.check(&ours.latest()), Ok(()));
            assert_eq!(
                ours.check(&after(std::slice::from_ref(&quiet)).latest()),
                Ok(()),
                "equal before it"
            );
        }
    }

    #[test]
    fn a_digest_of_an_entry_that_is_too_old_or_not_yet_applied_is_not_compared() {
        let digests = after(&vec![(None, Vec::new()); ENTRIES_MAX + 5]);
        let last = digests.latest().entry;
        for entry in [Seq(10), Seq(14), last.next()] {
            assert_eq!(digests.check(&StateDigest { entry, digest: 7 }), Ok(()), "{entry}");
        }
        for entry in [Seq(16), last] {
            assert!(digests.check(&StateDigest { entry, digest: 7 }).is_err(), "{entry}");
        }
    }
}
