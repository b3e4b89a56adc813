//! The readers: each has a connection of its own and reads in chunks up to the head.

use super::super::codec;
use super::super::contract::{BoxFuture, TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail};
use super::super::error::{Damage, Error};
use super::tables;
use lodewatch_core::domain::{Entry, Seq, Timestamp};
use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

const SELECT: &str = "
    SELECT seq, at, payload, checksum FROM entries
    WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";

/// Waits for the head to rise, then reads up to it.
pub(super) struct SqliteTail {
    pub(super) head: watch::Receiver<Seq>,
    pub(super) chunks: ChunkReader,
}

impl Tail for SqliteTail {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            let after = self.chunks.after;
            let head = self.head.wait_for(|head| *head > after).await.map(|head| *head);
            self.chunks.read(head.map_err(|_| Error::Closed)?)
        })
    }
}

/// A position in the file, and a connection to read on from there.
pub(super) struct ChunkReader {
    pub(super) connection: Connection,
    pub(super) file: Arc<Path>,
    /// The last entry that was read.
    pub(super) after: Seq,
}

impl ChunkReader {
    /// The next entries up to `head`, which is after `self.after`, as many as fit in one chunk; at
    /// least one. Entries before a damaged one come first.
    pub(super) fn read(&mut self, head: Seq) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let read = self.read_into(&mut entries, head);
        let Some(last) = entries.last() else {
            read?;
            return Err(self.damaged(self.after.next(), Damage::Missing));
        };
        self.after = last.seq;
        Ok(entries)
    }

    fn read_into(&self, entries: &mut Vec<Entry>, head: Seq) -> Result<(), Error> {
        let mut expected = self.after.next();
        let mut bytes = 0_usize;
        let failed = |error| Error::sqlite("read", &self.file, self.after.next(), error);
        let mut select = self.connection.prepare_cached(SELECT).map_err(failed)?;
        let limit = i64::try_from(TAIL_ENTRIES_MAX).expect("some thousand");
        let bounds = params![self.after.0.cast_signed(), head.0.cast_signed(), limit];
        let mut rows = select.query(bounds).map_err(failed)?;
        while bytes < TAIL_BYTES_MAX {
            let Some(row) = rows.next().map_err(failed)? else { break };
            let (entry, size) = self.parse(row, expected)?;
            bytes = bytes.saturating_add(size);
            expected = entry.seq.next();
            entries.push(entry);
        }
        Ok(())
    }

    /// The entry of a row and its size; checks its position and its checksum.
    fn parse(&self, row: &Row<'_>, expected: Seq) -> Result<(Entry, usize), Error> {
        let failed = |error| Error::sqlite("read", &self.file, expected, error);
        let seq = Seq(row.get::<_, i64>(0).map_err(failed)?.cast_unsigned());
        if seq != expected {
            return Err(self.damaged(expected, Damage::Missing));
        }
        let at = Timestamp::from_millis(row.get(1).map_err(failed)?);
        let payload =
            row.get_ref(2).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
        if row.get::<_, i64>(3).map_err(failed)? != tables::checksum(seq, at, payload) {
            return Err(self.damaged(seq, Damage::Checksum));
        }
        match codec::decode(payload) {
            Ok(decoded) => Ok((Entry { seq, at, payload: decoded }, payload.len())),
            Err(error) => Err(self.damaged(seq, Damage::Undecodable(error.to_string()))),
        }
    }

    fn damaged(&self, seq: Seq, damage: Damage) -> Error {
        Error::damaged_file(&self.file, seq, damage)
    }
}
