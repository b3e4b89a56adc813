//! A table with every quirk, read by the mapping that the help shows.

use super::{EXAMPLE, Mapping, read};
use crate::ImportedReports;
use lodewatch_core::domain::market::{Figure, Flag};
use lodewatch_core::domain::{Country, Ppm, Report};
use proptest::prelude::*;

const TABLE: &str = include_str!("../../samples/table.csv");

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn table() -> ImportedReports {
    read(TABLE.as_bytes(), &mapping(EXAMPLE)).unwrap()
}

fn find<'a>(import: &'a ImportedReports, report: &str) -> &'a Report {
    let is = |one: &&Report| format!("{} {}", one.market(), one.period()) == report;
    import.reports.iter().find(is).unwrap_or_else(|| panic!("{report}"))
}

fn share(report: &Report, country: &str) -> Option<u32> {
    report.share(Country::parse(country).unwrap()).map(Ppm::get)
}

#[test]
fn a_table_is_read_as_its_mapping_says() {
    let import = table();
    assert_eq!(import.reports.len(), 3);
    let cobalt = find(&import, "cobalt mining 2024");
    assert_eq!((cobalt.source().as_str(), cobalt.unit()), ("EXAMPLE", "metric tons"));
    assert_eq!(cobalt.vintage().to_string(), "2025-05-21");
    assert_eq!(cobalt.url(), "https://example.org/figures");
    assert_eq!(cobalt.published_total_milli(), Some(290_000_000));
    assert_eq!(cobalt.other(), Some(Figure::QuantityMilli(33_000_000)));
    assert_eq!(cobalt.flags(), [Flag::Estimated, Flag::Withheld, Flag::TotalDiffers]);
    assert_eq!(share(cobalt, "COD"), Some(759_405), "220,000 of 289,700.5");
    assert_eq!((share(cobalt, "CAN"), share(cobalt, "JPN")), (None, Some(0)));
    let marked = cobalt.rows().iter().filter(|row| row.estimated).map(|row| row.country.alpha3());
    assert_eq!(marked.collect::<Vec<_>>(), ["COD", "RUS"]);
    assert_eq!(share(find(&import, "rare earths mining 2023"), "MMR"), Some(136_691));
    let skipped: Vec<String> = import.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        ["line 6, Türkiye: not available", "line 9, Top 3: ignored by the mapping"]
    );
}

#[test]
fn withheld_not_available_and_none_are_three_things() {
    let import = table();
    let cobalt = find(&import, "cobalt mining 2024");
    let countries: Vec<&str> = cobalt.rows().iter().map(|row| row.country.alpha3()).collect();
    assert_eq!(countries, ["CAN", "COD", "IDN", "JPN", "RUS"], "Türkiye has no row");
    let quantity = |at: usize| cobalt.rows()[at].quantity_milli;
    assert_eq!((quantity(0), quantity(3)), (None, Some(0)));
}

