//! Figures → one distribution per market and year → reports.

use super::super::{ImportedReports, SkippedItem};
use super::figure::ProductionValue;
use super::import::{ProductionCell, Release};
use super::tables::{SourceTable, find};
use lodewatch_core::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
use lodewatch_core::domain::{Country, MarketKey, Report, Slug};
use std::collections::BTreeMap;

/// Groups figures by market and year, and makes reports of them.
pub(super) fn assemble(cells: Vec<ProductionCell>, release: &Release) -> ImportedReports {
    let mut distributions: BTreeMap<(MarketKey, i16), Distribution> = BTreeMap::new();
    let mut skipped = Vec::new();
    for cell in cells {
        match find(&cell.commodity, &cell.detail) {
            Some(SourceTable::Market(market)) => {
                let name = format!("{market} {}", cell.year);
                let distribution = distributions.entry((*market, cell.year)).or_default();
                distribution.add(cell, &name, &mut skipped);
            }
            Some(SourceTable::Unusable { wholly: true, reason }) => {
                skip_once(&mut skipped, cell.commodity, reason);
            }
            Some(SourceTable::Unusable { wholly: false, reason }) => {
                skip_once(&mut skipped, cell.table(), reason);
            }
            None => skip_once(&mut skipped, cell.table(), "unknown table"),
        }
    }
    let mut reports = Vec::new();
    for ((market, year), distribution) in distributions {
        match distribution.into_report(market, year, release) {
            Ok(report) => reports.push(report),
            Err(reason) => {
                skipped.push(SkippedItem { item: format!("{market} {year}"), reason });
            }
        }
    }
    ImportedReports { reports, skipped }
}

/// A table has many rows and is reported once.
fn skip_once(skipped: &mut Vec<SkippedItem>, item: String, reason: &str) {
    let skip = SkippedItem { item, reason: reason.to_owned() };
    if !skipped.contains(&skip) {
        skipped.push(skip);
    }
}

/// Whose figure a row has.
enum Supplier {
    Country(Country),
    Other,
    World,
    /// Several countries together, or a name that is not a country.
    Unknown,
}

impl Supplier {
    fn parse(text: &str) -> Self {
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if folded.starts_with("world") {
            return Self::World;
        }
        if folded.starts_with("other countries") || folded.starts_with("rest of world") {
            return Self::Other;
        }
        let unqualified = text.split_once('(').map_or(text, |(name, _)| name);
        Country::parse(text)
            .or_else(|| Country::parse(unqualified))
            .map_or(Self::Unknown, Self::Country)
    }
}

/// The rows of one market and year as they come in.
#[derive(Default)]
struct Distribution {
    rows: BTreeMap<Country, ReportDraftRow>,
    other_milli: Option<u64>,
    world: Option<ProductionValue>,
    unit: String,
}

impl Distribution {
    fn add(&mut self, cell: ProductionCell, name: &str, skipped: &mut Vec<SkippedItem>) {
        let mut skip = |reason: String| {
            skipped.push(SkippedItem { item: format!("{name}, {}", cell.country), reason });
        };
        if self.unit.is_empty() {
            self.unit = cell.unit;
        }
        match (Supplier::parse(&cell.country), cell.value) {
            (Supplier::World, value) if self.world.is_none() => self.world = Some(value),
            (Supplier::World, _) => skip("second world total; the first one is used".to_owned()),
            (_, ProductionValue::None(reason)) => skip(reason),
            (Supplier::Country(country), ProductionValue::Milli(milli)) => {
                let estimated = cell.estimated && milli > 0;
                self.add_row(country, Figure::QuantityMilli(milli), estimated);
            }
            (Supplier::Country(country), ProductionValue::Withheld) => {
                self.add_row(country, Figure::Withheld, false);
            }
            (Supplier::Other, ProductionValue::Milli(milli)) => self.add_other(milli),
            (Supplier::Unknown, ProductionValue::Milli(milli)) => {
                self.add_other(milli);
                skip("not a single country; its figure is added to other countries".to_owned());
            }
            (Supplier::Other | Supplier::Unknown, ProductionValue::Withheld) => {
                skip("withheld, and not a single country".to_owned());
            }
        }
    }

    /// Several rows of one country are parts of its production; the sum is unknown where one of
    /// them is withheld.
    fn add_row(&mut self, country: Country, figure: Figure, estimated: bool) {
        let Some(row) = self.rows.get_mut(&country) else {
            self.rows.insert(country, ReportDraftRow { country, figure, estimated });
            return;
        };
        row.estimated |= estimated;
        row.figure = match (row.figure, figure) {
            (Figure::QuantityMilli(one), Figure::QuantityMilli(other)) => {
                Figure::QuantityMilli(one.saturating_add(other))
            }
            (Figure::Withheld | Figure::QuantityMilli(_) | Figure::Share(_), _) => Figure::Withheld,
        };
    }

    fn add_other(&mut self, milli: u64) {
        self.other_milli = Some(self.other_milli.unwrap_or(0).saturating_add(milli));
    }

    fn into_report(
        self,
        market: MarketKey,
        year: i16,
        release: &Release,
    ) -> Result<Report, String> {
        let total = match self.world {
            Some(ProductionValue::Milli(milli)) => milli,
            Some(ProductionValue::Withheld) => return Err("the world total is withheld".to_owned()),
            Some(ProductionValue::None(reason)) => {
                return Err(format!("the source has no world total: {reason}"));
            }
            None => {
                return Err(
                    "no row with the world total; check whether the table is truncated".to_owned()
                );
            }
        };
        let draft = ReportDraft {
            market,
            source: Slug::parse("USGS").expect("a plain name"),
            period: Period::Year(year),
            vintage: release.vintage(),
            unit: self.unit.into(),
            rows: self.rows.into_values().collect(),
            residual: self.other_milli.map(Figure::QuantityMilli),
            denominator: Denominator::SumOfRows,
            published_total_milli: Some(total),
            url: release.url.into(),
        };
        Report::parse(draft)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}
