//! A cheap handle for reading the archive from many threads.

use super::conditions::SqlConditions;
use super::error::Error;
use super::pool::ConnectionPool;
use super::record::{AlertList, AlertPage, AlertQuery, AlertRecord};
use super::row::{self, COLUMNS, signed};
use lodewatch_core::domain::{Filter, Position, Seq};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// The limit of the alerts that one [`ArchiveReader::read`] examines, whether they pass the filter
/// or not.
pub const READ_ALERTS_MAX: u64 = 65_536;

/// An alert's sequence and its entry.
type AlertKey = (u64, Seq);

/// Reads the archive; clones share a few connections. Every call blocks its thread, on the disk and
/// on other readers: call it where blocking is allowed.
#[derive(Clone)]
pub struct ArchiveReader {
    pub(super) pool: Arc<ConnectionPool>,
    pub(super) oldest: Arc<AtomicU64>,
}

impl ArchiveReader {
    /// The entry up to which alerts may have been deleted: a read after it, or after a later one,
    /// misses nothing. 0 where nothing was deleted.
    pub fn oldest(&self) -> Seq {
        Seq(self.oldest.load(Ordering::Acquire))
    }

    /// Cancelled once a read finds the file damaged: the archive must then be discarded.
    pub fn damaged(&self) -> &CancellationToken {
        &self.pool.damaged
    }

    /// The alerts after a position, up to and including those of entry `until`, that pass the
    /// filter, in order.
    ///
    /// Stops early once it has found about `limit_bytes` of alerts or examined [`READ_ALERTS_MAX`]:
    /// at the end of an entry, or inside one only if that entry alone has more. Every page advances
    /// the position, but may be empty. `until` must not be past what was committed before the call.
    ///
    /// # Errors
    ///
    /// [`Error::Pruned`] where alerts after the position are no longer kept.
    pub fn read(
        &self,
        after: Position,
        until: Seq,
        filter: &Filter,
        limit_bytes: usize,
    ) -> Result<AlertPage, Error> {
        let read = |connection: &Connection| {
            let oldest = oldest(connection)?;
            if after.entry < oldest {
                return Ok(Err(Error::Pruned { after: after.entry, oldest }));
            }
            HistoryScan { connection, after, until, filter, limit_bytes }.run().map(Ok)
        };
        self.pool.read(read)?
    }

    pub fn get(&self, sequence: u64) -> Result<Option<AlertRecord>, Error> {
        self.pool.read(|connection| get(connection, sequence))
    }

    /// The first of many alerts that are wanted, in the order of `sequences`, until they have
    /// `limit_bytes`, but at least one; and how many of the sequences were examined. Alerts that
    /// are not in the archive are skipped.
    pub fn get_page(
        &self,
        sequences: &[u64],
        limit_bytes: usize,
        is_wanted: impl Fn(&AlertRecord) -> bool,
    ) -> Result<(Vec<AlertRecord>, usize), Error> {
        self.pool.read(|connection| {
            let (mut records, mut bytes) = (Vec::new(), 0_usize);
            for (examined, sequence) in sequences.iter().enumerate() {
                let Some(record) = get(connection, *sequence)?.filter(&is_wanted) else { continue };
                bytes = bytes.saturating_add(record.bytes.len());
                if bytes > limit_bytes && !records.is_empty() {
                    return Ok((records, examined));
                }
                records.push(record);
            }
            Ok((records, sequences.len()))
        })
    }

    /// A page of the alerts of a query, in its direction. Deleted alerts are skipped.
    ///
    /// A page ends early once [`AlertQuery::examined_max`] alerts were examined. Alerts that an
    /// index skips, by a single mineral, rule or episode, are not examined.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] soon after `is_cancelled` returns true.
    pub fn list(
        &self,
        query: &AlertQuery,
        is_cancelled: impl FnMut() -> bool + Send + 'static,
    ) -> Result<AlertList, Error> {
        self.pool.read_until(is_cancelled, |connection| ListScan::new(connection, query).run())
    }

    /// Reads the whole archive and verifies it: the checksum of every alert, their order without
    /// gaps, the pages, and that the indexes agree with the table. Takes about a second for a
    /// million alerts; its memory does not grow with their number.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] for the first fault.
    pub fn verify(&self) -> Result<(), Error> {
        let oldest = self.oldest();
        self.pool.read(|connection| {
            verify_alerts(connection, oldest)?;
            let pages: String =
                connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if pages == "ok" { Ok(()) } else { Err(corrupt()) }
        })
    }
}

