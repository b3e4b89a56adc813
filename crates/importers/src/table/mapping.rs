//! The mapping of a table: which column holds what.

use super::super::number::Whole;
use super::super::sheet::utf8;
use super::super::{Error, near};
use lodewatch_core::domain::market::{Denominator, Period};
use lodewatch_core::domain::{Country, Day, Mineral, Slug, Stage, Threat, slug};
use lodewatch_toml_reader::{Collector, Node, Problem, Table};
use std::collections::BTreeMap;

/// The longest unit, in bytes.
const UNIT_BYTES_MAX: usize = 64;

/// Parses a value; an error says what is allowed: `a day such as 2025-05-21`.
type Parse<T> = fn(&str) -> Result<T, String>;

/// Which column of a table holds what.
#[derive(Debug)]
pub struct Mapping {
    pub(super) delimiter: u8,
    pub(super) source: FieldSource<Slug>,
    pub(super) vintage: FieldSource<Day>,
    pub(super) url: FieldSource<String>,
    pub(super) mineral: FieldSource<Mineral>,
    pub(super) stage: FieldSource<Stage>,
    pub(super) period: FieldSource<Period>,
    pub(super) unit: FieldSource<String>,
    pub(super) country: FieldSource<Country>,
    pub(super) other: Vec<String>,
    pub(super) total: Vec<String>,
    pub(super) ignore: Vec<String>,
    pub(super) figures: FigureColumn,
    /// The column that marks estimates, and its marks.
    pub(super) estimated: Option<(String, Vec<String>)>,
}

/// Where the value of a field comes from.
#[derive(Debug)]
pub(super) enum FieldSource<T> {
    /// It is the same in the whole file.
    Constant(T),
    /// It is in a column.
    Column {
        name: String,
        /// What the file's own words stand for.
        words: BTreeMap<String, T>,
        /// Parses every other text.
        parse: Parse<T>,
    },
}

/// The column of figures.
#[derive(Debug)]
pub(super) struct FigureColumn {
    pub(super) column: String,
    pub(super) kind: FigureKind,
    pub(super) zero: Vec<String>,
    pub(super) withheld: Vec<String>,
    pub(super) not_available: Vec<String>,
}

/// What the figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FigureKind {
    /// Quantities, and what their shares are parts of.
    Quantity(Denominator),
    /// Shares, and what the whole is written as.
    Share(Whole),
}

impl Mapping {
    /// Parses a mapping. See `lodewatch import csv --help` for an example with every key.
    ///
    /// # Errors
    ///
    /// [`Error::NotUtf8`], or [`Error::Mapping`] with every problem, each with its key and what is
    /// allowed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let values = lodewatch_toml_reader::parse(utf8(bytes)?)
            .map_err(|error| Error::Mapping(Problem::from(error).into()))?;
        let collector = Collector::default();
        let mapping = read(Table::root(values, &collector));
        let mapping = collector.finish(mapping).map_err(Error::Mapping)?;
        Ok(mapping.expect("a mapping without problems is complete"))
    }
}

fn read(mut file: Table<'_>) -> Option<Mapping> {
    let delimiter = match file.optional("delimiter") {
        Some(node) => node.read(parse_delimiter),
        None => Some(b','),
    };
    let source = field_source(&mut file, "source", source);
    let vintage = field_source(&mut file, "vintage", vintage);
    let url = optional_field_source(&mut file, "url", url);
    let mineral = field_source(&mut file, "mineral", mineral);
    let stage = field_source(&mut file, "stage", stage);
    let period = field_source(&mut file, "period", period);
    let unit = optional_field_source(&mut file, "unit", unit);
    let (country, [other, total, ignore]) = match file.table("country") {
        Some(mut rows) => {
            let names = ["other", "total", "ignore"].map(|key| rows.read_list(key, any));
            (column(rows, country), names)
        }
        None => (None, Default::default()),
    };
    let figures = figure_column(&mut file);
    let estimated = file.optional("estimated").and_then(Node::table).map(|mut table| {
        let (column, marks) = (table.read("column", any), table.read_list("marks", any));
        (column.unwrap_or_default(), marks)
    });
    Some(Mapping {
        delimiter: delimiter?,
        source: source?,
        vintage: vintage?,
        url: url?,
        mineral: mineral?,
        stage: stage?,
        period: period?,
        unit: unit?,
        country: country?,
        other,
        total,
        ignore,
        figures: figures?,
        estimated,
    })
}

/// A value for the whole file, or a column of it.
fn field_source<T>(
    file: &mut Table<'_>,
    key: &'static str,
    parse: Parse<T>,
) -> Option<FieldSource<T>> {
    constant_or_column(file.required(key)?, parse)
}

