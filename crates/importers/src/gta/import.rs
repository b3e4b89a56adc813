//! Lines → threats.

use super::super::ErrorCollector;
use super::super::sheet::{Column, Sheet, field, invalid};
use super::super::{Error, ImportedThreats, SkippedItem, number};
use csv::StringRecord;
use lodewatch_core::domain::calendar::Calendar;
use lodewatch_core::domain::market::MarketKey;
use lodewatch_core::domain::policy::Jurisdiction;
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Evidence, Measure, Scope};
use lodewatch_core::domain::{Country, Day, HsCode, Mineral, Slug, Stage, Threat};
use std::collections::BTreeSet;

/// Reads an export of interventions.
///
/// # Errors
///
/// A damaged file, a missing column, or every invalid field, with its line and column.
pub fn read(bytes: &[u8]) -> Result<ImportedThreats, Error> {
    let sheet = Sheet::parse(bytes)?;
    if !sheet.has("Intervention ID") {
        let expected = "an export of Global Trade Alert (Intervention ID, State Act ID, ...)";
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
        columns.read(record, &mut import, &mut errors);
    }
    errors.finish(import)
}

struct Columns {
    id: Column<'static>,
    act: Column<'static>,
    title: Column<'static>,
    evaluation: Column<'static>,
    imposing: Column<'static>,
    affected: Column<'static>,
    kind: Column<'static>,
    products: Column<'static>,
    announced: Column<'static>,
    effective: Column<'static>,
    removed: Column<'static>,
    url: Option<Column<'static>>,
    level: Option<Column<'static>>,
    firms: Option<Column<'static>>,
}

/// What all threats of a line have in common.
struct Intervention<'a> {
    id: &'a str,
    title: &'a str,
    group: Option<Slug>,
    measure: Measure,
    authority: Authority,
    end_use: EndUse,
    scope: Scope,
    calendar: Calendar,
    url: String,
}

impl Columns {
    fn find(sheet: &Sheet) -> Result<Self, Error> {
        let mut errors = ErrorCollector::default();
        let mut column = |names: &[&'static str]| errors.check(sheet.column_of(names));
        let columns = [
            column(&["Intervention ID"]),
            column(&["State Act ID"]),
            column(&["State Act Title", "Title"]),
            column(&["GTA Evaluation"]),
            column(&["Implementing Jurisdictions", "Implementing Jurisdiction"]),
            column(&["Affected Jurisdictions", "Affected Jurisdiction"]),
            column(&["Intervention Type"]),
            column(&["Affected Products"]),
            column(&["Date Announced", "Announcement Date"]),
            column(&["Date Implemented", "Inception Date", "Implementation Date"]),
            column(&["Date Removed", "Removal Date"]),
        ];
        errors.finish(())?;
        let [id, act, title, evaluation, imposing, affected, kind, products, ..] =
            columns.map(known);
        let [.., announced, effective, removed] = columns.map(known);
        Ok(Self {
            id,
            act,
            title,
            evaluation,
            imposing,
            affected,
            kind,
            products,
            announced,
            effective,
            removed,
            url: sheet.optional("Intervention URL"),
            level: sheet.optional("Implementation Level"),
            firms: sheet.optional("Eligible Firm"),
        })
    }

    fn read(
        &self,
        record: &StringRecord,
        import: &mut ImportedThreats,
        errors: &mut ErrorCollector,
    ) {
        let kind = field(record, self.kind);
        let item = format!("GTA-{}: {}", field(record, self.id), field(record, self.title));
        let skip = |import: &mut ImportedThreats, reason: &str| {
            let (item, reason) = (format!("{item} ({kind})"), reason.to_owned());
            import.skipped.push(SkippedItem { item, reason });
        };
        let measure = match parse_measure(kind) {
            Ok(_) if field(record, self.evaluation) == "Green" => {
                return skip(import, "eases exports");
            }
            Ok(measure) => measure,
            Err(reason) => return skip(import, reason),
        };
        let Some(markets) = errors.check(self.markets(record)) else { return };
        if markets.is_empty() {
            let names_none = field(record, self.products).is_empty();
            let reason = if names_none { "no product" } else { "no mineral of the catalogue" };
            return skip(import, reason);
        }
        let mut countries = |column| {
            let (known, unknown) = countries(field(record, column));
            for name in unknown {
                let reason =
                    "not a country of ISO 3166-1; the measure is imported without it".to_owned();
                import.skipped.push(SkippedItem { item: format!("{item}, {name}"), reason });
            }
            known
        };
        let (imposing, affected) = (countries(self.imposing), countries(self.affected));
        if imposing.is_empty() {
            return skip(import, "no implementing country of ISO 3166-1");
        }
        if affected.is_empty() && !field(record, self.affected).is_empty() {
            return skip(import, "no affected country of ISO 3166-1");
        }
        let Some(act) = errors.check(self.act(record, measure, scope(affected))) else { return };
        for country in imposing {
            for stage in Stage::ALL.iter().copied() {
                import.threats.extend(act.threat(country, stage, &markets));
            }
        }
    }

    fn act<'a>(
        &self,
        record: &'a StringRecord,
        measure: Measure,
        scope: Scope,
    ) -> Result<Intervention<'a>, Error> {
        let text = |column: Option<Column<'_>>| column.map_or("", |column| field(record, column));
        let id = field(record, self.id);
        if id.is_empty() || id.len() > 16 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid(record, self.id, "a number of at most 16 digits"));
        }
        for column in [Some(self.title), self.url].into_iter().flatten() {
            if field(record, column).len() > Threat::TEXT_MAX {
                let expected = format!("at most {} bytes", Threat::TEXT_MAX);
                return Err(invalid(record, column, expected));
            }
        }
        let state_act = field(record, self.act);
        let no_level = || invalid(record, self.level.unwrap_or(self.id), LEVELS);
        Ok(Intervention {
            id,
            title: field(record, self.title),
            group: Slug::parse(&format!("GTA-{state_act}")).filter(|_| !state_act.is_empty()),
            measure,
            authority: parse_authority(text(self.level)).ok_or_else(no_level)?,
            end_use: parse_end_use(text(self.firms)),
            scope,
            calendar: self.calendar(record)?,
            url: match text(self.url) {
                "" => format!("https://www.globaltradealert.org/intervention/{id}"),
                url => url.to_owned(),
            },
        })
    }

    /// The markets of the customs codes.
    fn markets(&self, record: &StringRecord) -> Result<BTreeSet<MarketKey>, Error> {
        let mut markets = BTreeSet::new();
        for code in parts(field(record, self.products)) {
            // Spreadsheets drop the zero of the first nine chapters, which have no mineral.
            let short = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit());
            let known = HsCode::parse(code).map(HsCode::markets).or(short.then_some(&[]));
            let known = known.ok_or_else(|| invalid(record, self.products, HsCode::ALLOWED))?;
            markets.extend(known);
        }
        Ok(markets)
    }

    fn calendar(&self, record: &StringRecord) -> Result<Calendar, Error> {
        let day = |column| {
            let text = field(record, column);
            // Some exports write an instant at midnight.
            let date = text.split([' ', 'T']).next().unwrap_or_default();
            match date {
                "" => Ok(None),
                _ => number::parse_day(date)
                    .map(Some)
                    .ok_or_else(|| invalid(record, column, number::DAY_ALLOWED)),
            }
        };
        let removed: Option<Day> = day(self.removed)?;
        let effective = day(self.effective)?
            .filter(|effective| removed.is_none_or(|removed| *effective <= removed));
        let announced = day(self.announced)?
            .map(|announced| [effective, removed].into_iter().flatten().fold(announced, Day::min));
        Ok(Calendar { announced, effective, suspensions: Vec::new(), removed })
    }
}

