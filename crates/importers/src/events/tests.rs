//! A list in small with every quirk, and the real one where it is at hand.

use super::read;
use crate::ImportedThreats;
use lodewatch_core::domain::policy::Jurisdiction;
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Measure, Scope, ThreatStatus};
use lodewatch_core::domain::{Country, Day, Stage, Threat};
use proptest::prelude::*;

const HEADER: &str = "event_id,title,imposing,authority_level,destination,minerals,stage_or_form,measure_type,\
wto_qr_symbol,date_announced,date_effective,date_suspended,suspended_until,date_removed,detail,certainty,source\n";

const LIST: &str = "CHN-REE-QUOTA,\"Quotas, and duties\",CHN,national,ALL,rare_earths;tungsten,\"ores, oxides, metals\",EXPORT_QUOTA+EXPORT_TAX,GQ X,1999,1999,,,2015-05-01,,verified,METI http://www.meti.go.jp/a.html; IEA
CHN-JPN,Halt,CHN,national (informal),JPN,REE,all,EXPORT_PROHIBITION (de facto),,2010-09,2010-09-21,,,,,unverified,none found
CHN-USA-2024,Ban,CHN,national,USA,gallium;germanium;antimony,all dual-use forms,EXPORT_PROHIBITION,P X,2024-12-03,2024-12-03,2025-11-09,2026-11-27,,only article 2 suspended,verified,Reuters
ZWE-LICONC-2027,Ban from 2027,ZWE,national,ALL,lithium,concentrate,EXPORT_PROHIBITION,P X,2025-06-10,2027-01-01,,,2026-02-25,\"superseded: brought forward, see ZWE-RAW-2026\",verified,IEA
ZWE-RAW-2026,Ban,ZWE,national,ALL,lithium,\"raw, concentrate\",EXPORT_PROHIBITION,P X,2026-02-25,2026-02-25,,,,,verified,IEA
CHN-MIL,For military users,CHN,national,JPN,gallium,metal,EXPORT_PROHIBITION_CONDITIONAL,CP X,2026-01-06,2026-01-06,,,,end-use scoped; x,verified,x
CHN-FIRMS,Two firms,CHN,national,USA (named firms),rare_earths,all,EXPORT_PROHIBITION_CONDITIONAL,CP X,2026-06-22,2026-06-22,,,,\"entity-scoped, x\",secondary,x
RUS-TALK,Asks to consider,RUS,national,ALL,uranium,all,UNSPECIFIED,,2024-09-11,,,,,,secondary,x
CHN-TECH,Know-how,CHN,national,ALL,lithium,technology,TECHNOLOGY_CONTROL,,2025-01-02,2025-07-15,,,,,verified,x
MMR-WA,No mining,MMR,\"sub-national, non-state authority\",ALL,tin,ore,PRODUCTION_SUSPENSION,,2023-04,2023-08-01,,,2025,,verified,x
USA-U,Import ban,USA,national,RUS (origin),uranium,enriched,IMPORT_PROHIBITION,P,2024-05,2024-08,,,2040,,secondary,x
IND-FIRM,Asked,IND,state firm,JPN,rare_earths,oxide,EXPORT_PROHIBITION (de facto),,2025-06,2025-06,,,,,unverified,none found
";

fn list() -> ImportedThreats {
    read(format!("{HEADER}{LIST}").as_bytes()).unwrap()
}

fn find<'a>(import: &'a ImportedThreats, id: &str) -> &'a Threat {
    import.threats.iter().find(|threat| threat.id.as_str() == id).unwrap_or_else(|| panic!("{id}"))
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

#[test]
fn two_measures_of_one_line_are_two_threats_of_one_act() {
    let import = list();
    for (id, measure) in
        [("CHN-REE-QUOTA-quota", Measure::Quota), ("CHN-REE-QUOTA-tax", Measure::Tax)]
    {
        let threat = find(&import, id);
        assert_eq!((threat.measure, threat.stages.as_slice()), (measure, [].as_slice()));
        assert_eq!(threat.state_act.as_ref().unwrap().as_str(), "CHN-REE-QUOTA");
        assert_eq!(threat.calendar.effective, Some(day("1999-01-01")));
    }
}

#[test]
fn evidence_has_its_address_apart() {
    let import = list();
    let evidence = &find(&import, "CHN-REE-QUOTA-tax").evidence;
    let texts: Vec<(&str, &str)> =
        evidence.iter().map(|one| (&*one.publisher, &*one.url)).collect();
    assert_eq!(texts, [("METI", "http://www.meti.go.jp/a.html"), ("IEA", "")]);
    assert!(find(&import, "CHN-JPN").evidence.is_empty());
}

#[test]
fn a_suspension_for_one_destination_is_read() {
    let import = list();
    let threat = find(&import, "CHN-USA-2024");
    let usa = Jurisdiction::Country(Country::parse("USA").unwrap());
    assert_eq!((threat.measure, &threat.scope), (Measure::Prohibition, &Scope::Only(vec![usa])));
    let minerals: Vec<&str> = threat.minerals.iter().map(|mineral| mineral.slug()).collect();
    assert_eq!(minerals, ["gallium", "germanium", "antimony"]);
    for (on, status) in [
        ("2024-12-02", ThreatStatus::Threatened),
        ("2024-12-03", ThreatStatus::InForce),
        ("2025-11-09", ThreatStatus::Suspended),
        ("2026-11-27", ThreatStatus::InForce),
    ] {
        assert_eq!(threat.status(day(on)), status, "{on}");
    }
}

