//! The way in: lines → threats.

use super::super::faults::Faults;
use super::super::sheet::{Column, Sheet, field, wrong};
use super::super::{Error, Skipped, Threats, day};
use super::words;
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
/// Where the file is cut short or damaged, lacks a column, or holds something else than a column asks for; everything that
/// is wrong is said at once, with its line and column.
pub fn read(bytes: &[u8]) -> Result<Threats, Error> {
    let sheet = Sheet::parse(bytes)?;
    if !sheet.has("Intervention ID") {
        let expected =
            "that of an export of Global Trade Alert (Intervention ID, State Act ID, ...)";
        return Err(Error::UnknownHeader { header: sheet.header_shown(), expected });
    }
    let columns = Columns::find(&sheet)?;
    let mut import = Threats { threats: Vec::new(), skipped: Vec::new() };
    let mut faults = Faults::default();
    let mut ids = BTreeSet::new();
    for record in sheet.records() {
        if !ids.insert(field(record, columns.id)) {
            faults.add(wrong(record, columns.id, "an id of its own; it stands above already"));
            continue;
        }
        columns.read(record, &mut import, &mut faults);
    }
    faults.finish(import)
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

/// What is the same in all threats that a line becomes.
struct Act<'a> {
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
        let mut faults = Faults::default();
        let mut column = |names: &[&'static str]| faults.take(sheet.column_of(names));
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
        faults.finish(())?;
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

    fn read(&self, record: &StringRecord, import: &mut Threats, faults: &mut Faults) {
        let kind = field(record, self.kind);
        let what = format!("GTA-{}: {}", field(record, self.id), field(record, self.title));
        let left_out = |import: &mut Threats, why: &str| {
            import.skipped.push(Skipped { what: format!("{what} ({kind})"), why: why.to_owned() });
        };
        let measure = match words::measure(kind) {
            Ok(_) if field(record, self.evaluation) == "Green" => {
                return left_out(import, "it makes exports easier");
            }
            Ok(measure) => measure,
            Err(why) => return left_out(import, why),
        };
        let Some(markets) = faults.take(self.markets(record)) else { return };
        if markets.is_empty() {
            let names_none = field(record, self.products).is_empty();
            let why = if names_none {
                "it names no product"
            } else {
                "about no mineral of the catalogue"
            };
            return left_out(import, why);
        }
        let mut countries = |column| {
            let (known, unknown) = countries(field(record, column));
            for name in unknown {
                let why = "no country of ISO 3166-1; the measure is taken without it".to_owned();
                import.skipped.push(Skipped { what: format!("{what}, {name}"), why });
            }
            known
        };
        let (imposing, affected) = (countries(self.imposing), countries(self.affected));
        if imposing.is_empty() {
            return left_out(import, "of no country of ISO 3166-1");
        }
        if affected.is_empty() && !field(record, self.affected).is_empty() {
            return left_out(import, "aimed at no country of ISO 3166-1");
        }
        let Some(act) = faults.take(self.act(record, measure, scope(affected))) else { return };
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
    ) -> Result<Act<'a>, Error> {
        let text = |column: Option<Column<'_>>| column.map_or("", |column| field(record, column));
        let id = field(record, self.id);
        if id.is_empty() || id.len() > 16 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(record, self.id, "a number of at most 16 digits"));
        }
        for column in [Some(self.title), self.url].into_iter().flatten() {
            if field(record, column).len() > Threat::TEXT_MAX {
                let expected = format!("at most {} bytes", Threat::TEXT_MAX);
                return Err(wrong(record, column, expected));
            }
        }
        let state_act = field(record, self.act);
        let no_level = || wrong(record, self.level.unwrap_or(self.id), words::LEVELS);
        Ok(Act {
            id,
            title: field(record, self.title),
            group: Slug::parse(&format!("GTA-{state_act}")).filter(|_| !state_act.is_empty()),
            measure,
            authority: words::authority(text(self.level)).ok_or_else(no_level)?,
            end_use: words::end_use(text(self.firms)),
            scope,
            calendar: self.calendar(record)?,
            url: match text(self.url) {
                "" => format!("https://www.globaltradealert.org/intervention/{id}"),
                url => url.to_owned(),
            },
        })
    }

    /// What the codes stand for.
    fn markets(&self, record: &StringRecord) -> Result<BTreeSet<MarketKey>, Error> {
        let mut markets = BTreeSet::new();
        for code in parts(field(record, self.products)) {
            // Spreadsheets take the zero from codes of the first nine chapters, where no mineral is.
            let short = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit());
            let known = HsCode::parse(code).map(HsCode::markets).or(short.then_some(&[]));
            let known = known.ok_or_else(|| wrong(record, self.products, HsCode::ALLOWED))?;
            markets.extend(known);
        }
        Ok(markets)
    }

    fn calendar(&self, record: &StringRecord) -> Result<Calendar, Error> {
        let day = |column| {
            let text = field(record, column);
            // Some exports write an instant, midnight.
            let date = text.split([' ', 'T']).next().unwrap_or_default();
            match date {
                "" => Ok(None),
                _ => day::parse(date).map(Some).ok_or_else(|| wrong(record, column, day::ALLOWED)),
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

impl Act<'_> {
    /// The threat of one country at one stage; none where no mineral is of that stage.
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
    column.expect("a header without faults has every column")
}

fn scope(affected: Vec<Country>) -> Scope {
    if affected.is_empty() {
        return Scope::All;
    }
    Scope::Only(affected.into_iter().map(Jurisdiction::Country).collect())
}

/// The countries of a list, each once, and what is none.
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
