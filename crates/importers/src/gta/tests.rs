//! An export in small with every quirk.

use super::read;
use crate::ImportedThreats;
use lodewatch_core::domain::policy::{Blocs, Destination};
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Measure, Scope, ThreatStatus};
use lodewatch_core::domain::{Day, Stage, Threat};
use proptest::prelude::*;
use std::fmt::Write;

const EXPORT: &str = include_str!("../../samples/gta.csv");

fn export() -> ImportedThreats {
    read(EXPORT.as_bytes()).unwrap()
}

fn find<'a>(import: &'a ImportedThreats, id: &str) -> &'a Threat {
    import.threats.iter().find(|threat| threat.id.as_str() == id).unwrap_or_else(|| panic!("{id}"))
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

#[test]
fn every_threat_of_an_export_is_imported_and_every_other_line_skipped_with_a_reason() {
    let import = export();
    let mut shown = String::new();
    for threat in &import.threats {
        let minerals: Vec<&str> = threat.minerals.iter().map(|mineral| mineral.slug()).collect();
        let (id, measure, calendar) = (&threat.id, threat.measure, &threat.calendar);
        let date = |day: Option<Day>| day.map_or("-".to_owned(), |day| day.to_string());
        let dates = [calendar.announced, calendar.effective, calendar.removed].map(date).join(" ");
        let toward = match &threat.scope {
            Scope::All => "all".to_owned(),
            Scope::Only(places) => {
                places.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            Scope::Except(places) => panic!("{places:?}"),
        };
        writeln!(shown, "{id} {measure} {} toward {toward}: {dates}", minerals.join(",")).unwrap();
    }
    for skipped in &import.skipped {
        writeln!(shown, "skipped: {skipped}").unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_code_that_stands_for_several_minerals_restricts_them_all() {
    let import = export();
    let threat = find(&import, "GTA-1002-CHN-refining");
    let minerals: Vec<&str> = threat.minerals.iter().map(|mineral| mineral.slug()).collect();
    assert_eq!(minerals, ["gallium", "germanium", "indium", "niobium", "vanadium"]);
    assert_eq!(
        (threat.measure, threat.stages.as_slice()),
        (Measure::Licensing, &[Stage::Refining][..])
    );
    assert_eq!(threat.state_act.as_ref().unwrap().as_str(), "GTA-502");
    assert_eq!(threat.confidence, Confidence::Reported);
    assert_eq!(&*threat.evidence[0].url, "https://www.globaltradealert.org/intervention/1002");
}

#[test]
fn codes_of_two_stages_restrict_each_mineral_at_its_own_stage_only() {
    let import = export();
    for (id, stage) in
        [("GTA-1003-COD-mining", Stage::Mining), ("GTA-1003-COD-refining", Stage::Refining)]
    {
        let threat = find(&import, id);
        assert_eq!((threat.minerals[0].slug(), threat.stages.as_slice()), ("copper", &[stage][..]));
    }
    let ores = import.threats.iter().filter(|threat| threat.id.as_str().starts_with("GTA-1001"));
    assert_eq!(ores.count(), 1, "scrap is of no stage");
}

#[test]
fn an_act_announced_after_it_took_effect_and_one_withdrawn_before_have_sound_calendars() {
    let import = export();
    for threat in &import.threats {
        assert_eq!(threat.calendar.faults(), [], "{}", threat.id);
    }
    let late = find(&import, "GTA-1003-COD-mining");
    assert_eq!(late.calendar.announced, Some(day("2024-05-01")));
    assert_eq!(late.status(day("2024-12-31")), ThreatStatus::Removed);
    let withdrawn = find(&import, "GTA-1004-DEU-refining");
    assert_eq!(withdrawn.status(day("2022-04-30")), ThreatStatus::Announced);
    assert_eq!(withdrawn.status(day("2022-07-01")), ThreatStatus::Withdrawn);
}

#[test]
fn an_act_on_named_firms_or_toward_some_countries_is_no_more_than_that() {
    let import = export();
    let firms = find(&import, "GTA-1005-CHN-refining");
    assert_eq!((firms.end_use, firms.authority), (EndUse::ListedEntities, Authority::Subnational));
    assert_eq!(firms.calendar.announced, Some(day("2025-02-01")));
    let reaches = |id: &str, destination: &str| {
        let destination = Destination::parse(destination).unwrap();
        find(&import, id).reaches(&destination, &Blocs::default())
    };
    assert!(reaches("GTA-1002-CHN-refining", "TWN") && !reaches("GTA-1002-CHN-refining", "KOR"));
    assert!(reaches("GTA-1001-IDN-mining", "all"));
}

#[test]
fn the_columns_of_older_exports_are_read() {
    let older = EXPORT
        .replacen("Implementing Jurisdictions", "Implementing Jurisdiction", 1)
        .replacen("Affected Jurisdictions", "Affected Jurisdiction", 1)
        .replacen("Date Announced", "Announcement Date", 1)
        .replacen("Date Implemented", "Inception Date", 1)
        .replacen("Date Removed", "Removal Date", 1)
        .replacen("2019-08-30", "2019-08-30 00:00:00", 1);
    assert_eq!(read(older.as_bytes()).unwrap(), export());
}

#[test]
fn every_error_is_reported_at_once_with_line_and_column() {
    let text = EXPORT
        .replacen("1002,502", "1001,502", 1)
        .replacen("260300, 740311", "copper", 1)
        .replacen("2022-06-01", "2022-06-31", 1)
        .replacen(",Subnational,", ",Galactic,", 1);
    let error = read(text.as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(error);
    let check = |from: &str, to: &str, expected: &str| {
        let error = read(EXPORT.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("Intervention ID", "id", "line 1: unknown header \"id, State Act ID");
    check(
        "\"260400, 740400\"",
        "2604",
        "line 2, column Affected Products: \"2604\" is not a code of the",
    );
    check("Date Implemented", "x", "line 1: column Date Implemented is missing");
    check("1001,", "x1001,", "line 2, column Intervention ID: \"x1001\" is not a number");
}

proptest! {
    #[test]
    fn no_mutation_of_an_export_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        with in "[0-9,.\"\n+A-Z;()é-]{0,12}",
        drop in 0..40_usize,
    ) {
        let mut bytes = EXPORT.as_bytes().to_vec();
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
