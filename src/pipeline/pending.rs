//! The alerts of applied entries until they are committed, bounded in memory.

use crate::archive::{self, AlertRecord, Archive};
use crate::fanout::EntryAlerts;
use crate::traces::EntryTrace;
use lodewatch_core::domain::Seq;
use std::sync::Arc;
use tokio::time::Instant;

/// The limit of the alerts in memory: 8 MiB. Beyond it they are staged in the archive.
pub(super) const PENDING_BYTES_MAX: usize = 8 << 20;

/// Entries are applied together until their alerts have this many bytes.
const RUN_BYTES: usize = PENDING_BYTES_MAX / 2;

/// About how many bytes a record uses beside the alert's bytes.
const RECORD_BYTES: usize = 512;

/// Alerts that wait for one commit.
#[derive(Debug, Default)]
pub(super) struct PendingAlerts {
    /// Those that are complete in memory.
    entries: Vec<EntryAlerts>,
    /// The alerts of the last entry; where some were staged, the rest.
    last: Vec<AlertRecord>,
    /// Memory in use.
    bytes: usize,
    /// Whether alerts were staged, so that not all are in memory.
    pub(super) is_staged: bool,
    /// Why alerts could not be staged. They are lost then, and must be derived again.
    failed: Option<archive::Error>,
    /// The most memory that was in use.
    pub(super) peak_bytes: usize,
}

impl PendingAlerts {
    /// Adds the next alert of the last entry.
    pub(super) fn push(&mut self, record: AlertRecord, archive: &mut Archive) {
        if self.failed.is_some() {
            return;
        }
        self.bytes = self.bytes.saturating_add(record.bytes.len()).saturating_add(RECORD_BYTES);
        self.peak_bytes = self.peak_bytes.max(self.bytes);
        self.last.push(record);
        if self.bytes >= PENDING_BYTES_MAX {
            self.stage(archive);
        }
    }

    /// Ends the last entry; `trace` is its trace.
    pub(super) fn end_entry(
        &mut self,
        entry: Seq,
        since: Instant,
        trace: impl FnOnce() -> Option<Arc<EntryTrace>>,
    ) {
        if !self.is_staged && !self.last.is_empty() {
            let records = std::mem::take(&mut self.last);
            self.entries.push(EntryAlerts { entry, since, records, trace: trace() });
        }
    }

    /// Whether the entries so far must be committed before the next is applied.
    pub(super) fn is_full(&self) -> bool {
        self.is_staged || self.bytes >= RUN_BYTES
    }

    /// The entries whose alerts are all in memory; none where any were staged.
    pub(super) fn entries(&self) -> &[EntryAlerts] {
        &self.entries
    }

    pub(super) fn into_entries(self) -> Vec<EntryAlerts> {
        self.entries
    }

    /// Commits all alerts, of entries up to `applied`.
    ///
    /// # Errors
    ///
    /// If alerts were staged, they are lost then, and this fails from then on.
    pub(super) fn commit(
        &mut self,
        applied: Seq,
        archive: &mut Archive,
    ) -> Result<(), archive::Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let records = self.entries.iter().flat_map(|entry| &entry.records).chain(&self.last);
        let result = archive.commit(applied, records);
        if let (Err(error), true) = (&result, self.is_staged) {
            self.lose(error.clone());
        }
        result
    }

    /// Whether alerts are lost, so that they must be derived again.
    pub(super) fn is_lost(&self) -> bool {
        self.failed.is_some()
    }

    fn stage(&mut self, archive: &mut Archive) {
        self.is_staged = true;
        let records = self.entries.iter().flat_map(|entry| &entry.records).chain(&self.last);
        match archive.stage(records) {
            Ok(()) => self.clear(),
            Err(error) => self.lose(error),
        }
    }

    fn lose(&mut self, error: archive::Error) {
        self.failed = Some(error);
        self.clear();
    }

    fn clear(&mut self) {
        (self.entries, self.last, self.bytes) = (Vec::new(), Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lodewatch_core::domain::{Epoch, Filter, Position};

    const ALERT_BYTES: usize = 64 * 1024;

    fn push(pending: &mut PendingAlerts, archive: &mut Archive, entry: u64, sequences: &[u64]) {
        for sequence in sequences {
            let bytes = Bytes::from(vec![7; ALERT_BYTES]);
            pending.push(AlertRecord::sample(Seq(entry), *sequence, "gallium", bytes), archive);
        }
        pending.end_entry(Seq(entry), Instant::now(), || None);
    }

    #[test]
    fn alerts_beyond_the_limit_of_memory_are_staged_and_appear_with_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(dir.path(), Epoch(7), Seq(9)).unwrap();
        let mut pending = PendingAlerts::default();
        push(&mut pending, &mut archive, 1, &[1, 2]);
        assert!(!pending.is_full(), "few alerts wait for those of the next entry");
        let many: Vec<u64> = (3..=1000).collect();
        push(&mut pending, &mut archive, 2, &many);
        assert!(pending.is_full() && pending.is_staged && pending.entries().is_empty());
        let largest = ALERT_BYTES + RECORD_BYTES;
        assert!(pending.peak_bytes <= PENDING_BYTES_MAX + largest, "{}", pending.peak_bytes);
        let reader = archive.reader();
        assert_eq!(reader.get(1).unwrap(), None, "all or nothing");
        pending.commit(Seq(2), &mut archive).unwrap();
        let (mut read, mut after) = (Vec::new(), Position::default());
        while after.entry < Seq(2) {
            let page = reader.read(after, Seq(2), &Filter::default(), ALERT_BYTES).unwrap();
            assert!(page.records.len() <= 2, "a page is cut by its bytes, also within an entry");
            read.extend(page.records.iter().map(|record| record.sequence));
            after = page.reached;
        }
        assert_eq!(read, (1..=1000).collect::<Vec<_>>());
    }

    #[test]
    fn staged_alerts_that_are_dropped_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(dir.path(), Epoch(7), Seq(9)).unwrap();
        let mut pending = PendingAlerts::default();
        push(&mut pending, &mut archive, 1, &(1..=200).collect::<Vec<_>>());
        archive.unstage();
        let mut pending = PendingAlerts::default();
        push(&mut pending, &mut archive, 1, &[1]);
        pending.commit(Seq(1), &mut archive).unwrap();
        assert_eq!(archive.reader().get(2).unwrap(), None);
    }
}
