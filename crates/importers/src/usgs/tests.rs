//! Both releases in small, with every quirk of the real ones.

use super::read;
use crate::{Error, ImportedReports};
use lodewatch_core::domain::market::{Figure, Flag, ReportRow};
use lodewatch_core::domain::{Country, Ppm, Report};
use proptest::prelude::*;

/// MCS 2025: byte order mark, a blank in a column's name, trailing and non-breaking blanks.
const WIDE: &str = "\u{feff}SOURCE,COMMODITY,COUNTRY,TYPE,UNIT_MEAS,PROD_2023,PROD_EST_ 2024,PROD_NOTES,CAP_2023
MCS2025,Barite  ,United\u{a0}States,\"Mine production, barite, estimated\",thousand metric tons,,,W for 23-24,
MCS2025,Barite  ,China,\"Mine production, barite, estimated\",thousand metric tons,2000,2100,,
MCS2025,Barite  ,Turkey,\"Mine production, barite, estimated\",thousand metric tons,216,220,Reported.,
MCS2025,Barite  ,Other Countries,\"Mine production, barite, estimated\",thousand metric tons,314,320,,
MCS2025,Barite  ,World total (rounded),\"Mine production, barite, estimated\",thousand metric tons,2500,2600,excludes U.S. production,
MCS2025,Helium,United States (extracted from natural gas),\"Production, helium gas content\",million cubic meters,64,68,,
MCS2025,Helium,United States (from Cliffside Field),\"Production, helium gas content\",million cubic meters,18,13,,
MCS2025,Helium,Australia,\"Production, helium gas content\",million cubic meters,1,,estimated 2023,
MCS2025,Helium,Russia ,\"Production, helium gas content\",million cubic meters,8,17,estimated 2023,
MCS2025,Helium,South Africa ,\"Production, helium gas content\",million cubic meters,,,Less than 1/2 unit,
MCS2025,Helium,World total (rounded),\"Production, helium gas content\",million cubic meters,91,98,,
MCS2025,Mercury,China,\"Mine production, mercury content\",metric tons,1000,1000,,
MCS2025,Mercury,Peru (exports),\"Mine production, mercury content\",metric tons,,30,na for 2023,
MCS2025,Mercury,United States and Canada,\"Mine production, mercury content\",metric tons,10,10,,
MCS2025,Mercury,World total,\"Mine production, mercury content\",metric tons,1010,1040,,
MCS2025,Selenium,Finland,\"Refinery production, selenium content\",metric tons,122,170,reproted,
MCS2025,Selenium,World total (rounded),\"Refinery production, selenium content\",metric tons,122,170,,
MCS2025,Titanium Mineral Concentrates,United States,\"Mine production, rutile, titanium dioxide (TiO2) content\",metric tons,,,United States rutile production is included with ilmenite.,
MCS2025,Titanium Mineral Concentrates,Sierra Leone,\"Mine production, rutile, titanium dioxide (TiO2) content\",,110,60,,
MCS2025,Titanium Mineral Concentrates,\"World total (rutile, rounded)\",\"Mine production, rutile, titanium dioxide (TiO2) content\",metric tons,110,60,,
MCS2025,Gemanium,China,Primary and secondary refinery production,kilograms,,,,
MCS2025,Gemanium,World total (rounded),Primary and secondary refinery production,kilograms,,,,
MCS2025,Zinc,China,\"Mine production, zinc content\",thousand metric tons,4000,4100,,
MCS2025,Cement,China,\"Clinker capacity, estimated\",thousand metric tons,2000000,1900000,,
MCS2025,Unobtainium,China,Mine production,metric tons,1,1,,
";

