//! Why a file was not imported.

use lodewatch_toml_reader::Problems;

/// Why a file was not taken; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is none of a file that can be read.
    #[error(
        "line 1: the header \"{header}\" is of no file that is known here; expected {expected}"
    )]
    UnknownHeader {
        /// The beginning of the header.
        header: String,
        /// What was looked for.
        expected: &'static str,
    },
    /// A column that is needed is not in the header.
    #[error("line 1: there is no column {column}; the header has {header}")]
    MissingColumn {
        /// Its name.
        column: String,
        /// The columns that are there.
        header: String,
    },
    /// A line has fewer or more fields than the header: the file is cut short or damaged.
    #[error(
        "line {line}: {found} fields, but the header has {expected}; the last one is of column {column}. Is the file cut short?"
    )]
    Fields {
        /// Which line.
        line: u64,
        /// How many it has.
        found: u64,
        /// How many there should be.
        expected: u64,
        /// The column of the last field that is there.
        column: String,
    },
    /// A quotation mark is opened and never closed: the file is cut short or damaged.
    #[error(
        "line {line}: a quoted field of column {column} is never closed. Is the file cut short?"
    )]
    OpenQuote {
        /// The line on which the record begins.
        line: u64,
        /// The column of the last field that is there.
        column: String,
    },
    /// The file must be UTF-8, or begins with its byte order mark, and is none.
    #[error("line {line}: the file should be UTF-8, but this line is not")]
    NotUtf8 {
        /// The first line that is not.
        line: u64,
    },
    /// A line is not the JSON of an update.
    #[error("line {line}{}: {why}", at(*.column))]
    Json {
        /// Which line.
        line: u64,
        /// The byte of the line at which that shows, from 1; 0 where it shows nowhere.
        column: usize,
        /// Why.
        why: String,
    },
    /// The mapping of a table cannot be used, for every problem, each with its key and what is
    /// allowed.
    #[error("the mapping is invalid; `lodewatch import csv --help` shows a valid one:\n  {0}")]
    Mapping(Problems),
    /// The rows of a report do not make one.
    #[error("lines {first} to {last}, {report}: {why}")]
    Report {
        /// The first line with a row of it.
        first: u64,
        /// The last line with a row of it.
        last: u64,
        /// Which report: mineral, stage and period.
        report: String,
        /// Why.
        why: String,
    },
    /// Several things are wrong.
    #[error("{} things are wrong{}", .said.len() + .more, lines(.said, *.more))]
    Several {
        /// The first of them, in the order of the file.
        said: Vec<Self>,
        /// How many there are besides.
        more: usize,
    },
    /// A field holds something else than it should.
    #[error("line {line}, column {column}: \"{value}\" is not {expected}")]
    Field {
        /// Which line.
        line: u64,
        /// Which column.
        column: String,
        /// What is there.
        value: String,
        /// What should be there.
        expected: String,
    },
}

/// Where in a line.
fn at(column: usize) -> String {
    if column == 0 { String::new() } else { format!(", column {column}") }
}

/// One a line.
fn lines<T: ToString>(said: &[T], more: usize) -> String {
    let more = (more > 0).then(|| format!("and {more} more"));
    let said = said.iter().map(ToString::to_string).chain(more);
    said.flat_map(|fault| ["\n  ".to_owned(), fault]).collect()
}
