//! Converts a record to a row of the table and back.

use super::AlertRecord;
use bytes::Bytes;
use lodewatch_core::domain::alert::Kind;
use lodewatch_core::domain::policy::{Destination, Level};
use lodewatch_core::domain::{Country, Facets, MarketKey, Mineral, Seq, Slug, Stage, Timestamp};
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use xxhash_rust::xxh3::Xxh3;

/// The columns in the order in which [`parse`] reads them.
pub(super) const COLUMNS: &str = "sequence, entry, episode, at, journal_time, kind, level, rule, \
     mineral, stage, destination, countries, exercise, bytes, checksum";

/// The number of columns before the checksum.
const CONTENT: usize = 14;

const INSERT: &str = "
    INSERT INTO alerts (sequence, entry, episode, at, journal_time, kind, level, rule, mineral,
        stage, destination, countries, exercise, bytes, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT DO NOTHING";

/// Inserts a record; returns whether it is new.
pub(super) fn insert(connection: &Connection, record: &AlertRecord) -> rusqlite::Result<bool> {
    let facets = &record.facets;
    let countries: Vec<String> = facets.countries.iter().map(Country::to_string).collect();
    let (countries, destination) = (countries.join(" "), facets.destination.as_ref());
    let destination = destination.map(Destination::to_string);
    let number = |number| ValueRef::Integer(signed(number));
    let text = |text| ValueRef::from(text);
    let content: [ValueRef<'_>; CONTENT] = [
        number(record.sequence),
        number(record.entry.0),
        number(record.episode),
        ValueRef::Integer(record.at.millis()),
        ValueRef::Integer(record.journal_time.millis()),
        text(facets.kind.name()),
        facets.level.map_or(ValueRef::Null, |level| ValueRef::Integer(level_number(level))),
        text(facets.rule.as_str()),
        text(facets.market.mineral.slug()),
        text(facets.market.stage.name()),
        destination.as_deref().map_or(ValueRef::Null, ValueRef::from),
        text(&countries),
        ValueRef::Integer(i64::from(facets.exercise)),
        ValueRef::Blob(&record.bytes),
    ];
    let checksum = ValueRef::Integer(checksum(content));
    let values = content.into_iter().chain([checksum]).map(ToSqlOutput::Borrowed);
    Ok(connection.prepare_cached(INSERT)?.execute(params_from_iter(values))? > 0)
}

/// The checksum of a row: xxh3 of its values in the order of [`COLUMNS`], each with its type and
/// its length.
fn checksum<'a>(content: impl IntoIterator<Item = ValueRef<'a>>) -> i64 {
    let mut hash = Xxh3::new();
    for value in content {
        let (kind, number): (u8, i64) = match value {
            ValueRef::Null => (0, 0),
            ValueRef::Integer(number) => (1, number),
            ValueRef::Real(number) => (2, number.to_bits().cast_signed()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                hash.update(bytes);
                (3, i64::try_from(bytes.len()).expect("a length fits in 63 bits"))
            }
        };
        hash.update(&[kind]);
        hash.update(&number.to_le_bytes());
    }
    hash.digest().cast_signed()
}

fn check(row: &Row<'_>) -> rusqlite::Result<()> {
    let content = (0..CONTENT).map(|at| row.get_ref(at)).collect::<Result<Vec<_>, _>>()?;
    let stored = row.get::<_, i64>(CONTENT)?;
    if stored == checksum(content) {
        return Ok(());
    }
    // rusqlite's error for a value out of range, which counts as damage.
    Err(rusqlite::Error::IntegralValueOutOfRange(CONTENT, stored))
}

/// The record of a row of [`COLUMNS`]; checks its checksum.
pub(super) fn parse(row: &Row<'_>) -> rusqlite::Result<AlertRecord> {
    check(row)?;
    let unsigned = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    Ok(AlertRecord {
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

/// A level as the table stores it: a higher level is a greater number, from 1.
pub(super) fn level_number(level: Level) -> i64 {
    match level {
        Level::Watch => 1,
        Level::Warning => 2,
        Level::Critical => 3,
    }
}

/// SQLite's integers are signed. Positions never reach 2^63; a number that a client sends may.
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
        let what = format!("unknown value {text:?}");
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
    })
}
