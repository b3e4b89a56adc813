//! MCS 2026: a line a figure, among them much that is not world production.

use super::super::Error;
use super::super::sheet::{Sheet, field, line_of};
use super::figure::Reading;
use super::import::{Cell, Release};

/// Whether a sheet has this release's header.
pub(super) fn is_of(sheet: &Sheet) -> bool {
    sheet.has("MCS chapter")
}

/// The figures of world production, in the order of the file.
pub(super) fn cells(sheet: &Sheet) -> Result<Vec<Cell>, Error> {
    let section = sheet.column("Section")?;
    let commodity = sheet.column("Commodity")?;
    let country = sheet.column("Country")?;
    let statistics = sheet.column("Statistics")?;
    let detail = sheet.column("Statistics_detail")?;
    let unit = sheet.column("Unit")?;
    let year = sheet.column("Year")?;
    let value = sheet.column("Value")?;
    let notes = sheet.column("Notes")?;
    let mut cells = Vec::new();
    for record in sheet.records() {
        let is_world = field(record, section).starts_with("World");
        if !is_world || field(record, statistics) != "Production" {
            continue;
        }
        let note = field(record, notes);
        let reading = Reading::parse(field(record, value), note);
        cells.push(Cell {
            commodity: field(record, commodity).to_owned(),
            detail: field(record, detail).to_owned(),
            place: field(record, country).to_owned(),
            unit: field(record, unit).to_owned(),
            year: parse_year(field(record, year), line_of(record))?,
            estimated: note.starts_with("Estimated"),
            reading,
        });
    }
    Ok(cells)
}

/// Another year is of another release, of which neither the day nor the tables are known.
fn parse_year(text: &str, line: u64) -> Result<i16, Error> {
    let years = Release::MCS_2026.years;
    text.parse().ok().filter(|year| years.contains(year)).ok_or_else(|| Error::Field {
        line,
        column: "Year",
        value: text.to_owned(),
        expected: format!("a year of this release, {} or {}", years[0], years[1]),
    })
}