#[test]
fn shares_are_read_with_the_rest_as_residual() {
    let text = "
source = \"IEA\"
vintage = \"2025-05-21\"
mineral = \"gallium\"
stage = \"refining\"
period = 2024
country = { column = \"Who\", other = [\"Others\"], total = [\"World\"] }
share = { column = \"Part\", whole = 100 }
";
    let read = |rows: &str| read(format!("Who,Part\n{rows}").as_bytes(), &mapping(text));
    let import = read("CN,98.5%\nJapan,1\nOthers,0.25\nWorld,100\n").unwrap();
    let gallium = find(&import, "gallium refining 2024");
    assert_eq!((share(gallium, "CHN"), gallium.residual().get()), (Some(985_000), 5_000));
    assert_eq!((gallium.unit(), gallium.url(), gallium.published_total_milli()), ("", "", None));
    let error = read("CN,98.5\nJapan,7\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "lines 2 to 3, gallium refining 2024: the shares add up to 105.50 %; at most 102.00 % is accepted"
    );
}

#[test]
fn rounded_shares_may_add_up_to_a_little_more_than_the_whole_and_the_market_is_flagged() {
    let text = "
source = \"EC\"
vintage = \"2023-03-16\"
mineral = \"borates\"
stage = \"mining\"
period = 2020
country = { column = \"Country\" }
share = { column = \"Share\", whole = 1 }
";
    let read = |rows: &str| {
        read(format!("Country,Share\nTürkiye,0.48\n{rows}").as_bytes(), &mapping(text))
    };
    let import = read("United States,0.538\n").unwrap();
    assert_eq!(import.reports[0].flags(), [Flag::AboveWhole]);
    assert_eq!(import.reports[0].residual(), Ppm::ZERO);
    let error = read("United States,0.5401\n").unwrap_err().to_string();
    assert!(
        error.starts_with("lines 2 to 3, boron mining 2020: the shares add up to 102.01 %"),
        "{error}"
    );
}

#[test]
fn the_denominator_is_declared_and_the_difference_flagged() {
    let mining: String = TABLE.split_inclusive('\n').take(10).collect();
    let check = |denominator: &str, expected: u32| {
        let text = EXAMPLE.replace("\"sum_of_rows\"", &format!("\"{denominator}\""));
        let import = read(mining.as_bytes(), &mapping(&text)).unwrap();
        let cobalt = find(&import, "cobalt mining 2024");
        assert!(cobalt.flags().contains(&Flag::TotalDiffers));
        assert_eq!(share(cobalt, "COD"), Some(expected), "{denominator}");
    };
    check("sum_of_rows", 759_405);
    check("published_total", 758_621);
    let text = EXAMPLE.replace("\"sum_of_rows\"", "\"published_total\"");
    let table = mining.replace("World;290,000", "World;NA");
    let error = read(table.as_bytes(), &mapping(&text)).unwrap_err().to_string();
    assert!(
        error.contains(
            "cobalt mining 2024: the denominator is the published total, but none is given"
        ),
        "{error}"
    );
}

#[test]
fn two_sources_of_one_market_are_two_reports_and_never_mixed() {
    let text = EXAMPLE.replace("source = \"EXAMPLE\"", "source = { column = \"Flag\" }");
    let table = "Material;Step;Year;Country;Production;Flag
germanium;Refinery;2024;China;60;USGS
germanium;Refinery;2024;Other;40;USGS
germanium;Refinery;2024;China;83;EC
germanium;Refinery;2024;Belgium;17;EC
";
    let text = text.replace("Rest of world", "Other");
    let import = read(table.as_bytes(), &mapping(&text)).unwrap();
    let shares: Vec<_> =
        import.reports.iter().map(|one| (one.source().as_str(), share(one, "CHN"))).collect();
    assert_eq!(shares, [("EC", Some(830_000)), ("USGS", Some(600_000))]);
}

#[test]
fn one_report_has_one_unit_and_one_vintage() {
    let text = EXAMPLE.replace("unit = \"metric tons\"", "unit = { column = \"Flag\" }");
    let text = text.split("# Which rows are estimates").next().unwrap();
    let error = read(TABLE.as_bytes(), &mapping(text)).unwrap_err().to_string();
    assert!(
        error.contains(
            "line 3, column Flag: \"\" is not the value of line 2, which belongs to the same report"
        ),
        "{error}"
    );
}

#[test]
fn encodings_blanks_and_the_byte_order_mark_make_no_difference() {
    let windows = encoding_rs::WINDOWS_1252.encode(TABLE).0.into_owned();
    assert_ne!(windows, TABLE.as_bytes());
    let marked = format!("\u{feff}{}", TABLE.replace(";Canada;", ";\u{a0}Canada ;"));
    for bytes in [windows.as_slice(), marked.as_bytes()] {
        assert_eq!(read(bytes, &mapping(EXAMPLE)).unwrap(), table());
    }
}

#[test]
fn a_single_producer_is_the_whole_and_a_zero_total_is_no_report() {
    let text = EXAMPLE.replace("delimiter = \";\"", "delimiter = \",\"");
    let head = "Material,Step,Year,Country,Production,Flag\n";
    let read = |row: &str| read(format!("{head}{row}").as_bytes(), &mapping(&text));
    let import = read("gallium,Refinery,2024,China,600,\n").unwrap();
    assert_eq!(share(&import.reports[0], "CHN"), Some(1_000_000));
    assert_eq!(import.reports[0].residual(), Ppm::ZERO);
    let error = read("gallium,Refinery,2024,China,-,\n").unwrap_err().to_string();
    assert!(error.ends_with("the rows add up to zero, so shares cannot be computed"), "{error}");
}

#[test]
fn every_error_of_a_table_is_reported_at_once() {
    let table = TABLE
        .replacen(";Indonesia;", ";Indonesien;", 1)
        .replacen(";8,700;", ";<0.1%;", 1)
        .replacen(";Japan;", ";Congo (Kinshasa);", 1)
        .replacen("Refinery;2024;Finland", "Smelter;24;Finland", 1)
        .replacen("REE;Mine;2023;Burma", "Rare earht;Mine;2023;Burma", 1);
    insta::assert_snapshot!(read(table.as_bytes(), &mapping(EXAMPLE)).unwrap_err());
    let other = TABLE.replacen("Material;Step", "Stuff;Stage", 1);
    insta::assert_snapshot!(read(other.as_bytes(), &mapping(EXAMPLE)).unwrap_err());
}

#[test]
fn every_problem_of_a_mapping_is_reported_at_once() {
    let text = "
source = \"two words\"
vintage = \"May 2025\"
mineral = { column = \"M\", words = { \"Ga\" = \"galium\" }, wrods = {} }
stage = [\"mining\"]
delimiter = \"::\"
country = { columns = \"C\", total = \"World\" }
quantity = { column = \"Q\", denominator = \"all\" }
share = { column = \"S\" }
colour = \"red\"
";
    insta::assert_snapshot!(Mapping::parse(text.as_bytes()).unwrap_err());
    insta::assert_snapshot!(Mapping::parse(b"source = \"IEA\nstage = 1").unwrap_err());
    assert!(Mapping::parse(b"source = \"\xff\"").is_err());
}

proptest! {
    #[test]
    fn no_mutation_of_a_table_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        with in "[0-9,.\"\n;<>A-Z% -]{0,12}",
        drop in 0..40_usize,
    ) {
        let mut bytes = TABLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + drop).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(import) = read(&bytes, &mapping(EXAMPLE)) {
            for report in import.reports {
                let known: u32 = report.rows().iter().filter_map(|row| row.share).map(Ppm::get).sum();
                prop_assert!(known + report.residual().get() <= 1_020_000);
            }
        }
    }

    #[test]
    fn no_mutation_of_a_mapping_makes_its_reader_panic(
        at in any::<prop::sample::Index>(),
        with in "[0-9,.\"\n=\\[\\]{}#a-z ]{0,12}",
        drop in 0..40_usize,
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let end = (at + drop).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(mapping) = Mapping::parse(&bytes) {
            let _ = read(TABLE.as_bytes(), &mapping);
        }
    }

    #[test]
    fn the_order_of_rows_makes_no_difference(order in Just((1..14_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let lines: Vec<&str> = TABLE.lines().collect();
        let shuffled: Vec<&str> = order.into_iter().map(|at| lines[at]).collect();
        let shuffled = format!("{}\n{}\n", lines[0], shuffled.join("\n"));
        let import = read(shuffled.as_bytes(), &mapping(EXAMPLE)).unwrap();
        prop_assert_eq!(import.reports, table().reports);
    }
}