/// MCS 2026: among rows that are not world production, thousands separators, and a footnote's mark
/// for a figure.
const LONG: &str = "MCS chapter,Section,Commodity,Country,Statistics,Statistics_detail,Unit,Year,Value,Notes,Other notes
TIN,Salient Statistics—United States,Tin,United States,Production,Mine production,metric tons,2021,\"10,000\",,
TIN,World Mine Production and Reserves,Tin,Burma,Production,Mine production,metric tons,2025,\"12,000\",Estimated. -- x,
TIN,World Mine Production and Reserves,Tin,Congo (Kinshasa),Production,Mine production,metric tons,2025,\"27,000.5\",,
TIN,World Mine Production and Reserves,Tin,Côte d’Ivoire,Production,Mine production,metric tons,2025,—,,
TIN,World Mine Production and Reserves,Tin,\"Korea, Republic of\",Production,Mine production,metric tons,2025,W,,
TIN,World Mine Production and Reserves,Tin,Türkiye,Production,Mine production,metric tons,2025,NA,,
TIN,World Mine Production and Reserves,Tin,Mexico,Production,Mine production,metric tons,2025,s,Less than ½unit.,
TIN,World Mine Production and Reserves,Tin,India,Production,Mine production,metric tons,2025,190 - 290,,
TIN,World Mine Production and Reserves,Tin,Other countries,Production,Mine production,metric tons,2025,999.5,,
TIN,World Mine Production and Reserves,Tin,World total,Production,Mine production: rounded,metric tons,2025,\"40,000\",Estimated.,
TIN,World Mine Production and Reserves,Tin,China,Reserves,Reserves,metric tons,2025,\">2,000,000\",,
TALC,World Mine Production and Reserves,Talc And Pyrophyllite,Brazil,Production,Mine production: crude,thousand metric tons,2025,5,,
TALC,World Mine Production and Reserves,Talc And Pyrophyllite,Brazil,Production,Mine production: beneficiated,thousand metric tons,2025,7,,
TALC,World Mine Production and Reserves,Talc And Pyrophyllite,World total,Production,Mine production: rounded,thousand metric tons,2025,12,,
MICA,World Mine Production and Reserves,Mica (Natural),China,Production,Mica (Scrap and flake): production,metric tons,2024,5,,
MICA,World Mine Production and Reserves,Mica (Natural),World total,Production,\"Mica (Scrap and flake): production, rounded\",metric tons,2024,XX,,
";

fn windows_1252(text: &str) -> Vec<u8> {
    encoding_rs::WINDOWS_1252.encode(text).0.into_owned()
}

fn find<'a>(import: &'a ImportedReports, market: &str, year: &str) -> &'a Report {
    let fits =
        |one: &&Report| one.market().to_string() == market && one.period().to_string() == year;
    import.reports.iter().find(fits).unwrap_or_else(|| panic!("no {market} {year}"))
}

fn row(report: &Report, country: &str) -> Option<ReportRow> {
    let country = Country::parse(country).unwrap();
    report.rows().iter().find(|row| row.country == country).copied()
}

/// Quantity in thousandths and whether it is an estimate; `None` where withheld.
fn figure(
    import: &ImportedReports,
    market: &str,
    year: &str,
    country: &str,
) -> (Option<u64>, bool) {
    let row = row(find(import, market, year), country).unwrap();
    (row.quantity_milli, row.estimated)
}

fn reason<'a>(import: &'a ImportedReports, item: &str) -> &'a str {
    &import.skipped.iter().find(|one| one.item == item).unwrap_or_else(|| panic!("{item}")).reason
}

#[test]
fn the_wide_release_is_read_with_all_its_quirks() {
    let import = read(WIDE.as_bytes()).unwrap();
    let barite = find(&import, "barite mining", "2024");
    assert_eq!(barite.flags(), [Flag::Estimated, Flag::Withheld, Flag::TotalDiffers]);
    assert_eq!(
        (barite.unit(), barite.vintage().to_string().as_str()),
        ("thousand metric tons", "2025-01-31")
    );
    assert_eq!(barite.other(), Some(Figure::QuantityMilli(320_000)));
    assert_eq!(barite.published_total_milli(), Some(2_600_000));
    let check = |market: &str, year: &str, country: &str, milli, estimated| {
        assert_eq!(
            figure(&import, market, year, country),
            (milli, estimated),
            "{market} {year} {country}"
        );
    };
    check("barite mining", "2024", "USA", None, false);
    check("barite mining", "2023", "CHN", Some(2_000_000), true);
    check("barite mining", "2023", "TUR", Some(216_000), false);
    check("helium mining", "2023", "USA", Some(82_000), false);
    check("helium mining", "2024", "USA", Some(81_000), true);
    check("helium mining", "2023", "AUS", Some(1_000), true);
    check("helium mining", "2024", "AUS", Some(0), false);
    check("helium mining", "2023", "ZAF", Some(0), false);
    check("mercury mining", "2024", "PER", Some(30_000), true);
    check("selenium refining", "2024", "FIN", Some(170_000), false);
    check("rutile mining", "2023", "USA", None, false);
    check("rutile mining", "2023", "SLE", Some(110_000), false);
}

