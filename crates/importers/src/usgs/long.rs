//! MCS 2026: a line per figure; many of them are not world production.

use super::super::Error;
use super::super::sheet::{Column, Sheet, field, invalid};
use super::figure::ProductionValue;
use super::import::{ProductionCell, Release};
use csv::StringRecord;

/// Whether a sheet has the header of this release.
pub(super) fn has_header(sheet: &Sheet) -> bool {
    sheet.has("MCS chapter")
}

/// The chapter of every line, and whether the line is world production.
pub(super) fn commodities(sheet: &Sheet) -> Result<Vec<(&str, bool)>, Error> {
    let chapter = sheet.column("MCS chapter")?;
    let production = Production::of(sheet)?;
    let line = |record| (field(record, chapter), production.is_in(record));
    Ok(sheet.records().iter().map(line).collect())
}

/// The figures of world production, in the order of the file.
pub(super) fn cells(sheet: &Sheet) -> Result<Vec<ProductionCell>, Error> {
    let production = Production::of(sheet)?;
    let commodity = sheet.column("Commodity")?;
    let country = sheet.column("Country")?;
    let detail = sheet.column("Statistics_detail")?;
    let unit = sheet.column("Unit")?;
    let year = sheet.column("Year")?;
    let figure = sheet.column("Value")?;
    let notes = sheet.column("Notes")?;
    let mut cells = Vec::new();
    for record in sheet.records().iter().filter(|record| production.is_in(record)) {
        let note = field(record, notes);
        let value = ProductionValue::parse(field(record, figure), note);
        cells.push(ProductionCell {
            commodity: field(record, commodity).to_owned(),
            detail: field(record, detail).to_owned(),
            country: field(record, country).to_owned(),
            unit: field(record, unit).to_owned(),
            year: parse_year(record, year)?,
            estimated: note.starts_with("Estimated"),
            value,
        });
    }
    Ok(cells)
}

/// The columns that mark world production.
struct Production {
    section: Column<'static>,
    statistics: Column<'static>,
}

impl Production {
    fn of(sheet: &Sheet) -> Result<Self, Error> {
        Ok(Self { section: sheet.column("Section")?, statistics: sheet.column("Statistics")? })
    }

    fn is_in(&self, record: &StringRecord) -> bool {
        field(record, self.section).starts_with("World")
            && field(record, self.statistics) == "Production"
    }
}

/// Another year belongs to another release, whose day and tables are unknown.
fn parse_year(record: &StringRecord, column: Column<'_>) -> Result<i16, Error> {
    let [first, second] = Release::MCS_2026.years;
    let year = field(record, column).parse().ok();
    year.filter(|year| [first, second].contains(year)).ok_or_else(|| {
        invalid(record, column, format!("a year of this release, {first} or {second}"))
    })
}
