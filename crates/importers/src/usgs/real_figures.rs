//! The real releases of the USGS.

use super::read;
use crate::{ImportedReports, SkippedItem};
use lodewatch_core::domain::market::Flag;
use lodewatch_core::domain::{Country, MarketKey, Mineral, Report, Stage};

const MCS_2025: &[u8] = include_bytes!("../../samples/usgs/MCS2025_World_Data.csv");
const MCS_2026: &[u8] = include_bytes!("../../samples/usgs/MCS2026_world_production.csv");

fn import(release: &[u8]) -> ImportedReports {
    read(release).unwrap()
}

fn report<'a>(import: &'a ImportedReports, mineral: &str, stage: Stage, year: &str) -> &'a Report {
    let market = MarketKey { mineral: Mineral::parse(mineral).unwrap(), stage };
    import
        .reports
        .iter()
        .find(|one| one.market() == market && one.period().to_string() == year)
        .unwrap_or_else(|| panic!("no report of {market} {year}"))
}

/// HHI, lower and upper bound, rounded to whole points.
fn hhi(report: &Report) -> (u64, u64) {
    let square = |ppm: u32| u64::from(ppm).pow(2);
    let shares = report.rows().iter().filter_map(|row| row.share);
    let lower: u64 = shares.map(|share| square(share.get())).sum();
    let points = |sum: u64| (sum + 50_000_000) / 100_000_000;
    (points(lower), points(lower + square(report.residual().get())))
}

fn share(report: &Report, country: &str) -> String {
    report.share(Country::parse(country).unwrap()).unwrap().to_string()
}

#[test]
fn the_release_of_2026_gives_the_known_figures() {
    let import = import(MCS_2026);
    let check = |mineral, stage, country, expected: &str, (lower, upper)| {
        let report = report(&import, mineral, stage, "2025");
        assert_eq!(share(report, country), expected, "{mineral}");
        assert_eq!(hhi(report), (lower, upper), "{mineral}");
    };
    check("gallium", Stage::Refining, "CHN", "99.0 %", (9_804, 9_804));
    check("magnesium", Stage::Refining, "CHN", "87.7 %", (7_736, 7_736));
    check("tungsten", Stage::Mining, "CHN", "78.7 %", (6_234, 6_242));
    check("cobalt", Stage::Mining, "COD", "73.1 %", (5_554, 5_562));
    check("rare_earths", Stage::Mining, "CHN", "69.4 %", (5_072, 5_072));
    check("nickel", Stage::Mining, "IDN", "66.9 %", (4_594, 4_650));
    check("antimony", Stage::Mining, "CHN", "36.1 %", (2_582, 2_582));
    check("antimony", Stage::Mining, "RUS", "28.9 %", (2_582, 2_582));
    check("copper", Stage::Refining, "CHN", "48.3 %", (2_537, 2_589));
    check("copper", Stage::Mining, "CHL", "23.0 %", (1_036, 1_206));
    check("zinc", Stage::Mining, "CHN", "32.7 %", (1_444, 1_698));
}

#[test]
fn antimony_in_2024_was_revised_from_one_release_to_the_next() {
    let before = import(MCS_2025);
    let after = import(MCS_2026);
    let (before, after) = (
        report(&before, "antimony", Stage::Mining, "2024"),
        report(&after, "antimony", Stage::Mining, "2024"),
    );
    assert_eq!((share(before, "CHN").as_str(), hhi(before).0), ("57.7 %", 3_793));
    assert_eq!((share(after, "CHN").as_str(), hhi(after).0), ("33.6 %", 2_645));
    assert_eq!(share(after, "RUS"), share(after, "CHN"));
    assert!(before.vintage() < after.vintage());
}

#[test]
fn every_commodity_with_countries_that_can_be_added_is_imported() {
    let check = |name: &str, release: &[u8], reports: usize, unusable: &[&str]| {
        let import = import(release);
        assert_eq!(import.reports.len(), reports, "{name}");
        let is_skipped = |item: &str| import.skipped.iter().any(|one| one.item.starts_with(item));
        for item in unusable {
            assert!(is_skipped(item), "{name}: {item}");
        }
        let tables = import.skipped.iter().filter(|one| !one.item.contains(" 202"));
        let names = tables.filter(|one| !unusable.iter().any(|item| one.item.starts_with(item)));
        assert_eq!(names.collect::<Vec<_>>(), Vec::<&SkippedItem>::new(), "{name}");
    };
    let both = |more: &[&'static str]| -> Vec<&'static str> {
        let always = ["Boron", "Iron", "Kyanite", "Mica (Natural)", "Soda"];
        always.iter().chain(more).copied().collect()
    };
    check("2025", MCS_2025, 158, &both(&["Abrasives"]));
    let no_countries = ["Scandium", "Titanium Mineral", "Yttrium"];
    let one_country = ["Sand And Gravel (Construction)", "Stone (Crushed)", "Stone (Dimension)"];
    let no_table = [
        "ABRASIVES",
        "CESIUM",
        "GERMANIUM",
        "IRON AND STEEL SCRAP",
        "QUARTZ",
        "RARE EARTHS (Heavy)",
        "RUBIDIUM",
        "THALLIUM",
        "THORIUM",
    ];
    let more: Vec<_> = no_countries.into_iter().chain(one_country).chain(no_table).collect();
    check("2026", MCS_2026, 164, &both(&more));
}

#[test]
fn every_production_table_of_both_releases_is_known() {
    for release in [MCS_2025, MCS_2026] {
        let import = import(release);
        assert!(import.reports.len() > 150);
        for skipped in &import.skipped {
            assert!(!skipped.reason.contains("unknown table"), "{skipped}");
            assert!(!skipped.reason.contains("not a single country"), "{skipped}");
            assert!(!skipped.reason.contains("truncated"), "{skipped}");
        }
        for report in &import.reports {
            assert_eq!(report.source().as_str(), "USGS");
            assert!(!report.unit().is_empty(), "{}", report.market());
            assert!(!report.flags().contains(&Flag::AboveWhole), "{}", report.market());
        }
    }
}
