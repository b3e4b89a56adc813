//! The way in: rows → one distribution a report → reports.

use super::super::faults::Faults;
use super::super::sheet::Sheet;
use super::super::{Error, Reports, Skipped};
use super::columns::{Columns, Head, Key, Reading, Row, Supplier};
use super::mapping::{FigureKind, Mapping};
use lodewatch_core::domain::market::{Denominator, Figure, ReportDraft, ReportDraftRow};
use lodewatch_core::domain::{Country, Ppm, Report};
use std::collections::BTreeMap;

/// Reads a table.
///
/// # Errors
///
/// Where the file is cut short or damaged, lacks a column, or holds something else than the mapping says; everything that
/// is wrong is said at once, with line, column and what is allowed.
pub fn read(bytes: &[u8], mapping: &Mapping) -> Result<Reports, Error> {
    let sheet = Sheet::parse_separated(bytes, mapping.delimiter)?;
    let columns = Columns::find(&sheet, mapping)?;
    let mut faults = Faults::default();
    let mut import = Reports { reports: Vec::new(), skipped: Vec::new() };
    let mut distributions: BTreeMap<Key, Distribution> = BTreeMap::new();
    for record in sheet.records() {
        let Some(row) = columns.row(record, &mut faults) else { continue };
        let distribution = distributions.entry(row.key.clone());
        let distribution = distribution.or_insert_with(|| Distribution::begin(&row));
        let first = (&distribution.head, distribution.first);
        columns.check_head(record, first, &row.head, &mut faults);
        let what = format!("line {}, {}", row.line, columns.name(record));
        match distribution.add(row) {
            Ok(()) => {}
            Err(Refused::LeftOut(why)) => {
                import.skipped.push(Skipped { what, why: why.to_owned() });
            }
            Err(Refused::Wrong(expected)) => faults.add(columns.wrong_country(record, expected)),
        }
    }
    for (key, distribution) in distributions {
        import.reports.extend(distribution.into_report(key, mapping.figures.kind, &mut faults));
    }
    faults.finish(import)
}

/// Why a row is no part of a distribution.
enum Refused {
    /// It is sound, but says nothing that can be used.
    LeftOut(&'static str),
    /// It contradicts a row above; this would have been right in the place of the country.
    Wrong(String),
}

/// The rows of one report as they come in.
struct Distribution {
    head: Head,
    /// The first and the last of its lines.
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

    fn add(&mut self, row: Row) -> Result<(), Refused> {
        self.last = row.line;
        let figure = match (&row.supplier, row.reading) {
            (Supplier::Ignored, _) => return Err(Refused::LeftOut("the mapping ignores it")),
            (_, Reading::NotAvailable) => {
                return Err(Refused::LeftOut("not available; the row is left out"));
            }
            (_, Reading::Figure(figure)) => figure,
        };
        match (row.supplier, figure) {
            (Supplier::Country(country), figure) => {
                if let Some((line, _)) = self.rows.get(&country) {
                    let expected =
                        format!("a country of its own; it stands in line {line} already");
                    return Err(Refused::Wrong(expected));
                }
                let draft = ReportDraftRow { country, figure, estimated: row.estimated };
                self.rows.insert(country, (row.line, draft));
            }
            (Supplier::Total, Figure::QuantityMilli(_)) if self.total_milli.is_some() => {
                return Err(Refused::Wrong("the only total of its report".to_owned()));
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
                // More than the whole is refused with all rows together.
                let sum = Ppm::new(before.saturating_add(share.get())).unwrap_or(Ppm::ONE);
                self.other = Some(Figure::Share(sum));
            }
            (Supplier::Other, Figure::Withheld) => {
                return Err(Refused::LeftOut("withheld, and not one country; the row is left out"));
            }
            (Supplier::Total, Figure::Share(_) | Figure::Withheld) => {
                return Err(Refused::LeftOut("no quantity, so no published total"));
            }
            (Supplier::Ignored, _) => {}
        }
        Ok(())
    }

    fn into_report(self, key: Key, kind: FigureKind, faults: &mut Faults) -> Option<Report> {
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
        let refused = |fault: lodewatch_core::domain::market::ReportFault| {
            let (report, why) = (format!("{market} {period}"), fault.to_string());
            faults.add(Error::Report { first, last, report, why });
        };
        Report::parse(draft).map_err(|all| all.into_iter().for_each(refused)).ok()
    }
}
