//! What a row of a table says, by the mapping.

use super::super::faults::Faults;
use super::super::sheet::{Column, Sheet, field, line_of, wrong};
use super::super::{Error, number};
use super::mapping::{FieldSource, FigureColumn, FigureKind, Mapping};
use csv::StringRecord;
use lodewatch_core::domain::market::{Figure, Period};
use lodewatch_core::domain::{Country, Day, MarketKey, Mineral, Slug, Stage};

/// Which report a row is of.
pub(super) type Key = (MarketKey, Slug, Period);

/// Where everything is in a sheet.
pub(super) struct Columns<'a> {
    source: Cells<'a, Slug>,
    vintage: Cells<'a, Day>,
    url: Cells<'a, String>,
    mineral: Cells<'a, Mineral>,
    stage: Cells<'a, Stage>,
    period: Cells<'a, Period>,
    unit: Cells<'a, String>,
    country: Cells<'a, Country>,
    figure: Column<'a>,
    estimated: Option<(Column<'a>, &'a [String])>,
    mapping: &'a Mapping,
}

/// A place, with its column found; `None` where it is the same in the whole file.
struct Cells<'a, T> {
    place: &'a FieldSource<T>,
    column: Option<Column<'a>>,
}

/// What a row is about.
pub(super) enum Supplier {
    Country(Country),
    Other,
    Total,
    Ignored,
}

/// What the figure of a row is.
pub(super) enum Reading {
    Figure(Figure),
    NotAvailable,
}

/// What a row says.
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) head: Head,
    /// On which line it begins, from 1.
    pub(super) line: u64,
    pub(super) supplier: Supplier,
    pub(super) reading: Reading,
    pub(super) estimated: bool,
}

/// What all rows of a report have in common, its key apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) vintage: Day,
    pub(super) unit: String,
    pub(super) url: String,
}

impl<'a> Columns<'a> {
    /// Finds every column that the mapping names.
    pub(super) fn find(sheet: &Sheet, mapping: &'a Mapping) -> Result<Self, Error> {
        let mut faults = Faults::default();
        let source = Cells::find(&mapping.source, sheet, &mut faults);
        let vintage = Cells::find(&mapping.vintage, sheet, &mut faults);
        let url = Cells::find(&mapping.url, sheet, &mut faults);
        let mineral = Cells::find(&mapping.mineral, sheet, &mut faults);
        let stage = Cells::find(&mapping.stage, sheet, &mut faults);
        let period = Cells::find(&mapping.period, sheet, &mut faults);
        let unit = Cells::find(&mapping.unit, sheet, &mut faults);
        let country = Cells::find(&mapping.country, sheet, &mut faults);
        let figure = faults.take(sheet.column(&mapping.figures.column));
        let estimated = mapping.estimated.as_ref().and_then(|(column, marks)| {
            faults.take(sheet.column(column)).map(|column| (column, marks.as_slice()))
        });
        let found = || {
            Some(Self {
                source: source?,
                vintage: vintage?,
                url: url?,
                mineral: mineral?,
                stage: stage?,
                period: period?,
                unit: unit?,
                country: country?,
                figure: figure?,
                estimated,
                mapping,
            })
        };
        let found = found();
        faults.finish(())?;
        Ok(found.expect("a header without faults has every column"))
    }

    /// Reads a row; notes everything that is wrong with it.
    pub(super) fn row(&self, record: &StringRecord, faults: &mut Faults) -> Option<Row> {
        let mineral = faults.take(self.mineral.read(record));
        let stage = faults.take(self.stage.read(record));
        let source = faults.take(self.source.read(record));
        let period = faults.take(self.period.read(record));
        let vintage = faults.take(self.vintage.read(record));
        let unit = faults.take(self.unit.read(record));
        let url = faults.take(self.url.read(record));
        let supplier = faults.take(self.supplier(record));
        let reading = if matches!(supplier, Some(Supplier::Ignored)) {
            Some(Reading::NotAvailable)
        } else {
            faults.take(self.reading(record))
        };
        let marked = |(column, marks)| is_among(marks, field(record, column));
        Some(Row {
            key: (MarketKey { mineral: mineral?, stage: stage? }, source?, period?),
            head: Head { vintage: vintage?, unit: unit?, url: url? },
            line: line_of(record),
            supplier: supplier?,
            reading: reading?,
            estimated: self.estimated.is_some_and(marked),
        })
    }