#[test]
fn the_gaps_of_the_wide_release_are_reported() {
    let import = read(WIDE.as_bytes()).unwrap();
    let mercury = find(&import, "mercury mining", "2023");
    assert_eq!(row(mercury, "PER"), None);
    assert_eq!((mercury.rows().len(), mercury.other()), (1, Some(Figure::QuantityMilli(10_000))));
    assert!(
        reason(&import, "mercury mining 2023, Peru (exports)").starts_with("NA, not available")
    );
    assert!(
        reason(&import, "mercury mining 2023, United States and Canada")
            .contains("other countries")
    );
    assert!(reason(&import, "germanium refining 2024").contains("add up to zero"));
    assert!(reason(&import, "zinc mining 2024").contains("truncated"));
    assert!(reason(&import, "Unobtainium, Mine production").contains("unknown table"));
    assert!(reason(&import, "Cement").contains("no table of its world production"));
    assert_eq!(import.skipped.iter().filter(|one| one.item.contains("Clinker")).count(), 0);
}

#[test]
fn the_long_release_is_read_with_all_its_quirks() {
    let import = read(&windows_1252(LONG)).unwrap();
    let tin = find(&import, "tin mining", "2025");
    assert_eq!(tin.flags(), [Flag::Estimated, Flag::Withheld]);
    assert_eq!(
        (tin.other(), tin.vintage().to_string().as_str()),
        (Some(Figure::QuantityMilli(999_500)), "2026-02-06")
    );
    let check = |country: &str, milli, estimated| {
        assert_eq!(figure(&import, "tin mining", "2025", country), (milli, estimated), "{country}");
    };
    check("MMR", Some(12_000_000), true);
    check("COD", Some(27_000_500), false);
    check("CIV", Some(0), false);
    check("KOR", None, false);
    check("MEX", Some(0), false);
    assert_eq!(tin.share(Country::parse("COD").unwrap()).unwrap().get(), 675_013);
    assert_eq!((row(tin, "TUR"), row(tin, "IND")), (None, None));
    assert!(reason(&import, "tin mining 2025, India").contains("\"190 - 290\" is not a figure"));
    assert!(reason(&import, "scrap and flake mica mining 2024").contains("no world total"));
    assert_eq!(
        figure(&import, "talc and pyrophyllite mining", "2025", "BRA"),
        (Some(12_000), false)
    );
    assert_eq!(import, read(LONG.as_bytes()).unwrap(), "the encoding makes no difference");
}

#[test]
fn a_damaged_file_is_an_error_that_names_the_line() {
    let check = |bytes: &[u8], expected: &str| {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    let cut = |text: &str, end: &str| text.as_bytes()[..text.find(end).unwrap()].to_vec();
    check(b"", "line 1: unknown header \"\"");
    check(b"a,b\n1,2\n", "line 1: unknown header \"a, b\"");
    check(WIDE.replacen("PROD_2023", "x", 1).as_bytes(), "line 1: column PROD_2023 is missing");
    check(LONG.replacen("Value", "x", 1).as_bytes(), "line 1: column Value is missing");
    check(
        &cut(WIDE, "reproted"),
        "line 17: 8 fields instead of 9, the last one in column PROD_NOTES",
    );
    check(&cut(LONG, "27,000.5"), "line 4: 9 fields");
    check(
        format!("{LONG}TIN,,,,,,,,,,\"cut").as_bytes(),
        "line 18: the quoted field in column Other notes",
    );
    check(
        WIDE.replacen("MCS2025,Zinc", "MCS2027,Zinc", 1).as_bytes(),
        "line 24, column SOURCE: \"MCS2027\"",
    );
    check(LONG.replacen("tons,2025", "tons,2026", 1).as_bytes(), "line 3, column Year: \"2026\"");
    let mut bytes = WIDE.as_bytes().to_vec();
    bytes.extend_from_slice(b"MCS2025,\xe9");
    assert_eq!(read(&bytes), Err(Error::NotUtf8 { line: 27 }));
}

#[test]
fn a_table_without_its_last_rows_is_skipped() {
    let end = WIDE.find("MCS2025,Helium,South Africa").unwrap();
    let import = read(&WIDE.as_bytes()[..end]).unwrap();
    assert_eq!(import.reports.len(), 2);
    assert!(reason(&import, "helium mining 2024").contains("truncated"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_mutation_of_a_release_makes_the_reader_panic(
        wide in any::<bool>(),
        at in any::<prop::sample::Index>(),
        with in "[0-9,.\"\n—W<>A-Z ]{0,12}",
        drop in 0..40_usize,
    ) {
        let mut bytes = if wide { WIDE.as_bytes().to_vec() } else { windows_1252(LONG) };
        let at = at.index(bytes.len());
        let end = (at + drop).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(import) = read(&bytes) {
            for report in import.reports {
                let known: u32 = report.rows().iter().filter_map(|row| row.share).map(Ppm::get).sum();
                prop_assert!(known + report.residual().get() <= 1_020_000);
            }
        }
    }
}
