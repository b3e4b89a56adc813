//! Rows → one distribution per report → reports.

use super::super::ErrorCollector;
use super::super::sheet::Sheet;
use super::super::{Error, ImportedReports, SkippedItem};
use super::columns::{Columns, FigureValue, ReportHead, ReportKey, Row, Supplier};
use super::mapping::{FigureKind, Mapping};
use lodewatch_core::domain::market::{Denominator, Figure, ReportDraft, ReportDraftRow};
use lodewatch_core::domain::{Country, Ppm, Report};
use std::collections::BTreeMap;

/// Reads a table.
///
/// # Errors
///
/// A damaged file, a missing column, or every field that the mapping does not allow, with its line,
/// its column and what is allowed.
pub fn read(bytes: &[u8], mapping: &Mapping) -> Result<ImportedReports, Error> {
    let sheet = Sheet::parse_separated(bytes, mapping.delimiter)?;
    let columns = Columns::find(&sheet, mapping)?;
    let mut errors = ErrorCollector::default();
    let mut import = ImportedReports { reports: Vec::new(), skipped: Vec::new() };
    let mut distributions: BTreeMap<ReportKey, Distribution> = BTreeMap::new();
    for record in sheet.records() {
        let Some(row) = columns.row(record, &mut errors) else { continue };
        let distribution = distributions.entry(row.key.clone());
        let distribution = distribution.or_insert_with(|| Distribution::begin(&row));
        let first = (&distribution.head, distribution.first);
        columns.check_head(record, first, &row.head, &mut errors);
        let item = format!("line {}, {}", row.line, columns.name(record));
        match distribution.add(row) {
            Ok(()) => {}
            Err(Rejection::Skip(reason)) => {
                import.skipped.push(SkippedItem { item, reason: reason.to_owned() });
            }
            Err(Rejection::Invalid(expected)) => {
                errors.push(columns.invalid_country(record, expected));
            }
        }
    }
    for (key, distribution) in distributions {
        import.reports.extend(distribution.into_report(key, mapping.figures.kind, &mut errors));
    }
    errors.finish(import)
}

/// Why a row is not part of a distribution.
enum Rejection {
    /// It is sound and cannot be used, for this reason.
    Skip(&'static str),
    /// It contradicts an earlier row; its country should have been this.
    Invalid(String),
}

/// The rows of one report as they come in.
struct Distribution {
    head: ReportHead,
    /// Its first and last line.
    first: u64,
    last: u64,
    /// Each with its line.
    rows: BTreeMap<Country, (u64, ReportDraftRow)>,
    other: Option<Figure>,
    total_milli: Option<u64>,
}

impl Distribution {
    fn begin(row: &Row) -> Self {
        Self {
            head: row.head.clone(),
            first: row.line,
            last: row.line,
            rows: BTreeMap::new(),
            other: None,
            total_milli: None,
        }
    }

    fn add(&mut self, row: Row) -> Result<(), Rejection> {
        self.last = row.line;
        let figure = match (&row.supplier, row.value) {
            (Supplier::Ignored, _) => return Err(Rejection::Skip("ignored by the mapping")),
            (_, FigureValue::NotAvailable) => {
                return Err(Rejection::Skip("not available"));
            }
            (_, FigureValue::Figure(figure)) => figure,
        };
        match (row.supplier, figure) {
            (Supplier::Country(country), figure) => {
                if let Some((line, _)) = self.rows.get(&country) {
                    let expected = format!("a country that occurs once; it is also in line {line}");
                    return Err(Rejection::Invalid(expected));
                }
                let draft = ReportDraftRow { country, figure, estimated: row.estimated };
                self.rows.insert(country, (row.line, draft));
            }
            (Supplier::Total, Figure::QuantityMilli(_)) if self.total_milli.is_some() => {
                return Err(Rejection::Invalid("the only total of its report".to_owned()));
            }
            (Supplier::Total, Figure::QuantityMilli(milli)) => self.total_milli = Some(milli),
            (Supplier::Other, Figure::QuantityMilli(milli)) => {
                let before = match self.other {
                    Some(Figure::QuantityMilli(before)) => before,
                    Some(Figure::Share(_) | Figure::Withheld) | None => 0,
                };
                self.other = Some(Figure::QuantityMilli(before.saturating_add(milli)));
            }
            (Supplier::Other, Figure::Share(share)) => {
                let before = match self.other {
                    Some(Figure::Share(before)) => before.get(),
                    Some(Figure::QuantityMilli(_) | Figure::Withheld) | None => 0,
                };
                // A sum of more than the whole is rejected with all rows together.
                let sum = Ppm::new(before.saturating_add(share.get())).unwrap_or(Ppm::ONE);
                self.other = Some(Figure::Share(sum));
            }
            (Supplier::Other, Figure::Withheld) => {
                return Err(Rejection::Skip("withheld, and not a single country"));
            }
            (Supplier::Total, Figure::Share(_) | Figure::Withheld) => {
                return Err(Rejection::Skip("a total that is not a quantity"));
            }
            (Supplier::Ignored, _) => {}
        }
        Ok(())
    }

    fn into_report(
        self,
        key: ReportKey,
        kind: FigureKind,
        errors: &mut ErrorCollector,
    ) -> Option<Report> {
        let (market, source, period) = key;
        let (first, last) = (self.first, self.last);
        let draft = ReportDraft {
            market,
            source,
            period,
            vintage: self.head.vintage,
            unit: self.head.unit.into(),
            rows: self.rows.into_values().map(|(_, row)| row).collect(),
            residual: self.other,
            denominator: match kind {
                FigureKind::Quantity(denominator) => denominator,
                FigureKind::Share(_) => Denominator::Shares,
            },
            published_total_milli: self.total_milli,
            url: self.head.url.into(),
        };
        let reject = |fault: lodewatch_core::domain::market::ReportFault| {
            let (report, why) = (format!("{market} {period}"), fault.to_string());
            errors.push(Error::InvalidReport { first, last, report, why });
        };
        Report::parse(draft).map_err(|all| all.into_iter().for_each(reject)).ok()
    }
}
