//! Figures → one distribution a market and year → reports.

use super::super::{Reports, Skipped};
use super::figure::Reading;
use super::import::{Cell, Release};
use super::tables::{Table, find};
use lodewatch_core::domain::market::{Denominator, Figure, Period, ReportDraft, ReportDraftRow};
use lodewatch_core::domain::{Country, MarketKey, Report, Slug};
use std::collections::BTreeMap;

/// Gathers the figures of every market and year, and makes reports of them.
pub(super) fn assemble(cells: Vec<Cell>, release: &Release) -> Reports {
    let mut distributions: BTreeMap<(MarketKey, i16), Distribution> = BTreeMap::new();
    let mut skipped = Vec::new();
    for cell in cells {
        match find(&cell.commodity, &cell.detail) {
            Some(Table::Market(market)) => {
                let name = format!("{market} {}", cell.year);
                let distribution = distributions.entry((*market, cell.year)).or_default();
                distribution.add(cell, &name, &mut skipped);
            }
            Some(Table::Unusable { wholly: true, why }) => {
                tell_once(&mut skipped, cell.commodity, why);
            }
            Some(Table::Unusable { wholly: false, why }) => {
                tell_once(&mut skipped, cell.table(), why);
            }
            None => tell_once(&mut skipped, cell.table(), "this table is not known here"),
        }
    }
    let mut reports = Vec::new();
    for ((market, year), distribution) in distributions {
        match distribution.into_report(market, year, release) {
            Ok(report) => reports.push(report),
            Err(why) => skipped.push(Skipped { what: format!("{market} {year}"), why }),
        }
    }
    Reports { reports, skipped }
}

/// A table stands in many rows; it is told once.
fn tell_once(skipped: &mut Vec<Skipped>, what: String, why: &str) {
    let told = Skipped { what, why: why.to_owned() };
    if !skipped.contains(&told) {
        skipped.push(told);
    }
}

/// What a row is about.
enum Supplier {
    Country(Country),
    Other,
    World,
    /// Several countries together, or a name that is no country's.
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
    world: Option<Reading>,
    unit: String,
}

impl Distribution {
    fn add(&mut self, cell: Cell, name: &str, skipped: &mut Vec<Skipped>) {
        let mut tell = |why: String| {
            skipped.push(Skipped { what: format!("{name}, {}", cell.place), why });
        };
        if self.unit.is_empty() {
            self.unit = cell.unit;
        }
        match (Supplier::parse(&cell.place), cell.reading) {
            (Supplier::World, reading) if self.world.is_none() => self.world = Some(reading),
            (Supplier::World, _) => tell("a second world total; the first one counts".to_owned()),
            (_, Reading::None(why)) => tell(format!("{why}; the row is left out")),
            (Supplier::Country(country), Reading::Milli(milli)) => {
                let estimated = cell.estimated && milli > 0;
                self.add_row(country, Figure::QuantityMilli(milli), estimated);
            }
            (Supplier::Country(country), Reading::Withheld) => {
                self.add_row(country, Figure::Withheld, false);
            }
            (Supplier::Other, Reading::Milli(milli)) => self.add_other(milli),
            (Supplier::Unknown, Reading::Milli(milli)) => {
                self.add_other(milli);
                tell("is not one country; counted with other countries".to_owned());
            }
            (Supplier::Other | Supplier::Unknown, Reading::Withheld) => {
                tell("withheld, and not one country; the row is left out".to_owned());
            }
        }
    }

    /// Several rows of one country are parts of its production; with one of them withheld the sum is not known.
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
            Some(Reading::Milli(milli)) => milli,
            Some(Reading::Withheld) => return Err("the world total is withheld".to_owned()),
            Some(Reading::None(why)) => {
                return Err(format!("the source has no world total: {why}"));
            }
            None => {
                return Err(
                    "there is no row of the world total; is the table cut short?".to_owned()
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
