//! MCS 2025: a line per country, a column per year.

use super::super::Error;
use super::super::sheet::{Sheet, field, invalid};
use super::figure::ProductionValue;
use super::import::{ProductionCell, Release};

/// Whether a sheet has the header of this release.
pub(super) fn has_header(sheet: &Sheet) -> bool {
    sheet.has("SOURCE") && sheet.has("COMMODITY")
}

/// The commodity of every line, and whether the line is production.
pub(super) fn commodities(sheet: &Sheet) -> Result<Vec<(&str, bool)>, Error> {
    let commodity = sheet.column("COMMODITY")?;
    let kind = sheet.column("TYPE")?;
    let line = |record| (field(record, commodity), is_production(field(record, kind)));
    Ok(sheet.records().iter().map(line).collect())
}

/// The figures of production in the order of the file, both years of a line one after the other.
pub(super) fn cells(sheet: &Sheet) -> Result<Vec<ProductionCell>, Error> {
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
            let expected = "MCS2025, the only known release of this form";
            return Err(invalid(record, source, expected));
        }
        let detail = field(record, kind);
        if !is_production(detail) {
            continue;
        }
        let note = ProductionNote::new(field(record, notes));
        for (year, value) in Release::MCS_2025.years.into_iter().zip(values) {
            cells.push(ProductionCell {
                commodity: field(record, commodity).to_owned(),
                detail: detail.to_owned(),
                country: field(record, country).to_owned(),
                unit: field(record, unit).to_owned(),
                year,
                value: note.value(field(record, value), year),
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

/// The note beside the figures of a line.
struct ProductionNote {
    text: String,
    /// `Processed ore sold and used by producers, reported` has two parts.
    parts: Vec<String>,
}

impl ProductionNote {
    fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let parts = text.split([',', '.', ';']).map(|part| part.trim().to_owned()).collect();
        Self { text, parts }
    }

    fn value(&self, text: &str, year: i16) -> ProductionValue {
        if !text.is_empty() {
            return ProductionValue::parse(text, &self.text);
        }
        if self.has_mark("w", year) {
            ProductionValue::Withheld
        } else if self.has_mark("na", year) {
            ProductionValue::not_available()
        } else if self.text == "xx" {
            ProductionValue::not_applicable()
        } else {
            ProductionValue::of_note(&self.text).unwrap_or(ProductionValue::Milli(0))
        }
    }

    /// Whether the note is a mark, alone or with the years it is for: `NA`, `na for 2023`, `W for
    /// 23-24`.
    fn has_mark(&self, mark: &str, year: i16) -> bool {
        let Some(rest) = self.text.strip_prefix(mark) else { return false };
        let short_year = (year % 100).to_string();
        rest.is_empty() || (rest.starts_with(" for ") && rest.contains(&short_year))
    }

    /// The second column and some tables hold estimates, unless the note of a line is `reported`;
    /// other lines have the note `estimated`, or `estimated 2023` for that year only.
    fn is_estimate(&self, year: i16, kind: &str) -> bool {
        let [first, second] = Release::MCS_2025.years;
        let has_part = |what: &str| self.parts.iter().any(|part| part == what);
        let by_note = self.parts.iter().any(|part| {
            part.starts_with("estimated") && (year == first || !part.contains(&first.to_string()))
        });
        let by_column = year == second || kind.to_lowercase().contains("estimated");
        // The release spells it both ways.
        by_note || (by_column && !has_part("reported") && !has_part("reproted"))
    }
}
