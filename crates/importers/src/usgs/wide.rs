//! MCS 2025: a line a country, with a column a year.

use super::super::Error;
use super::super::sheet::{Sheet, field, wrong};
use super::figure::Reading;
use super::import::{Cell, Release};

/// Whether a sheet has this release's header.
pub(super) fn is_of(sheet: &Sheet) -> bool {
    sheet.has("SOURCE") && sheet.has("COMMODITY")
}

/// The commodity of every line, and whether the line is of production.
pub(super) fn commodities(sheet: &Sheet) -> Result<Vec<(&str, bool)>, Error> {
    let commodity = sheet.column("COMMODITY")?;
    let kind = sheet.column("TYPE")?;
    let line = |record| (field(record, commodity), is_production(field(record, kind)));
    Ok(sheet.records().iter().map(line).collect())
}

/// The figures of production, in the order of the file, both years of a line one after the other.
pub(super) fn cells(sheet: &Sheet) -> Result<Vec<Cell>, Error> {
    let source = sheet.column("SOURCE")?;
    let commodity = sheet.column("COMMODITY")?;
    let country = sheet.column("COUNTRY")?;
    let kind = sheet.column("TYPE")?;
    let unit = sheet.column("UNIT_MEAS")?;
    let values = [sheet.column("PROD_2023")?, sheet.column("PROD_EST_2024")?];
    let notes = sheet.column("PROD_NOTES")?;
    let mut cells = Vec::new();
    for record in sheet.records() {
        if field(record, source) != "MCS2025" {
            let expected = "MCS2025, the only release of this form that is known here";
            return Err(wrong(record, source, expected));
        }
        let detail = field(record, kind);
        if !is_production(detail) {
            continue;
        }
        let note = Note::new(field(record, notes));
        for (year, value) in Release::MCS_2025.years.into_iter().zip(values) {
            cells.push(Cell {
                commodity: field(record, commodity).to_owned(),
                detail: detail.to_owned(),
                place: field(record, country).to_owned(),
                unit: field(record, unit).to_owned(),
                year,
                reading: note.reading(field(record, value), year),
                estimated: note.is_estimate(year, detail),
            });
        }
    }
    Ok(cells)
}

fn is_production(kind: &str) -> bool {
    let kind = kind.to_lowercase();
    !kind.contains("capacity") && !kind.starts_with("reserves")
}

/// What stands beside the figures of a line.
struct Note {
    text: String,
    /// `Processed ore sold and used by producers, reported` says two things.
    parts: Vec<String>,
}

impl Note {
    fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let parts = text.split([',', '.', ';']).map(|part| part.trim().to_owned()).collect();
        Self { text, parts }
    }

    fn reading(&self, value: &str, year: i16) -> Reading {
        if !value.is_empty() {
            return Reading::parse(value, &self.text);
        }
        if self.says("w", year) {
            Reading::Withheld
        } else if self.says("na", year) {
            Reading::not_available()
        } else if self.text == "xx" {
            Reading::not_applicable()
        } else {
            Reading::of_note(&self.text).unwrap_or(Reading::Milli(0))
        }
    }

    /// Whether the note is a mark alone, or with the years it is for: `NA`, `na for 2023`, `W for 23-24`.
    fn says(&self, mark: &str, year: i16) -> bool {
        let Some(rest) = self.text.strip_prefix(mark) else { return false };
        let short_year = (year % 100).to_string();
        rest.is_empty() || (rest.starts_with(" for ") && rest.contains(&short_year))
    }

    /// The second column holds estimates and so do some tables, unless a line says `reported`; other lines say
    /// `estimated`, or `estimated 2023` for that year alone.
    fn is_estimate(&self, year: i16, kind: &str) -> bool {
        let [first, second] = Release::MCS_2025.years;
        let says = |what: &str| self.parts.iter().any(|part| part == what);
        let by_note = self.parts.iter().any(|part| {
            part.starts_with("estimated") && (year == first || !part.contains(&first.to_string()))
        });
        let by_column = year == second || kind.to_lowercase().contains("estimated");
        // The release spells it both ways.
        by_note || (by_column && !says("reported") && !says("reproted"))
    }
}
