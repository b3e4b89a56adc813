//! Errors of a file, collected so that all of them are reported at once.

use lodewatch_toml_reader::Problems;

/// A file cannot be imported. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The header is that of no format of this importer.
    #[error("line 1: unknown header \"{header}\"; expected the header of {expected}")]
    UnknownHeader {
        /// The beginning of the header.
        header: String,
        /// The headers that this importer knows.
        expected: &'static str,
    },
    /// A required column is missing.
    #[error("line 1: column {column} is missing; the columns are {header}")]
    MissingColumn {
        /// The name of the column.
        column: String,
        /// The columns of the file.
        header: String,
    },
    /// A line has fewer or more fields than the header: the file is truncated or damaged.
    #[error(
        "line {line}: {found} fields instead of {expected}, the last one in column {column}; check \
         whether the file is truncated"
    )]
    FieldCount {
        /// The line.
        line: u64,
        /// How many fields it has.
        found: u64,
        /// How many fields the header has.
        expected: u64,
        /// The column of the last field.
        column: String,
    },
    /// A quotation mark is never closed: the file is truncated or damaged.
    #[error(
        "line {line}: the quoted field in column {column} is never closed; check whether the file \
         is truncated"
    )]
    UnclosedQuote {
        /// The line on which the record begins.
        line: u64,
        /// The column of the last field.
        column: String,
    },
    /// The file must be UTF-8, or begins with the byte order mark of UTF-8, and is something else.
    #[error("line {line}: not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// The first line that is not UTF-8.
        line: u64,
    },
    /// A line is not the JSON of an update.
    #[error("line {line}{}: {why}", at(*.column))]
    Json {
        /// The line.
        line: u64,
        /// The byte of the line, from 1; 0 where the error has no position.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// The mapping of a table cannot be used: every problem, with its key and what is allowed.
    #[error("the mapping is invalid; `lodewatch import csv --help` shows a valid one:\n  {0}")]
    Mapping(Problems),
    /// The rows of a report contradict each other.
    #[error("lines {first} to {last}, {report}: {why}")]
    InvalidReport {
        /// The first line of the report.
        first: u64,
        /// The last line of the report.
        last: u64,
        /// The report: mineral, stage and period.
        report: String,
        /// What is wrong.
        why: String,
    },
    /// The file has several errors.
    #[error("{} errors:{}", .first.len() + .omitted, lines(.first, *.omitted))]
    Several {
        /// The first errors, in the order of the file.
        first: Vec<Self>,
        /// How many more there are.
        omitted: usize,
    },
    /// A field has an invalid value.
    #[error("line {line}, column {column}: \"{value}\" is not {expected}")]
    InvalidField {
        /// The line.
        line: u64,
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// What is allowed, as the rest of the sentence.
        expected: String,
    },
}

fn at(column: usize) -> String {
    if column == 0 { String::new() } else { format!(", column {column}") }
}

fn lines(errors: &[Error], omitted: usize) -> String {
    let omitted = (omitted > 0).then(|| format!("and {omitted} more"));
    let lines = errors.iter().map(ToString::to_string).chain(omitted);
    lines.flat_map(|line| ["\n  ".to_owned(), line]).collect()
}

/// Errors that are reported; further ones are counted. A file with more is most likely of another
/// format.
const REPORTED_MAX: usize = 50;

/// Collects the errors of a file, so that reading can go on after each.
#[derive(Debug, Default)]
pub struct ErrorCollector {
    first: Vec<Error>,
    omitted: usize,
}

impl ErrorCollector {
    /// Adds an error.
    pub fn push(&mut self, error: Error) {
        if self.first.len() < REPORTED_MAX {
            self.first.push(error);
        } else {
            self.omitted += 1;
        }
    }

    /// The value of a result; an error is added.
    pub fn check<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// The value, if there was no error.
    ///
    /// # Errors
    ///
    /// The only error, or [`Error::Several`].
    pub fn finish<T>(mut self, value: T) -> Result<T, Error> {
        match (self.first.pop(), self.first.is_empty()) {
            (None, _) => Ok(value),
            (Some(only), true) => Err(only),
            (Some(last), false) => {
                self.first.push(last);
                Err(Error::Several { first: self.first, omitted: self.omitted })
            }
        }
    }
}
