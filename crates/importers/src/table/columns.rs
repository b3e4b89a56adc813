//! The fields of a row, by the mapping.

use super::super::ErrorCollector;
use super::super::sheet::{Column, Sheet, field, invalid, line_of};
use super::super::{Error, number};
use super::mapping::{FieldSource, FigureColumn, FigureKind, Mapping};
use csv::StringRecord;
use lodewatch_core::domain::market::{Figure, Period};
use lodewatch_core::domain::{Country, Day, MarketKey, Mineral, Slug, Stage};

/// The report that a row belongs to.
pub(super) type ReportKey = (MarketKey, Slug, Period);

/// Where the fields are in a sheet.
pub(super) struct Columns<'a> {
    source: FieldReader<'a, Slug>,
    vintage: FieldReader<'a, Day>,
    url: FieldReader<'a, String>,
    mineral: FieldReader<'a, Mineral>,
    stage: FieldReader<'a, Stage>,
    period: FieldReader<'a, Period>,
    unit: FieldReader<'a, String>,
    country: FieldReader<'a, Country>,
    figure: Column<'a>,
    estimated: Option<(Column<'a>, &'a [String])>,
    mapping: &'a Mapping,
}

/// The source of a field, and its column; `None` where it is the same in the whole file.
struct FieldReader<'a, T> {
    source: &'a FieldSource<T>,
    column: Option<Column<'a>>,
}

/// Whose figure a row has.
pub(super) enum Supplier {
    Country(Country),
    Other,
    Total,
    Ignored,
}

/// The figure of a row.
pub(super) enum FigureValue {
    Figure(Figure),
    NotAvailable,
}

/// A row of a report.
pub(super) struct Row {
    pub(super) key: ReportKey,
    pub(super) head: ReportHead,
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    pub(super) supplier: Supplier,
    pub(super) value: FigureValue,
    pub(super) estimated: bool,
}

/// What all rows of a report have in common, apart from its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReportHead {
    pub(super) vintage: Day,
    pub(super) unit: String,
    pub(super) url: String,
}

impl<'a> Columns<'a> {
    /// Finds every column that the mapping names.
    pub(super) fn find(sheet: &Sheet, mapping: &'a Mapping) -> Result<Self, Error> {
        let mut errors = ErrorCollector::default();
        let source = FieldReader::find(&mapping.source, sheet, &mut errors);
        let vintage = FieldReader::find(&mapping.vintage, sheet, &mut errors);
        let url = FieldReader::find(&mapping.url, sheet, &mut errors);
        let mineral = FieldReader::find(&mapping.mineral, sheet, &mut errors);
        let stage = FieldReader::find(&mapping.stage, sheet, &mut errors);
        let period = FieldReader::find(&mapping.period, sheet, &mut errors);
        let unit = FieldReader::find(&mapping.unit, sheet, &mut errors);
        let country = FieldReader::find(&mapping.country, sheet, &mut errors);
        let figure = errors.check(sheet.column(&mapping.figures.column));
        let estimated = mapping.estimated.as_ref().and_then(|(column, marks)| {
            errors.check(sheet.column(column)).map(|column| (column, marks.as_slice()))
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
        errors.finish(())?;
        Ok(found.expect("a header without errors has every column"))
    }

    /// Reads a row; adds every error of it.
    pub(super) fn row(&self, record: &StringRecord, errors: &mut ErrorCollector) -> Option<Row> {
        let mineral = errors.check(self.mineral.read(record));
        let stage = errors.check(self.stage.read(record));
        let source = errors.check(self.source.read(record));
        let period = errors.check(self.period.read(record));
        let vintage = errors.check(self.vintage.read(record));
        let unit = errors.check(self.unit.read(record));
        let url = errors.check(self.url.read(record));
        let supplier = errors.check(self.supplier(record));
        let value = if matches!(supplier, Some(Supplier::Ignored)) {
            Some(FigureValue::NotAvailable)
        } else {
            errors.check(self.value(record))
        };
        let marked = |(column, marks)| is_among(marks, field(record, column));
        Some(Row {
            key: (MarketKey { mineral: mineral?, stage: stage? }, source?, period?),
            head: ReportHead { vintage: vintage?, unit: unit?, url: url? },
            line: line_of(record),
            supplier: supplier?,
            value: value?,
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

    /// The field of the country.
    pub(super) fn name<'r>(&self, record: &'r StringRecord) -> &'r str {
        field(record, self.country.column())
    }

    /// The error of the field of the country.
    pub(super) fn invalid_country(&self, record: &StringRecord, expected: String) -> Error {
        invalid(record, self.country.column(), expected)
    }

    /// Adds an error for every field that differs from the first row of the report, on line
    /// `first`.
    pub(super) fn check_head(
        &self,
        record: &StringRecord,
        (head, first): (&ReportHead, u64),
        row: &ReportHead,
        errors: &mut ErrorCollector,
    ) {
        let differing = [
            (self.vintage.column, head.vintage == row.vintage),
            (self.unit.column, head.unit == row.unit),
            (self.url.column, head.url == row.url),
        ];
        for (column, same) in differing {
            if let (Some(column), false) = (column, same) {
                let expected =
                    format!("the value of line {first}, which belongs to the same report");
                errors.push(invalid(record, column, expected));
            }
        }
    }

    fn value(&self, record: &StringRecord) -> Result<FigureValue, Error> {
        let FigureColumn { kind, zero, withheld, not_available, .. } = &self.mapping.figures;
        let text = field(record, self.figure);
        if is_among(not_available, text) {
            return Ok(FigureValue::NotAvailable);
        }
        if is_among(withheld, text) {
            return Ok(FigureValue::Figure(Figure::Withheld));
        }
        let text = if is_among(zero, text) { "0" } else { text };
        let (figure, what) = match kind {
            FigureKind::Quantity(_) => {
                (number::parse_milli(text).map(Figure::QuantityMilli), "a number")
            }
            FigureKind::Share(whole) => {
                (number::parse_share(text, *whole).map(Figure::Share), "a share")
            }
        };
        let expected =
            || format!("{what} or one of zero, withheld and not_available of the mapping");
        figure.map(FigureValue::Figure).ok_or_else(|| invalid(record, self.figure, expected()))
    }
}

impl<'a, T: Clone> FieldReader<'a, T> {
    fn find(
        source: &'a FieldSource<T>,
        sheet: &Sheet,
        errors: &mut ErrorCollector,
    ) -> Option<Self> {
        let column = match source {
            FieldSource::Constant(_) => None,
            FieldSource::Column { name, .. } => Some(errors.check(sheet.column(name))?),
        };
        Some(Self { source, column })
    }

    fn read(&self, record: &StringRecord) -> Result<T, Error> {
        match self.source {
            FieldSource::Constant(value) => Ok(value.clone()),
            FieldSource::Column { words, parse, .. } => {
                let column = self.column();
                let text = field(record, column);
                let parsed = || parse(text).map_err(|expected| invalid(record, column, expected));
                words.get(text).cloned().map_or_else(parsed, Ok)
            }
        }
    }

    /// The column of a field that has one.
    fn column(&self) -> Column<'a> {
        self.column.expect("find looked for the column of this field")
    }
}

fn is_among(list: &[String], text: &str) -> bool {
    list.iter().any(|one| one.trim().eq_ignore_ascii_case(text))
}
