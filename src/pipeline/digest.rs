//! What came of the journal, as one number: two replicas that differ in anything they told have different ones.

use crate::archive::Record;
use crate::domain::Seq;
use crate::domain::update::BatchOutcome;
use crate::journal::Testimony;
use std::collections::VecDeque;
use xxhash_rust::xxh3::Xxh3;

/// For so many entries the digest is remembered. A testimony about an earlier one is passed over; every appender speaks of what
/// it applied last, which is far less behind.
const ENTRIES_MAX: usize = 65_536;

/// Another replica made something else of the same entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "up to entry {entry}, another replica made something else of the journal ({theirs:016x}, here {ours:016x}): one of the \
     two is wrong, and none of them serves"
)]
pub struct Divergence {
    /// At this entry or before it.
    pub entry: Seq,
    /// Our digest.
    pub ours: u64,
    /// That of the other.
    pub theirs: u64,
}

/// The running digest, and those of the latest entries.
pub(super) struct Digests {
    last: Seq,
    /// Of the entries up to `last`; the last one stands for everything before it too.
    recent: VecDeque<u64>,
}

impl Digests {
    /// After an entry whose digest is known.
    pub(super) fn new(entry: Seq, digest: u64) -> Self {
        Self { last: entry, recent: VecDeque::from([digest]) }
    }

    /// What is to be told of the last entry.
    pub(super) fn testimony(&self) -> Testimony {
        let digest = *self.recent.back().expect("there always is a last one");
        Testimony { entry: self.last, digest }
    }

    /// Takes what came of the next entry: the answer to its batch, and its alerts as they are archived and sent.
    pub(super) fn push(&mut self, answer: Option<&BatchOutcome>, alerts: &[Record]) {
        let mut hash = Xxh3::new();
        hash.update(&self.testimony().digest.to_le_bytes());
        if let Some(answer) = answer {
            let bytes = postcard::to_stdvec(answer).expect("an answer is plain data");
            hash.update(&bytes);
        }
        for alert in alerts {
            hash.update(&alert.sequence.to_le_bytes());
            hash.update(&alert.bytes);
        }
        self.last = self.last.next();
        self.recent.push_back(hash.digest());
        if self.recent.len() > ENTRIES_MAX {
            self.recent.pop_front();
        }
    }

    /// Compares what another replica said.
    pub(super) fn check(&self, other: &Testimony) -> Result<(), Divergence> {
        let behind = self.last.0.checked_sub(other.entry.0).and_then(|n| usize::try_from(n).ok());
        let place = behind.and_then(|behind| self.recent.len().checked_sub(behind)?.checked_sub(1));
        match place.and_then(|place| self.recent.get(place)) {
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
    use crate::domain::update::UpdateOutcome;
    use bytes::Bytes;

    fn alert(text: &'static str) -> Record {
        Record::sample(Seq(1), 1, "gallium", Bytes::from_static(text.as_bytes()))
    }

    fn after(steps: &[(Option<BatchOutcome>, Vec<Record>)]) -> Digests {
        let mut digests = Digests::new(Seq(10), 0);
        for (answer, alerts) in steps {
            digests.push(answer.as_ref(), alerts);
        }
        digests
    }

    #[test]
    fn who_was_told_something_else_has_another_digest_from_there_on() {
        let quiet = (None, Vec::new());
        let said = |text| (None, vec![alert(text)]);
        let answered = |outcome| (Some(BatchOutcome::Accepted(vec![outcome])), Vec::new());
        for (one, other) in [
            (said("one"), said("another")),
            (said("one"), quiet.clone()),
            (answered(UpdateOutcome::Applied), answered(UpdateOutcome::Unchanged)),
        ] {
            let ours = after(&[quiet.clone(), one, quiet.clone()]);
            let theirs = after(&[quiet.clone(), other, quiet.clone()]);
            let found = ours.check(&theirs.testimony()).unwrap_err();
            assert_eq!(found.entry, Seq(13));
            assert_eq!(ours.check(&ours.testimony()), Ok(()));
            assert_eq!(
                ours.check(&after(std::slice::from_ref(&quiet)).testimony()),
                Ok(()),
                "until there"
            );
        }
    }

    #[test]
    fn what_is_not_known_any_more_or_not_yet_is_passed_over() {
        let digests = after(&vec![(None, Vec::new()); ENTRIES_MAX + 5]);
        let last = digests.testimony().entry;
        for entry in [Seq(10), Seq(14), last.next()] {
            assert_eq!(digests.check(&Testimony { entry, digest: 7 }), Ok(()), "{entry}");
        }
        for entry in [Seq(16), last] {
            assert!(digests.check(&Testimony { entry, digest: 7 }).is_err(), "{entry}");
        }
    }
}
