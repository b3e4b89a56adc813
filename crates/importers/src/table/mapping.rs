//! Where everything is in a table.

use super::super::number::Whole;
use super::super::sheet::utf8;
use super::super::{Error, near};
use super::section::{Section, text};
use lodewatch_core::domain::market::{Denominator, Period};
use lodewatch_core::domain::{Country, Day, Mineral, Slug, Stage, Threat, slug};
use std::collections::BTreeMap;
use toml::Value;

/// The longest unit, in bytes.
const UNIT_MAX: usize = 64;

/// Reads a value; an error says what would have been one.
type Parse<T> = fn(&str) -> Result<T, String>;

/// Where everything is in a table.
#[derive(Debug)]
pub struct Mapping {
    pub(super) delimiter: u8,
    pub(super) source: Place<Slug>,
    pub(super) vintage: Place<Day>,
    pub(super) url: Place<String>,
    pub(super) mineral: Place<Mineral>,
    pub(super) stage: Place<Stage>,
    pub(super) period: Place<Period>,
    pub(super) unit: Place<String>,
    pub(super) country: Place<Country>,
    pub(super) other: Vec<String>,
    pub(super) total: Vec<String>,
    pub(super) ignore: Vec<String>,
    pub(super) figures: Figures,
    /// The column that marks estimates, and its marks.
    pub(super) estimated: Option<(String, Vec<String>)>,
}

/// Where a value is.
#[derive(Debug)]
pub(super) enum Place<T> {
    /// The same in the whole file.
    Constant(T),
    /// In a column.
    Column {
        /// Its name.
        name: String,
        /// The file's own words.
        words: BTreeMap<String, T>,
        /// Reads what is none of them.
        parse: Parse<T>,
    },
}

/// The column of figures.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) column: String,
    pub(super) kind: Kind,
    pub(super) zero: Vec<String>,
    pub(super) withheld: Vec<String>,
    pub(super) not_available: Vec<String>,
}

/// What the figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Quantities, and what their shares are parts of.
    Quantity(Denominator),
    /// Shares, and what the whole is written as.
    Share(Whole),
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    ///
    /// [`Error::NotUtf8`], or [`Error::Mapping`] with everything that is wrong, each fault with its key and what is allowed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let values = utf8(bytes)?.parse().map_err(|error: toml::de::Error| {
            Error::Mapping(vec![error.to_string().trim_end().replace('\n', "\n  ")])
        })?;
        let mut faults = Vec::new();
        let mapping = read(Section::new("", values), &mut faults);
        if faults.is_empty() {
            return Ok(mapping.expect("a mapping without faults has everything"));
        }
        Err(Error::Mapping(faults))
    }
}

fn read(mut file: Section, faults: &mut Vec<String>) -> Option<Mapping> {
    let delimiter = delimiter(&mut file, faults);
    let source = place(&mut file, "source", None, source, faults);
    let vintage = place(&mut file, "vintage", None, vintage, faults);
    let url = place(&mut file, "url", Some(String::new()), url, faults);
    let mineral = place(&mut file, "mineral", None, mineral, faults);
    let stage = place(&mut file, "stage", None, stage, faults);
    let period = place(&mut file, "period", None, period, faults);
    let unit = place(&mut file, "unit", Some(String::new()), unit, faults);
    let mut rows = file.section("country", faults);
    if rows.is_none() {
        file.missing("country", faults);
    }
    let mut list = |key| rows.as_mut().map_or_else(Vec::new, |rows| rows.texts(key, faults));
    let (other, total, ignore) = (list("other"), list("total"), list("ignore"));
    let country = rows.and_then(|rows| column(rows, country, faults));
    let figures = figures(&mut file, faults);
    let estimated = file.section("estimated", faults).map(|mut section| {
        let marked = (section.text("column", faults), section.texts("marks", faults));
        section.finish(faults);
        marked
    });
    file.finish(faults);
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
        estimated: match estimated {
            None => None,
            Some((column, marks)) => Some((column?, marks)),
        },
    })
}

fn delimiter(file: &mut Section, faults: &mut Vec<String>) -> Option<u8> {
    let Some(value) = file.take("delimiter") else { return Some(b',') };
    let written = text("delimiter", value, faults)?;
    match written.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Some(*byte),
        _ => {
            faults.push(format!("delimiter = {written:?}: must be one plain character, such as ;"));
            None
        }
    }
}