#[test]
fn a_measure_withdrawn_before_its_day_was_never_effective() {
    let import = list();
    let threat = find(&import, "ZWE-LICONC-2027");
    assert_eq!(
        (threat.calendar.effective, threat.calendar.removed),
        (None, Some(day("2026-02-25")))
    );
    assert_eq!(threat.superseded_by.as_ref().unwrap().as_str(), "ZWE-RAW-2026");
    assert_eq!(threat.status(day("2026-02-24")), ThreatStatus::Announced);
    assert_eq!(threat.status(day("2026-02-25")), ThreatStatus::Superseded);
}

#[test]
fn imposing_country_scope_and_end_use_are_read() {
    let import = list();
    let check = |id: &str, authority, end_use, stages: &[Stage], confidence| {
        let threat = find(&import, id);
        assert_eq!((threat.authority, threat.end_use), (authority, end_use), "{id}");
        assert_eq!((threat.stages.as_slice(), threat.confidence), (stages, confidence), "{id}");
    };
    let national = Authority::National;
    check("CHN-JPN", national, EndUse::Any, &[], Confidence::Rumour);
    check("ZWE-RAW-2026", national, EndUse::Any, &[Stage::Mining], Confidence::Official);
    check("CHN-MIL", national, EndUse::Military, &[Stage::Refining], Confidence::Official);
    check("CHN-FIRMS", national, EndUse::ListedEntities, &[], Confidence::Reported);
    check("IND-FIRM", Authority::Firm, EndUse::Any, &[Stage::Refining], Confidence::Rumour);
    assert_eq!(find(&import, "CHN-TECH").measure, Measure::TechnologyControl);
}

#[test]
fn a_measure_of_no_known_type_has_no_dates() {
    let import = list();
    let threat = find(&import, "RUS-TALK");
    assert_eq!(threat.measure, Measure::Other);
    assert_eq!(threat.status(day("2030-01-01")), ThreatStatus::Threatened);
}

#[test]
fn a_measure_that_is_not_an_export_control_is_skipped() {
    let import = list();
    let skipped: Vec<String> = import.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].starts_with("MMR-WA: halts production"), "{skipped:?}");
    assert!(skipped[1].starts_with("USA-U: restricts imports"), "{skipped:?}");
}

#[test]
fn a_damaged_list_is_an_error_that_names_line_and_column() {
    let whole = format!("{HEADER}{LIST}");
    let check = |from: &str, to: &str, expected: &str| {
        assert!(whole.contains(from), "{from}");
        let error = read(whole.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("event_id", "id", "line 1: unknown header \"id, title");
    check("detail,", "details,", "line 1: column detail is missing");
    check("CHN-TECH,", "CHN TECH,", "line 10, column event_id: \"CHN TECH\" is not 1 to 64");
    check("CHN-TECH,", "CHN-MIL,", "line 10, column event_id: \"CHN-MIL\" is not a unique id");
    check("Know-how,CHN", "Know-how,XKX1", "line 10, column imposing: \"XKX1\" is not a country");
    check(
        "lithium,technology",
        "litium,technology",
        "line 10, column minerals: \"litium\" is not a list of minerals of the catalogue: litium is unknown; did you mean lithium?",
    );
    check(
        "TECHNOLOGY_CONTROL",
        "MAGIC",
        "line 10, column measure_type: \"MAGIC\" is not one of EXPORT_PROHIBITION",
    );
    check(
        "2025-07-15",
        "2025-02-30",
        "line 10, column date_effective: \"2025-02-30\" is not a day",
    );
    check(
        "2025-07-15",
        "2024-07-15",
        "line 10, column event_id: \"CHN-TECH\" is not a valid measure: date_effective 2024-07-15 is before",
    );
    check("2025-11-09,2026-11-27", ",2026-11-27", "line 4, column suspended_until");
    check("secondary", "sure", "line 8, column certainty");
    check("USA (named", "Moon (named", "line 8, column destination");
    check("state firm", "king", "line 13, column authority_level");
    let several = whole.replacen("verified,METI", "sure,METI", 1).replacen("king", "x", 1);
    let several =
        several.replacen("USA (named", "Moon (named", 1).replacen("state firm", "king", 1);
    let error = read(several.as_bytes()).unwrap_err().to_string();
    let lines: Vec<&str> =
        error.lines().filter_map(|line| line.split_once(": \"")).map(|(at, _)| at).collect();
    assert_eq!(
        lines,
        [
            "  line 2, column certainty",
            "  line 8, column destination",
            "  line 13, column authority_level"
        ]
    );
    let end = whole.find("unverified").unwrap();
    let error = read(&whole.as_bytes()[..end]).unwrap_err().to_string();
    let expected = "line 3: 16 fields instead of 17, the last one in column certainty";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn the_real_list_is_read_whole() {
    let import = read(include_bytes!("../../samples/export_control_events.csv")).unwrap();
    assert_eq!((import.threats.len(), import.skipped.len()), (38, 2));
    for threat in &import.threats {
        assert_eq!(threat.calendar.faults(), [], "{}", threat.id);
    }
    assert_eq!(find(&import, "CHN-USA-2024").minerals.len(), 3);
    assert_eq!(find(&import, "CHN-JPN-2026").end_use, EndUse::Military);
    assert_eq!(find(&import, "CHN-USFIRMS-2026").end_use, EndUse::ListedEntities);
    assert_eq!(find(&import, "CHN-GRAPH-2023").stages, []);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_mutation_of_a_list_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        with in "[0-9,.\"\n+A-Z;()é-]{0,12}",
        drop in 0..40_usize,
    ) {
        let mut bytes = format!("{HEADER}{LIST}").into_bytes();
        let at = at.index(bytes.len());
        let end = (at + drop).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(import) = read(&bytes) {
            for threat in import.threats {
                prop_assert!(threat.calendar.faults().is_empty());
                prop_assert!(!threat.minerals.is_empty());
            }
        }
    }
}