/// The same for an optional field, which is empty by default.
fn optional_field_source(
    file: &mut Table<'_>,
    key: &'static str,
    parse: Parse<String>,
) -> Option<FieldSource<String>> {
    match file.optional(key) {
        Some(node) => constant_or_column(node, parse),
        None => Some(FieldSource::Constant(String::new())),
    }
}

fn constant_or_column<T>(node: Node<'_>, parse: Parse<T>) -> Option<FieldSource<T>> {
    if node.is_table() {
        column(node.table()?, parse)
    } else {
        node.read(|text| allowed(text, parse)).map(FieldSource::Constant)
    }
}

fn column<T>(mut table: Table<'_>, parse: Parse<T>) -> Option<FieldSource<T>> {
    let name = table.read("column", any);
    let words = table.optional("words").and_then(Node::table);
    let words = words.map_or_else(Vec::new, Table::into_entries).into_iter();
    let words = words
        .filter_map(|(word, node)| Some((word, node.read(|text| allowed(text, parse))?)))
        .collect();
    Some(FieldSource::Column { name: name?, words, parse })
}

fn figure_column(file: &mut Table<'_>) -> Option<FigureColumn> {
    let (quantity, share) = (file.optional("quantity"), file.optional("share"));
    let is_share = share.is_some();
    let node = match (quantity, share) {
        (Some(node), None) | (None, Some(node)) => node,
        (Some(quantity), Some(_)) => {
            quantity.reject("a mapping has either quantity or share, not both");
            return None;
        }
        (None, None) => {
            file.reject("quantity", "is missing; a mapping has either quantity or share");
            return None;
        }
    };
    let mut table = node.table()?;
    let kind = if is_share {
        table.read("whole", parse_whole)
    } else {
        match table.optional("denominator") {
            Some(node) => node.read(parse_denominator),
            None => Some(FigureKind::Quantity(Denominator::SumOfRows)),
        }
    };
    let column = table.read("column", any);
    let [zero, withheld, not_available] =
        ["zero", "withheld", "not_available"].map(|key| table.read_list(key, any));
    Some(FigureColumn { column: column?, kind: kind?, zero, withheld, not_available })
}

fn parse_delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("must be one plain character, such as ;"),
    }
}

fn parse_denominator(text: &str) -> Result<FigureKind, &'static str> {
    match text {
        "sum_of_rows" => Ok(FigureKind::Quantity(Denominator::SumOfRows)),
        "published_total" => Ok(FigureKind::Quantity(Denominator::PublishedTotal)),
        _ => Err("must be sum_of_rows or published_total"),
    }
}

fn parse_whole(text: &str) -> Result<FigureKind, &'static str> {
    match text {
        "1" => Ok(FigureKind::Share(Whole::One)),
        "100" => Ok(FigureKind::Share(Whole::Hundred)),
        _ => Err("must be 1 or 100"),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "a function that parses, as the others")]
fn any(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// Parses a value of the mapping by the function that also parses the fields of the file.
fn allowed<T>(text: &str, parse: Parse<T>) -> Result<T, String> {
    parse(text).map_err(|allowed| format!("must be {allowed}"))
}

fn source(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("a name of a source: {}", slug::ALLOWED))
}

fn vintage(text: &str) -> Result<Day, String> {
    text.parse().map_err(|_| "a day such as 2025-05-21".to_owned())
}

fn mineral(text: &str) -> Result<Mineral, String> {
    let unknown = || format!("a mineral of the catalogue{}", near(&Mineral::similar_names(text)));
    Mineral::parse(text).ok_or_else(unknown)
}

fn stage(text: &str) -> Result<Stage, String> {
    Stage::parse(text).ok_or_else(|| format!("one of {}", Stage::allowed()))
}

fn period(text: &str) -> Result<Period, String> {
    Period::parse(text).ok_or_else(|| Period::ALLOWED.to_owned())
}

fn country(text: &str) -> Result<Country, String> {
    let unknown = || {
        let near = near(&Country::similar_names(text));
        format!("a country or one of country.other, total and ignore of the mapping{near}")
    };
    Country::parse(text).ok_or_else(unknown)
}

fn unit(text: &str) -> Result<String, String> {
    short(text, UNIT_BYTES_MAX)
}

fn url(text: &str) -> Result<String, String> {
    short(text, Threat::TEXT_MAX)
}

fn short(text: &str, max: usize) -> Result<String, String> {
    if text.len() <= max { Ok(text.to_owned()) } else { Err(format!("at most {max} bytes")) }
}
