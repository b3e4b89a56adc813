//! Snapshots of the engine's state, in pieces: none is larger than a row may be, and neither
//! writing nor reading one needs a copy of all.

use super::error::{Error, is_damage};
use super::record::Snapshot;
use super::row::signed;
use super::writer::Archive;
use lodewatch_core::domain::Seq;
use rusqlite::{Transaction, params};
use xxhash_rust::xxh3::Xxh3;

/// How many snapshots are kept, so that an older one replaces a damaged one.
const SNAPSHOTS_KEPT: i64 = 2;

impl Archive {
    /// Stores the pieces of the state after an entry that is not past [`Archive::applied`], all or
    /// none; deletes all but the last two snapshots. Returns the bytes of the pieces.
    ///
    /// # Errors
    ///
    /// As [`Archive::commit`]; nothing was written.
    pub fn save_snapshot(
        &mut self,
        seq: Seq,
        digest: u64,
        pieces: impl Iterator<Item = Vec<u8>>,
    ) -> Result<usize, Error> {
        assert!(
            seq <= self.applied(),
            "a snapshot covers only entries whose alerts are in the archive"
        );
        let mut bytes = 0_usize;
        let counted = pieces.inspect(|piece| bytes = bytes.saturating_add(piece.len()));
        self.write(|transaction| {
            transaction.execute("DELETE FROM snapshot_pieces WHERE seq = ?1", [signed(seq.0)])?;
            let pieces = insert_pieces(transaction, seq, counted)?;
            let snapshot = Snapshot { seq, digest, pieces };
            transaction.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4)",
                params![signed(seq.0), digest.cast_signed(), pieces, checksum(&snapshot)],
            )?;
            transaction.execute(
                "DELETE FROM snapshots WHERE seq NOT IN
                 (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?1)",
                [SNAPSHOTS_KEPT],
            )?;
            let orphans =
                "DELETE FROM snapshot_pieces WHERE seq NOT IN (SELECT seq FROM snapshots)";
            transaction.execute(orphans, [])
        })?;
        self.count_written(bytes)?;
        Ok(bytes)
    }

    /// The snapshots that are not past [`Archive::applied`], newest first; logs a warning for each
    /// damaged one that it skips.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        match self.select_snapshots() {
            Ok(rows) => {
                let intact = rows.into_iter().filter(|(snapshot, sum)| {
                    let is_intact = *sum == checksum(snapshot);
                    if !is_intact {
                        tracing::warn!(entry = snapshot.seq.0, "skipping a damaged snapshot");
                    }
                    is_intact
                });
                Ok(intact.map(|(snapshot, _)| snapshot).collect())
            }
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, "skipping all snapshots: they are damaged");
                Ok(Vec::new())
            }
            Err(error) => Err(Error::sqlite("read", self.path(), error)),
        }
    }

    /// The pieces of a snapshot, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for a piece that is missing or damaged.
    pub fn snapshot_pieces(
        &self,
        snapshot: &Snapshot,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> {
        let seq = snapshot.seq;
        (0..snapshot.pieces).map(move |piece| {
            self.piece(seq, piece).map_err(|error| Error::sqlite("read", self.path(), error))
        })
    }

    fn select_snapshots(&self) -> rusqlite::Result<Vec<(Snapshot, i64)>> {
        let mut select = self.connection.prepare(
            "SELECT seq, digest, pieces, checksum FROM snapshots WHERE seq <= ?1 ORDER BY seq DESC",
        )?;
        let rows = select.query_map([signed(self.applied().0)], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let (seq, digest, pieces) = (Seq(number(0)?), number(1)?, row.get(2)?);
            Ok((Snapshot { seq, digest, pieces }, row.get(3)?))
        })?;
        rows.collect()
    }

    fn piece(&self, seq: Seq, piece: u32) -> rusqlite::Result<Vec<u8>> {
        let mut select = self.connection.prepare_cached(
            "SELECT checksum, bytes FROM snapshot_pieces WHERE seq = ?1 AND piece = ?2",
        )?;
        let (sum, bytes): (i64, Vec<u8>) = select
            .query_row(params![signed(seq.0), piece], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if sum == piece_checksum(seq, piece, &bytes) {
            Ok(bytes)
        } else {
            Err(rusqlite::Error::IntegralValueOutOfRange(0, sum))
        }
    }
}

/// Returns their number.
fn insert_pieces(
    transaction: &Transaction<'_>,
    seq: Seq,
    pieces: impl Iterator<Item = Vec<u8>>,
) -> rusqlite::Result<u32> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO snapshot_pieces VALUES (?1, ?2, ?3, ?4)")?;
    let mut count = 0_u32;
    for bytes in pieces {
        insert.execute(params![signed(seq.0), count, piece_checksum(seq, count, &bytes), bytes])?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// The checksum of a snapshot's row: xxh3 of its values in little-endian.
fn checksum(snapshot: &Snapshot) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(&snapshot.seq.0.to_le_bytes());
    hash.update(&snapshot.digest.to_le_bytes());
    hash.update(&snapshot.pieces.to_le_bytes());
    hash.digest().cast_signed()
}

/// The checksum of a piece: xxh3 of its position and its bytes.
fn piece_checksum(seq: Seq, piece: u32, bytes: &[u8]) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(&seq.0.to_le_bytes());
    hash.update(&piece.to_le_bytes());
    hash.update(bytes);
    hash.digest().cast_signed()
}
