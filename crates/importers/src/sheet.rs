//! A CSV file as text fields with their lines, in UTF-8 or Windows-1252.

use super::Error;
use csv::StringRecord;
use encoding_rs::{UTF_8, WINDOWS_1252};

/// Characters of a wrong header that an error shows.
const HEADER_CHARS_MAX: usize = 200;

const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// A CSV file with a header. Every line has as many fields as the header.
pub(super) struct Sheet {
    header: StringRecord,
    records: Vec<StringRecord>,
}

/// A column of a sheet's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    at: usize,
    name: &'a str,
}

impl Sheet {
    /// Parses UTF-8, with or without byte order mark, or else Windows-1252, in which every byte has
    /// a meaning.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_separated(bytes, b',')
    }

    /// The same with another delimiter than a comma.
    pub(super) fn parse_separated(bytes: &[u8], delimiter: u8) -> Result<Self, Error> {
        let text = decode(bytes)?;
        let mut builder = csv::ReaderBuilder::new();
        let mut reader = builder.delimiter(delimiter).from_reader(text.as_bytes());
        let header = reader.headers().cloned().map_err(|error| malformed(&error, None))?;
        let mut records = Vec::new();
        for record in reader.into_records() {
            records.push(record.map_err(|error| malformed(&error, Some(&header)))?);
        }
        let sheet = Self { header, records };
        sheet.check_quotes(&text)?;
        Ok(sheet)
    }

    /// The records of the file, in order.
    pub(super) fn records(&self) -> &[StringRecord] {
        &self.records
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The column of this name, ignoring white space (`PROD_EST_ 2024`).
    pub(super) fn column<'a>(&self, name: &'a str) -> Result<Column<'a>, Error> {
        let missing =
            || Error::MissingColumn { column: name.to_owned(), header: self.shown_header() };
        self.find(name).map(|at| Column { at, name }).ok_or_else(missing)
    }

    /// The first of these columns that exists, for columns that releases name differently.
    pub(super) fn column_of<'a>(&self, names: &[&'a str]) -> Result<Column<'a>, Error> {
        let first = names.first().expect("a column has a name");
        self.column(names.iter().find(|name| self.has(name)).unwrap_or(first))
    }

    /// The column of this name, if it exists.
    pub(super) fn optional<'a>(&self, name: &'a str) -> Option<Column<'a>> {
        self.column(name).ok()
    }

    /// The beginning of the header, for errors.
    pub(super) fn shown_header(&self) -> String {
        let names: Vec<&str> = self.header.iter().collect();
        names.join(", ").chars().take(HEADER_CHARS_MAX).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        let plain = |text: &str| text.split_whitespace().collect::<String>();
        self.header.iter().position(|one| plain(one) == plain(name))
    }

    /// The csv crate accepts a file that ends within quotation marks; such a file is truncated.
    fn check_quotes(&self, text: &str) -> Result<(), Error> {
        let last = self.records.last().unwrap_or(&self.header);
        if text.bytes().filter(|byte| *byte == b'"').count() % 2 == 0 {
            return Ok(());
        }
        let column = self.header.iter().nth(last.len().saturating_sub(1)).unwrap_or_default();
        Err(Error::UnclosedQuote { line: line_of(last), column: column.to_owned() })
    }
}

/// The field of a column, without white space around it.
pub(super) fn field<'a>(record: &'a StringRecord, column: Column<'_>) -> &'a str {
    record.get(column.at).expect("every record has as many fields as the header").trim()
}

/// The error of a field; `expected` follows on "is not".
pub(super) fn invalid(
    record: &StringRecord,
    column: Column<'_>,
    expected: impl Into<String>,
) -> Error {
    Error::InvalidField {
        line: line_of(record),
        column: column.name.to_owned(),
        value: field(record, column).to_owned(),
        expected: expected.into(),
    }
}

/// The line on which a record begins, from 1.
pub(super) fn line_of(record: &StringRecord) -> u64 {
    record.position().map_or(1, csv::Position::line)
}

fn decode(bytes: &[u8]) -> Result<String, Error> {
    let body = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    match UTF_8.decode_without_bom_handling_and_without_replacement(body) {
        Some(text) => Ok(text.into_owned()),
        None if body.len() < bytes.len() => Err(Error::NotUtf8 { line: first_bad_line(body) }),
        None => Ok(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()),
    }
}

/// The text of a file.
///
/// # Errors
///
/// [`Error::NotUtf8`] with the first line that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(|_| Error::NotUtf8 { line: first_bad_line(bytes) })
}

/// The first line that is not UTF-8, from 1.
fn first_bad_line(bytes: &[u8]) -> u64 {
    let bad = bytes
        .split(|byte| *byte == b'\n')
        .position(|line| std::str::from_utf8(line).is_err())
        .unwrap_or(0);
    u64::try_from(bad).unwrap_or(u64::MAX).saturating_add(1)
}

fn malformed(error: &csv::Error, header: Option<&StringRecord>) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() else {
        // The file is in memory, so that only its encoding can be wrong.
        return Error::NotUtf8 { line };
    };
    let last = usize::try_from(len.saturating_sub(1)).ok();
    let column = header.and_then(|header| header.get(last?)).unwrap_or("none");
    Error::FieldCount { line, found: *len, expected: *expected_len, column: column.to_owned() }
}
