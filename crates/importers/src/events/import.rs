//! Lines → threats.

use super::super::ErrorCollector;
use super::super::sheet::{Column, Sheet, field, invalid};
use super::super::{Error, ImportedThreats, SkippedItem, near, number};
use super::words::{self, MeasureType};
use csv::StringRecord;
use lodewatch_core::domain::calendar::{Calendar, Suspension};
use lodewatch_core::domain::slug::ALLOWED;
use lodewatch_core::domain::threat::Measure;
use lodewatch_core::domain::{Country, Day, Mineral, Slug, Threat};
use std::collections::BTreeSet;

/// Reads a list of export-control measures.
///
/// # Errors
///
/// A damaged file, a missing column, or the first invalid field of every line, with its column;
/// contradicting dates are invalid too.
pub fn read(bytes: &[u8]) -> Result<ImportedThreats, Error> {
    let sheet = Sheet::parse(bytes)?;
    if !sheet.has("event_id") {
        let expected = "a list of export-control measures (event_id, title, imposing, ...)";
        return Err(Error::UnknownHeader { header: sheet.shown_header(), expected });
    }
    let columns = Columns::find(&sheet)?;
    let mut import = ImportedThreats { threats: Vec::new(), skipped: Vec::new() };
    let mut errors = ErrorCollector::default();
    let mut ids = BTreeSet::new();
    for record in sheet.records() {
        if !ids.insert(field(record, columns.id)) {
            errors.push(invalid(record, columns.id, "a unique id; an earlier line has it"));
            continue;
        }
        errors.check(columns.read(record, &mut import));
    }
    // A threat that replaces another must exist, so that readers can follow the reference.
    let known: BTreeSet<Slug> = import.threats.iter().map(|threat| threat.id.clone()).collect();
    for threat in &mut import.threats {
        threat.superseded_by = threat.superseded_by.take().filter(|id| known.contains(id));
    }
    errors.finish(import)
}

struct Columns {
    id: Column<'static>,
    title: Column<'static>,
    imposing: Column<'static>,
    authority: Column<'static>,
    destination: Column<'static>,
    minerals: Column<'static>,
    form: Column<'static>,
    measure: Column<'static>,
    announced: Column<'static>,
    effective: Column<'static>,
    suspended: Column<'static>,
    until: Column<'static>,
    removed: Column<'static>,
    detail: Column<'static>,
    certainty: Column<'static>,
    source: Column<'static>,
}

impl Columns {
    fn find(sheet: &Sheet) -> Result<Self, Error> {
        Ok(Self {
            id: sheet.column("event_id")?,
            title: sheet.column("title")?,
            imposing: sheet.column("imposing")?,
            authority: sheet.column("authority_level")?,
            destination: sheet.column("destination")?,
            minerals: sheet.column("minerals")?,
            form: sheet.column("stage_or_form")?,
            measure: sheet.column("measure_type")?,
            announced: sheet.column("date_announced")?,
            effective: sheet.column("date_effective")?,
            suspended: sheet.column("date_suspended")?,
            until: sheet.column("suspended_until")?,
            removed: sheet.column("date_removed")?,
            detail: sheet.column("detail")?,
            certainty: sheet.column("certainty")?,
            source: sheet.column("source")?,
        })
    }

    fn read(&self, record: &StringRecord, import: &mut ImportedThreats) -> Result<(), Error> {
        let measure_type = words::parse_measure_type(field(record, self.measure))
            .ok_or_else(|| invalid(record, self.measure, format!("one of {}", words::MEASURES)))?;
        match measure_type {
            MeasureType::NotExportControl(reason) => {
                let item = field(record, self.id).to_owned();
                import.skipped.push(SkippedItem { item, reason: reason.to_owned() });
            }
            MeasureType::Unspecified => {
                let threat = self.threat(record, Measure::Other, Calendar::default())?;
                import.threats.push(threat);
            }
            MeasureType::Measures(measures) => {
                let calendar = self.calendar(record)?;
                let several = measures.len() > 1;
                for measure in measures {
                    let threat = self.threat(record, measure, calendar.clone())?;
                    import.threats.push(if several { self.part(record, threat)? } else { threat });
                }
            }
        }
        Ok(())
    }

