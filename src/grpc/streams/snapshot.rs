//! The snapshot of a subscription: the active alerts, read from the archive piece by piece, each
//! when the subscriber takes it.
//!
//! Architecture invariant: a subscriber that does not read makes the server hold one message. The
//! list of active alerts is shared by all snapshots that were begun at the same state.

use crate::archive::{self, AlertRecord, ArchiveReader};
use crate::grpc::backend::{Api, read_archive};
use crate::grpc::codec::pages::STREAM_BYTES;
use lodewatch_core::domain::Filter;
use std::sync::Arc;
use tonic::Status;

/// Alerts that one read examines, whether they pass the filter or not.
const READ_ALERTS_MAX: usize = 4096;

/// What of a snapshot is not sent yet.
pub(super) struct SnapshotReader {
    /// Sequences of the active alerts, in order.
    open: Arc<[u64]>,
    /// How many of them were read.
    read: usize,
    filter: Arc<Filter>,
}

impl SnapshotReader {
    pub(super) fn new(open: Arc<[u64]>, filter: Arc<Filter>) -> Self {
        Self { open, read: 0, filter }
    }

    /// The next alerts that pass the filter, as many as one message has; `None` at the end.
    pub(super) async fn next(&mut self, api: &Api) -> Result<Option<Vec<AlertRecord>>, Status> {
        while self.read < self.open.len() {
            let (records, examined) = read_archive(&api.view, self.read_part()).await?;
            self.read = self.read.saturating_add(examined);
            if !records.is_empty() {
                return Ok(Some(records));
            }
        }
        Ok(None)
    }

    /// Reads a part of the rest: its alerts that pass the filter, and how many alerts it examined.
    fn read_part(
        &self,
    ) -> impl FnOnce(&ArchiveReader) -> Result<(Vec<AlertRecord>, usize), archive::Error> + use<>
    {
        let (open, filter, from) = (Arc::clone(&self.open), Arc::clone(&self.filter), self.read);
        move |archive| {
            let rest = open.get(from..).unwrap_or_default();
            let part = rest.get(..READ_ALERTS_MAX).unwrap_or(rest);
            archive.get_page(part, STREAM_BYTES, |record| filter.wants(&record.facets))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Archive;
    use lodewatch_core::domain::{Epoch, Seq};

    const ALERTS: u64 = 2000;
    const ALERT_BYTES: usize = 5000;
    const READERS: usize = 300;

    #[test]
    fn readers_that_do_not_read_on_hold_one_message_each_and_share_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = bytes::Bytes::from(vec![7; ALERT_BYTES]);
        let alert = |sequence| AlertRecord::sample(Seq(1), sequence, "gallium", bytes.clone());
        let records: Vec<AlertRecord> = (1..=ALERTS).map(alert).collect();
        let mut archive = Archive::open(dir.path(), Epoch(1), Seq(1)).unwrap();
        archive.commit(Seq(1), &records).unwrap();
        let open: Arc<[u64]> = (1..=ALERTS).collect();
        let new = || SnapshotReader::new(Arc::clone(&open), Arc::default());
        let mut readers: Vec<SnapshotReader> = (0..READERS).map(|_| new()).collect();
        let mut held = 0;
        for reader in &mut readers {
            let (first, examined) = reader.read_part()(&archive.reader()).unwrap();
            reader.read += examined;
            let bytes = first.iter().map(|record| record.bytes.len()).sum::<usize>();
            assert!((1..=STREAM_BYTES).contains(&bytes), "{bytes}");
            held += bytes;
        }
        assert!(readers.iter().all(|reader| Arc::ptr_eq(&reader.open, &open)));
        assert!(held <= READERS * STREAM_BYTES, "{held} bytes");
        // The rest is still there for each.
        let mut reader = readers.remove(0);
        let mut seen = reader.read;
        while reader.read < reader.open.len() {
            let (records, examined) = reader.read_part()(&archive.reader()).unwrap();
            reader.read += examined;
            seen += records.len();
        }
        assert_eq!(u64::try_from(seen).unwrap(), ALERTS);
    }
}
