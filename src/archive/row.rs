//! A record as a row of the table, both ways.

use super::Record;
use crate::domain::alert::Kind;
use crate::domain::policy::{Destination, Level};
use crate::domain::{Country, Facets, MarketKey, Mineral, Seq, Slug, Stage, Timestamp};
use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

/// The columns in the order in which [`parse`] reads them.
pub(super) const COLUMNS: &str = "sequence, entry, episode, at, journal_time, kind, level, rule, mineral, stage, destination, countries, exercise, bytes";

const INSERT: &str = "
    INSERT INTO alerts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
    ON CONFLICT DO NOTHING";

/// Writes a record; whether it was not there yet.
pub(super) fn insert(connection: &Connection, record: &Record) -> rusqlite::Result<bool> {
    let facets = &record.facets;
    let countries: Vec<String> = facets.countries.iter().map(Country::to_string).collect();
    let inserted = connection.prepare_cached(INSERT)?.execute(params![
        signed(record.sequence),
        signed(record.entry.0),
        signed(record.episode),
        record.at.millis(),
        record.journal_time.millis(),
        facets.kind.name(),
        facets.level.map(level_number),
        facets.rule.as_str(),
        facets.market.mineral.slug(),
        facets.market.stage.name(),
        facets.destination.as_ref().map(Destination::to_string),
        countries.join(" "),
        facets.exercise,
        &*record.bytes,
    ])?;
    Ok(inserted > 0)
}

/// The record of a row of [`COLUMNS`].
pub(super) fn parse(row: &Row<'_>) -> rusqlite::Result<Record> {
    let unsigned = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(Record {
        sequence: unsigned(0)?,
        entry: Seq(unsigned(1)?),
        episode: unsigned(2)?,
        at: Timestamp::from_millis(row.get(3)?),
        journal_time: Timestamp::from_millis(row.get(4)?),
        facets: Facets {
            kind: text(row, 5, Kind::parse)?,
            level: level(row, 6)?,
            rule: text(row, 7, Slug::parse)?,
            market: MarketKey {
                mineral: text(row, 8, Mineral::parse)?,
                stage: text(row, 9, Stage::parse)?,
            },
            destination: match row.get_ref(10)?.as_str_or_null()? {
                None => None,
                Some(_) => Some(text(row, 10, Destination::parse)?),
            },
            countries: text(row, 11, |codes| {
                codes.split_whitespace().map(Country::from_alpha3).collect()
            })?,
            exercise: row.get(12)?,
        },
        bytes: Bytes::copy_from_slice(row.get_ref(13)?.as_blob()?),
    })
}

/// A level as the table has it, so that graver ones compare greater. 1 is the least.
pub(super) fn level_number(level: Level) -> i64 {
    match level {
        Level::Watch => 1,
        Level::Warning => 2,
        Level::Critical => 3,
    }
}

/// SQLite's integers have a sign. Positions never reach 2^63; what a client sends may.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn level(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Level>> {
    let Some(number) = row.get::<_, Option<i64>>(at)? else { return Ok(None) };
    let level = Level::ALL.iter().copied().find(|level| level_number(*level) == number);
    level.map(Some).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, number))
}

fn text<T>(row: &Row<'_>, at: usize, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    parse(text).ok_or_else(|| {
        let what = format!("{text:?} is none of ours");
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
    })
}
