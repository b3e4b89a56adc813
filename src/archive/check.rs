//! A look at everything in the archive: what is there is what was written, and nothing is missing.

use super::error::Error;
use super::reader::ArchiveReader;
use super::row::{self, COLUMNS};
use crate::domain::Seq;
use rusqlite::Connection;

impl ArchiveReader {
    /// Reads the whole archive and proves it: every alert by its checksum, their order without gaps, the pages, and that
    /// the indexes say what the table says. Takes about a second for a million alerts, and no more memory for many.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for the first fault.
    pub fn check(&self) -> Result<(), Error> {
        let oldest = self.oldest();
        self.pool.read(|connection| {
            check_alerts(connection, oldest)?;
            let pages: String =
                connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if pages == "ok" { Ok(()) } else { Err(fault()) }
        })
    }
}

fn check_alerts(connection: &Connection, oldest: Seq) -> rusqlite::Result<()> {
    let mut select =
        connection.prepare(&format!("SELECT {COLUMNS} FROM alerts ORDER BY sequence"))?;
    let mut rows = select.query([])?;
    let mut last: Option<u64> = None;
    while let Some(row) = rows.next()? {
        let record = row::parse(row)?;
        // Of what retention has gone through, only some are kept.
        let follows = last.is_none_or(|last| record.sequence == last.saturating_add(1));
        if record.entry > oldest && !follows {
            return Err(fault());
        }
        last = (record.entry > oldest || oldest == Seq::ZERO).then_some(record.sequence);
    }
    Ok(())
}

/// What the store itself says of damage.
fn fault() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some("what is there is not what was written".to_owned()),
    )
}
