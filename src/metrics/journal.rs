//! Appending to the journal, whichever store it is in.

use super::Histogram;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// What appending takes. Clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    append: Histogram,
    commit: Histogram,
    group: Histogram,
    entries: Counter,
}

impl Default for Journal {
    fn default() -> Self {
        let (append, commit) = (Histogram::of_durations(), Histogram::of_durations());
        Self { append, commit, group: Histogram::of_numbers(), entries: Counter::default() }
    }
}

impl Journal {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "How long an entry took from being handed to the journal until it was durable";
        ours.register("journal_append_seconds", help, self.append.clone());
        let help = "How long a group of entries took to be made durable: the write and its fsync, or until NATS acknowledged it";
        ours.register("journal_commit_seconds", help, self.commit.clone());
        let help = "Entries that were made durable together, with one fsync";
        ours.register("journal_group_entries", help, self.group.clone());
        let help = "Entries that this process appended";
        ours.register("journal_entries_appended", help, self.entries.clone());
    }

    /// An entry is durable, after so long.
    pub fn appended(&self, after: Duration) {
        self.append.took(after);
    }

    /// A group of so many entries was made durable, in so long.
    pub fn committed(&self, entries: usize, took: Duration) {
        self.commit.took(took);
        self.group.count(entries);
        self.entries.inc_by(u64::try_from(entries).unwrap_or(u64::MAX));
    }
}