/// One [`ArchiveReader::list`].
struct ListScan<'a> {
    connection: &'a Connection,
    query: &'a AlertQuery,
    list: AlertList,
    /// The last alert that was examined, and is on the page where it is wanted.
    last: Option<u64>,
    /// Bytes of the alerts on the page.
    bytes: usize,
}

impl<'a> ListScan<'a> {
    fn new(connection: &'a Connection, query: &'a AlertQuery) -> Self {
        let list = AlertList { records: Vec::new(), next_after: None, examined: 0 };
        Self { connection, query, list, last: None, bytes: 0 }
    }

    fn run(mut self) -> rusqlite::Result<AlertList> {
        match &self.query.among {
            Some(among) => self.examine_among(among)?,
            None => self.examine_all()?,
        }
        Ok(self.list)
    }

    fn examine_all(&mut self) -> rusqlite::Result<()> {
        let query = self.query;
        let mut conditions = SqlConditions::of(&query.filter);
        conditions.and("+entry <=", query.until_entry.0);
        if let Some(episode) = query.episode {
            conditions.and("episode =", episode);
        }
        let (comparison, order) = if query.newest_first {
            ("sequence <", "sequence DESC")
        } else {
            ("sequence >", "sequence")
        };
        if let Some(after) = query.after_sequence {
            conditions.and(comparison, after);
        }
        let connection = self.connection;
        let mut select = connection.prepare_cached(&conditions.examine(order))?;
        let mut rows = select.query(params_from_iter(conditions.examine_values()))?;
        while let Some(row) = rows.next()? {
            // A comparison with NULL, as of the level of a notice, is not true.
            let passes = row.get::<_, Option<bool>>(1)?.unwrap_or(false);
            if !self.examine(row.get::<_, i64>(0)?.cast_unsigned(), passes)? {
                break;
            }
        }
        Ok(())
    }

    fn examine_among(&mut self, among: &[u64]) -> rusqlite::Result<()> {
        let after = self.query.after_sequence;
        let is_before = |sequence: &u64| match after {
            Some(after) if self.query.newest_first => *sequence < after,
            Some(after) => *sequence <= after,
            None => self.query.newest_first,
        };
        let (before, rest) = among.split_at(among.partition_point(is_before));
        if self.query.newest_first {
            self.examine_each(before.iter().rev())
        } else {
            self.examine_each(rest.iter())
        }
    }

    fn examine_each<'s>(
        &mut self,
        sequences: impl Iterator<Item = &'s u64>,
    ) -> rusqlite::Result<()> {
        for sequence in sequences {
            if !self.examine(*sequence, true)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the page goes on after an alert; `passes` says whether it may be wanted.
    fn examine(&mut self, sequence: u64, passes: bool) -> rusqlite::Result<bool> {
        let query = self.query;
        if self.list.examined >= query.examined_max {
            self.list.next_after = self.last;
            return Ok(false);
        }
        self.list.examined = self.list.examined.saturating_add(1);
        let wants = |record: &AlertRecord| {
            query.filter.wants(&record.facets)
                && record.entry <= query.until_entry
                && query.episode.is_none_or(|episode| record.episode == episode)
        };
        let found = if passes { get(self.connection, sequence)?.filter(wants) } else { None };
        if let Some(record) = found {
            let bytes = self.bytes.saturating_add(record.bytes.len());
            let is_full = self.list.records.len() >= query.limit || bytes > query.limit_bytes;
            if is_full && !self.list.records.is_empty() {
                self.list.next_after = self.last;
                return Ok(false);
            }
            self.bytes = bytes;
            self.list.records.push(record);
        }
        self.last = Some(sequence);
        Ok(true)
    }
}

/// One [`ArchiveReader::read`].
struct HistoryScan<'a> {
    connection: &'a Connection,
    after: Position,
    until: Seq,
    filter: &'a Filter,
    limit_bytes: usize,
}

