//! Chooses the release by the header.

use super::super::sheet::Sheet;
use super::super::{Error, ImportedReports, SkippedItem};
use super::{assemble, long, wide};
use lodewatch_core::domain::Day;
use std::collections::BTreeMap;

/// One release of the Mineral Commodity Summaries.
pub(super) struct Release {
    pub(super) url: &'static str,
    /// Year, month and day.
    pub(super) released: (i16, i8, i8),
    /// The years of its world tables.
    pub(super) years: [i16; 2],
}

impl Release {
    pub(super) const MCS_2025: Self = Self {
        url: "https://doi.org/10.5066/P13XCP3R",
        released: (2025, 1, 31),
        years: [2023, 2024],
    };
    pub(super) const MCS_2026: Self = Self {
        url: "https://doi.org/10.5066/P1WKQ63T",
        released: (2026, 2, 6),
        years: [2024, 2025],
    };

    pub(super) fn vintage(&self) -> Day {
        let (year, month, day) = self.released;
        Day::from_ymd(year, month, day).expect("the day of a release is in the calendar")
    }
}

/// One figure of a world table, in the same form for both releases.
pub(super) struct ProductionCell {
    pub(super) commodity: String,
    pub(super) detail: String,
    pub(super) country: String,
    pub(super) unit: String,
    pub(super) year: i16,
    pub(super) value: super::figure::ProductionValue,
    pub(super) estimated: bool,
}

impl ProductionCell {
    /// The table that it is in, as the source names it.
    pub(super) fn table(&self) -> String {
        format!("{}, {}", self.commodity, self.detail)
    }
}

/// Reads either release.
///
/// # Errors
///
/// A damaged file, an unknown release, or a missing column.
pub fn read(bytes: &[u8]) -> Result<ImportedReports, Error> {
    let sheet = Sheet::parse(bytes)?;
    if long::has_header(&sheet) {
        let mut import = assemble::assemble(long::cells(&sheet)?, &Release::MCS_2026);
        import.skipped.extend(without_production(long::commodities(&sheet)?));
        Ok(import)
    } else if wide::has_header(&sheet) {
        let mut import = assemble::assemble(wide::cells(&sheet)?, &Release::MCS_2025);
        import.skipped.extend(without_production(wide::commodities(&sheet)?));
        Ok(import)
    } else {
        Err(Error::UnknownHeader {
            header: sheet.shown_header(),
            expected: "USGS MCS 2025 (SOURCE, COMMODITY, COUNTRY, ...) or MCS 2026 (MCS chapter, Section, ...)",
        })
    }
}

/// Commodities of which a release has lines, but none of world production. `lines` has every line's
/// commodity, and whether the line is world production.
fn without_production(lines: Vec<(&str, bool)>) -> Vec<SkippedItem> {
    let mut commodities: BTreeMap<&str, bool> = BTreeMap::new();
    for (commodity, is_production) in lines {
        *commodities.entry(commodity).or_default() |= is_production;
    }
    let reason = "the source has no table of its world production";
    let without = commodities.into_iter().filter(|(_, has)| !has);
    without
        .map(|(item, _)| SkippedItem { item: item.to_owned(), reason: reason.to_owned() })
        .collect()
}