    fn supplier(&self, record: &StringRecord) -> Result<Supplier, Error> {
        let name = self.name(record);
        if is_among(&self.mapping.other, name) {
            Ok(Supplier::Other)
        } else if is_among(&self.mapping.total, name) {
            Ok(Supplier::Total)
        } else if is_among(&self.mapping.ignore, name) {
            Ok(Supplier::Ignored)
        } else {
            self.country.read(record).map(Supplier::Country)
        }
    }

    /// What stands in the place of the country.
    pub(super) fn name<'r>(&self, record: &'r StringRecord) -> &'r str {
        field(record, self.country.column())
    }

    /// A fault of the place of the country.
    pub(super) fn wrong_country(&self, record: &StringRecord, expected: String) -> Error {
        wrong(record, self.country.column(), expected)
    }

    /// Notes what a row says otherwise than the first row of its report, on line `first`.
    pub(super) fn check_head(
        &self,
        record: &StringRecord,
        (head, first): (&Head, u64),
        row: &Head,
        faults: &mut Faults,
    ) {
        let differing = [
            (self.vintage.column, head.vintage == row.vintage),
            (self.unit.column, head.unit == row.unit),
            (self.url.column, head.url == row.url),
        ];
        for (column, same) in differing {
            if let (Some(column), false) = (column, same) {
                let expected = format!("that of line {first}, which is of the same report");
                faults.add(wrong(record, column, expected));
            }
        }
    }

    fn reading(&self, record: &StringRecord) -> Result<Reading, Error> {
        let FigureColumn { kind, zero, withheld, not_available, .. } = &self.mapping.figures;
        let text = field(record, self.figure);
        if is_among(not_available, text) {
            return Ok(Reading::NotAvailable);
        }
        if is_among(withheld, text) {
            return Ok(Reading::Figure(Figure::Withheld));
        }
        let text = if is_among(zero, text) { "0" } else { text };
        let (figure, what) = match kind {
            FigureKind::Quantity(_) => (number::milli(text).map(Figure::QuantityMilli), "a number"),
            FigureKind::Share(whole) => (number::share(text, *whole).map(Figure::Share), "a share"),
        };
        let expected =
            || format!("{what} or one of zero, withheld and not_available of the mapping");
        figure.map(Reading::Figure).ok_or_else(|| wrong(record, self.figure, expected()))
    }
}

impl<'a, T: Clone> Cells<'a, T> {
    fn find(place: &'a FieldSource<T>, sheet: &Sheet, faults: &mut Faults) -> Option<Self> {
        let column = match place {
            FieldSource::Constant(_) => None,
            FieldSource::Column { name, .. } => Some(faults.take(sheet.column(name))?),
        };
        Some(Self { place, column })
    }

    fn read(&self, record: &StringRecord) -> Result<T, Error> {
        match self.place {
            FieldSource::Constant(value) => Ok(value.clone()),
            FieldSource::Column { words, parse, .. } => {
                let column = self.column();
                let text = field(record, column);
                let parsed = || parse(text).map_err(|expected| wrong(record, column, expected));
                words.get(text).cloned().map_or_else(parsed, Ok)
            }
        }
    }

    /// The column of a place that is one.
    fn column(&self) -> Column<'a> {
        self.column.expect("the column of this place was found")
    }
}

fn is_among(list: &[String], text: &str) -> bool {
    list.iter().any(|one| one.trim().eq_ignore_ascii_case(text))
}