impl HistoryScan<'_> {
    fn run(&self) -> rusqlite::Result<AlertPage> {
        let end = Position { entry: self.until, alerts: 0 }.max(self.after);
        let Some(start) = self.start()? else {
            return Ok(AlertPage { records: Vec::new(), reached: end });
        };
        let stop = start.saturating_add(READ_ALERTS_MAX);
        let (mut records, full_at) = self.collect(start, stop)?;
        let next = match full_at {
            Some(next) => Some(next),
            None => self.first_from(stop)?,
        };
        let Some((sequence, entry)) = next else { return Ok(AlertPage { records, reached: end }) };
        let reached = self.stop_before(sequence, entry)?;
        if reached.alerts == 0 {
            records.retain(|record| record.entry < entry);
        }
        Ok(AlertPage { records, reached })
    }

    /// The sequence to start with.
    fn start(&self) -> rusqlite::Result<Option<u64>> {
        let Some((first, entry)) = self.first_after(self.after.entry)? else { return Ok(None) };
        if entry > self.after.entry.next() {
            return Ok(Some(first));
        }
        // The position may count more alerts than the entry has; it never skips alerts of later
        // entries.
        let split = first.saturating_add(u64::from(self.after.alerts));
        let later = self.first_after(entry)?.map_or(split, |(later, _)| later);
        Ok(Some(split.min(later)))
    }

    /// The alerts of a range of sequences that pass the filter, and the first one that exceeds the
    /// limit.
    fn collect(
        &self,
        start: u64,
        stop: u64,
    ) -> rusqlite::Result<(Vec<AlertRecord>, Option<AlertKey>)> {
        let mut conditions = SqlConditions::of(self.filter);
        conditions.and("sequence >=", start);
        conditions.and("sequence <", stop);
        conditions.and("+entry <=", self.until.0);
        let mut select = self.connection.prepare_cached(&conditions.select(COLUMNS, "sequence"))?;
        let mut rows = select.query(params_from_iter(conditions.values()))?;
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = rows.next()? {
            let record = row::parse(row)?;
            if !self.filter.wants(&record.facets) {
                continue;
            }
            bytes = bytes.saturating_add(record.bytes.len());
            if bytes > self.limit_bytes && !records.is_empty() {
                return Ok((records, Some((record.sequence, record.entry))));
            }
            records.push(record);
        }
        Ok((records, None))
    }

    /// The position just before an alert: the end of the entry before, or inside the entry if
    /// otherwise the position would not advance.
    fn stop_before(&self, sequence: u64, entry: Seq) -> rusqlite::Result<Position> {
        let whole = Position { entry: Seq(entry.0.saturating_sub(1)), alerts: 0 };
        let first = self.first_after(whole.entry)?.map_or(sequence, |(first, _)| first);
        if first == sequence || whole > self.after {
            return Ok(whole);
        }
        let alerts = u32::try_from(sequence.saturating_sub(first));
        Ok(Position { alerts: alerts.expect("an entry has far fewer than 2^32 alerts"), ..whole })
    }

    fn first_after(&self, entry: Seq) -> rusqlite::Result<Option<AlertKey>> {
        self.first("entry > ?1 AND entry <= ?2 ORDER BY entry, sequence", entry.0)
    }

    fn first_from(&self, sequence: u64) -> rusqlite::Result<Option<AlertKey>> {
        self.first("sequence >= ?1 AND +entry <= ?2 ORDER BY sequence", sequence)
    }

    /// The first alert up to entry `until` that meets a condition.
    fn first(&self, condition: &str, number: u64) -> rusqlite::Result<Option<AlertKey>> {
        let select = format!("SELECT sequence, entry FROM alerts WHERE {condition} LIMIT 1");
        let parse = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), Seq(row.get::<_, i64>(1)?.cast_unsigned())))
        };
        let bounds = params![signed(number), signed(self.until.0)];
        self.connection.prepare_cached(&select)?.query_row(bounds, parse).optional()
    }
}

fn get(connection: &Connection, sequence: u64) -> rusqlite::Result<Option<AlertRecord>> {
    let select = format!("SELECT {COLUMNS} FROM alerts WHERE sequence = ?1");
    connection.prepare_cached(&select)?.query_row([signed(sequence)], row::parse).optional()
}

fn oldest(connection: &Connection) -> rusqlite::Result<Seq> {
    let mut select = connection.prepare_cached("SELECT oldest FROM meta")?;
    select.query_row([], |row| row.get::<_, i64>(0)).map(|oldest| Seq(oldest.cast_unsigned()))
}

fn verify_alerts(connection: &Connection, oldest: Seq) -> rusqlite::Result<()> {
    let mut select =
        connection.prepare(&format!("SELECT {COLUMNS} FROM alerts ORDER BY sequence"))?;
    let mut rows = select.query([])?;
    let mut last: Option<u64> = None;
    while let Some(row) = rows.next()? {
        let record = row::parse(row)?;
        // Retention has deleted some alerts of entries up to `oldest`.
        let follows = last.is_none_or(|last| record.sequence == last.saturating_add(1));
        if record.entry > oldest && !follows {
            return Err(corrupt());
        }
        last = (record.entry > oldest || oldest == Seq::ZERO).then_some(record.sequence);
    }
    Ok(())
}

/// The error of SQLite for damage.
fn corrupt() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some("the content is not what was written".to_owned()),
    )
}