/// A text for the whole file or a column of it; `default` is for what may be left out.
fn place<T>(
    file: &mut Section,
    key: &'static str,
    default: Option<T>,
    parse: Parse<T>,
    faults: &mut Vec<String>,
) -> Option<Place<T>> {
    match file.take(key) {
        Some(Value::Table(values)) => column(Section::new(&file.key(key), values), parse, faults),
        Some(value) => {
            let written = text(key, value, faults)?;
            understood(key, &written, parse, faults).map(Place::Constant)
        }
        None if default.is_some() => default.map(Place::Constant),
        None => {
            file.missing(key, faults);
            None
        }
    }
}

fn column<T>(mut section: Section, parse: Parse<T>, faults: &mut Vec<String>) -> Option<Place<T>> {
    let name = section.text("column", faults);
    let key = section.key("words");
    let mut words = BTreeMap::new();
    for (word, meaning) in section.words("words", faults) {
        let meaning = understood(&format!("{key}.{word:?}"), &meaning, parse, faults);
        words.extend(meaning.map(|meaning| (word, meaning)));
    }
    section.finish(faults);
    Some(Place::Column { name: name?, words, parse })
}

fn understood<T>(key: &str, written: &str, parse: Parse<T>, faults: &mut Vec<String>) -> Option<T> {
    let note = |expected| faults.push(format!("{key} = {written:?}: is not {expected}"));
    parse(written).map_err(note).ok()
}

fn figures(file: &mut Section, faults: &mut Vec<String>) -> Option<Figures> {
    let (quantity, share) = (file.section("quantity", faults), file.section("share", faults));
    let (mut section, is_share) = match (quantity, share) {
        (Some(section), None) => (section, false),
        (None, Some(section)) => (section, true),
        (Some(_), Some(_)) => {
            faults.push("quantity, share: a file has one of them".to_owned());
            return None;
        }
        (None, None) => {
            faults.push("quantity, share: one of them must be there".to_owned());
            return None;
        }
    };
    let kind =
        if is_share { whole(&mut section, faults) } else { denominator(&mut section, faults) };
    let column = section.text("column", faults);
    let zero = section.texts("zero", faults);
    let withheld = section.texts("withheld", faults);
    let not_available = section.texts("not_available", faults);
    section.finish(faults);
    Some(Figures { column: column?, kind: kind?, zero, withheld, not_available })
}

fn denominator(section: &mut Section, faults: &mut Vec<String>) -> Option<Kind> {
    let Some(value) = section.take("denominator") else {
        return Some(Kind::Quantity(Denominator::SumOfRows));
    };
    let key = section.key("denominator");
    let parse: Parse<Denominator> = |text| match text {
        "sum_of_rows" => Ok(Denominator::SumOfRows),
        "published_total" => Ok(Denominator::PublishedTotal),
        _ => Err("one of sum_of_rows, published_total".to_owned()),
    };
    let written = text(&key, value, faults)?;
    understood(&key, &written, parse, faults).map(Kind::Quantity)
}

fn whole(section: &mut Section, faults: &mut Vec<String>) -> Option<Kind> {
    let parse: Parse<Whole> = |text| match text {
        "1" => Ok(Whole::One),
        "100" => Ok(Whole::Hundred),
        _ => Err("one of 1, 100".to_owned()),
    };
    let written = section.text("whole", faults)?;
    understood(&section.key("whole"), &written, parse, faults).map(Kind::Share)
}

fn source(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("a name of a source: {}", slug::ALLOWED))
}

fn vintage(text: &str) -> Result<Day, String> {
    text.parse().map_err(|_| "a day such as 2025-05-21".to_owned())
}

fn mineral(text: &str) -> Result<Mineral, String> {
    let unknown = || format!("a mineral of the catalogue{}", near(&Mineral::near(text)));
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
        let near = near(&Country::near(text));
        format!("a country, nor one of other, total and ignore of the mapping{near}")
    };
    Country::parse(text).ok_or_else(unknown)
}

fn unit(text: &str) -> Result<String, String> {
    short(text, UNIT_MAX)
}

fn url(text: &str) -> Result<String, String> {
    short(text, Threat::TEXT_MAX)
}

fn short(text: &str, max: usize) -> Result<String, String> {
    if text.len() <= max { Ok(text.to_owned()) } else { Err(format!("at most {max} bytes")) }
}