    fn threat(
        &self,
        record: &StringRecord,
        measure: Measure,
        calendar: Calendar,
    ) -> Result<Threat, Error> {
        let text = |column| field(record, column);
        let destination = text(self.destination);
        let no_country = || {
            format!(
                "a country, its alpha-3 code or name{}",
                near(&Country::similar_names(text(self.imposing)))
            )
        };
        let no_level = "one of supranational, national, sub-national, non-state, firm";
        Ok(Threat {
            id: Slug::parse(text(self.id)).ok_or_else(|| invalid(record, self.id, ALLOWED))?,
            state_act: None,
            title: Self::short(record, self.title)?.into(),
            evidence: words::parse_evidence(Self::short(record, self.source)?)
                .into_iter()
                .take(Threat::EVIDENCE_MAX)
                .collect(),
            imposing: Country::parse(text(self.imposing))
                .ok_or_else(|| invalid(record, self.imposing, no_country()))?,
            authority: words::parse_authority(text(self.authority))
                .ok_or_else(|| invalid(record, self.authority, no_level))?,
            scope: words::parse_scope(destination)
                .ok_or_else(|| invalid(record, self.destination, "ALL, a country or a bloc"))?,
            end_use: words::parse_end_use(destination, text(self.detail)),
            minerals: self.minerals(record)?,
            stages: words::parse_stages(text(self.form)),
            measure,
            quota: None,
            tax_rate: None,
            t_override: None,
            calendar,
            superseded_by: words::parse_superseded_by(text(self.detail)).and_then(Slug::parse),
            confidence: words::parse_confidence(text(self.certainty)).ok_or_else(|| {
                invalid(record, self.certainty, "one of verified, secondary, unverified")
            })?,
            revision: 1,
        })
    }

    /// One of several measures of a line: it has an id of its own, and the line's id as state act.
    fn part(&self, record: &StringRecord, whole: Threat) -> Result<Threat, Error> {
        let id = Slug::parse(&format!("{}-{}", whole.id, whole.measure)).ok_or_else(|| {
            invalid(record, self.id, "short enough for the measure's name after it")
        })?;
        Ok(Threat { state_act: Some(whole.id), id, ..whole })
    }

    fn minerals(&self, record: &StringRecord) -> Result<Vec<Mineral>, Error> {
        let mut minerals = Vec::new();
        for name in field(record, self.minerals).split(';') {
            let mineral = Mineral::parse(name).ok_or_else(|| {
                let expected = format!(
                    "a list of minerals of the catalogue: {name} is unknown{}",
                    near(&Mineral::similar_names(name))
                );
                invalid(record, self.minerals, expected)
            })?;
            if !minerals.contains(&mineral) {
                minerals.push(mineral);
            }
        }
        Ok(minerals)
    }

    fn short<'a>(record: &'a StringRecord, column: Column<'_>) -> Result<&'a str, Error> {
        let text = field(record, column);
        let max = Threat::TEXT_MAX;
        if text.len() <= max {
            Ok(text)
        } else {
            Err(invalid(record, column, format!("at most {max} bytes")))
        }
    }

    fn calendar(&self, record: &StringRecord) -> Result<Calendar, Error> {
        let removed = Self::day(record, self.removed)?;
        let until = Self::day(record, self.until)?;
        let suspensions = match (Self::day(record, self.suspended)?, until) {
            (Some(from), until) => vec![Suspension { from, until }],
            (None, None) => Vec::new(),
            (None, Some(_)) => {
                return Err(invalid(record, self.until, "empty like date_suspended"));
            }
        };
        let effective = Self::day(record, self.effective)?
            .filter(|effective| removed.is_none_or(|removed| *effective <= removed));
        let announced = Self::day(record, self.announced)?;
        let calendar = Calendar { announced, effective, suspensions, removed };
        match calendar.faults().first() {
            None => Ok(calendar),
            Some(fault) => Err(invalid(record, self.id, format!("a valid measure: {fault}"))),
        }
    }

    fn day(record: &StringRecord, column: Column<'_>) -> Result<Option<Day>, Error> {
        let text = field(record, column);
        if text.is_empty() {
            return Ok(None);
        }
        number::parse_day(text)
            .map(Some)
            .ok_or_else(|| invalid(record, column, number::DAY_ALLOWED))
    }
}