impl Intervention<'_> {
    /// The threat of one country at one stage; `None` where no mineral has that stage.
    fn threat(
        &self,
        imposing: Country,
        stage: Stage,
        markets: &BTreeSet<MarketKey>,
    ) -> Option<Threat> {
        let minerals: Vec<Mineral> =
            markets.iter().filter(|key| key.stage == stage).map(|key| key.mineral).collect();
        let id = Slug::parse(&format!("GTA-{}-{imposing}-{stage}", self.id));
        let evidence = Evidence {
            url: self.url.as_str().into(),
            publisher: "Global Trade Alert".into(),
            retrieved: None,
        };
        (!minerals.is_empty()).then(|| Threat {
            id: id.expect("digits, a country and a stage are a name"),
            state_act: self.group.clone(),
            title: self.title.into(),
            evidence: vec![evidence],
            imposing,
            authority: self.authority,
            scope: self.scope.clone(),
            end_use: self.end_use,
            minerals,
            stages: vec![stage],
            measure: self.measure,
            quota: None,
            tax_rate: None,
            t_override: None,
            calendar: self.calendar.clone(),
            superseded_by: None,
            confidence: Confidence::Reported,
            revision: 1,
        })
    }
}

fn known(column: Option<Column<'static>>) -> Column<'static> {
    column.expect("a header without errors has every column")
}

fn scope(affected: Vec<Country>) -> Scope {
    if affected.is_empty() {
        return Scope::All;
    }
    Scope::Only(affected.into_iter().map(Jurisdiction::Country).collect())
}

/// The countries of a list, each once, and the names that are not countries.
fn countries(list: &str) -> (Vec<Country>, Vec<&str>) {
    let (mut known, mut unknown) = (BTreeSet::new(), Vec::new());
    for name in parts(list) {
        match Country::parse(name) {
            Some(country) => drop(known.insert(country)),
            None => unknown.push(name),
        }
    }
    (known.into_iter().collect(), unknown)
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ';']).map(str::trim).filter(|part| !part.is_empty())
}

/// Parses an `Intervention Type`; the error is the reason to skip it.
fn parse_measure(text: &str) -> Result<Measure, &'static str> {
    match text {
        "Export ban" => Ok(Measure::Prohibition),
        "Export quota" => Ok(Measure::Quota),
        "Export tariff quota" => Ok(Measure::TariffQuota),
        "Export tax" => Ok(Measure::Tax),
        "Export licensing requirement" => Ok(Measure::Licensing),
        "Export price benchmark" => Ok(Measure::MinimumPrice),
        "Local supply requirement for exports" => Ok(Measure::DomesticSupplyObligation),
        "Export-related non-tariff measure, nes" => Ok(Measure::Other),
        "Export subsidy" => Err("does not restrict exports"),
        _ if text.starts_with("Export") => Err("unknown type of export measure"),
        _ => Err("does not restrict exports"),
    }
}

/// Parses an `Implementation Level`.
fn parse_authority(text: &str) -> Option<Authority> {
    match text {
        "" | "National" | "NFI" => Some(Authority::National),
        "Supranational" | "IFI" => Some(Authority::Supranational),
        "Subnational" | "SEZ" => Some(Authority::Subnational),
        _ => None,
    }
}

/// The levels that [`parse_authority`] accepts, for error messages.
const LEVELS: &str = "one of Supranational, National, Subnational, SEZ, IFI, NFI";

/// Parses an `Eligible Firm`.
fn parse_end_use(text: &str) -> EndUse {
    if text == "firm-specific" { EndUse::ListedEntities } else { EndUse::Any }
}
