//! Importing with the real binary into a real server: what it takes, what it leaves, and that a
//! second time changes nothing.

use lodewatch_importers::bundled;
use lodewatch_testkit::process::{Process, json_lines, run};
use lodewatch_testkit::samples::{MCS_2025, MCS_2026, sample};
use std::path::{Path, PathBuf};

/// A file of the project.
fn local(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_str().unwrap().to_owned()
}

const MAPPING: &str = "crates/importers/src/table/example.toml";

const EVENTS: &str = "\
event_id,title,imposing,authority_level,destination,minerals,stage_or_form,measure_type,date_announced,date_effective,\
date_suspended,suspended_until,date_removed,detail,certainty,source
CHN-GAGE,Licences,CHN,national,ALL,gallium;germanium,metal,LICENSING,2023-07-03,2023-08-01,,,,,verified,x
CHN-USA,Ban,CHN,national,USA,gallium,metal,EXPORT_PROHIBITION,2024-12-03,2024-12-03,,,,,verified,x
";

const LINES: &str = r#"{"report":{"mineral":"tin","stage":"STAGE_MINING","source":"TEST","period":"2024","vintage":"2025-01-31","rows":[{"country":"CHN","share":0.3}]}}
{"threat":{"id":"T-1","imposing":"IDN","minerals":["tin"],"measure":"MEASURE_TAX"}}
"#;

/// Imports, and gives what the last line on standard output says.
fn import(process: &Process, arguments: &[&str]) -> String {
    let output = run(&[&["import"], arguments, &["--address", &process.address]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("imported: "), "{said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn write(dir: &Path, name: &str, content: &str) -> String {
    let path: PathBuf = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(&dir.path().join("data"));
    let mapping = local(MAPPING);
    let (table, gta) = (sample("table.csv"), sample("gta.csv"));
    let usgs = sample(MCS_2026);
    let events = write(dir.path(), "events.csv", EVENTS);
    let lines = write(dir.path(), "lines.jsonl", LINES);
    let files: Vec<(Vec<&str>, usize)> = vec![
        (vec!["csv", &table, "--mapping", &mapping], 3),
        (vec!["gta", &gta], 7),
        (vec!["events", &events], 2),
        (vec!["jsonl", &lines], 2),
        (vec!["usgs", &usgs], 164),
    ];
    for (arguments, count) in &files {
        let first = import(&process, arguments);
        assert!(
            first.starts_with(&format!("{count} applied, 0 unchanged, 0 superseded")),
            "{arguments:?}: {first}"
        );
    }
    for (arguments, count) in &files {
        let again = import(&process, arguments);
        let expected = format!("0 applied, {count} unchanged, 0 superseded; 0 alerts");
        assert_eq!(again, expected, "{arguments:?}");
    }
}

#[test]
fn an_older_release_that_arrives_later_changes_no_year_of_the_newer_one() {
    let (older, newer) = (sample(MCS_2025), sample(MCS_2026));
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(&dir.path().join("data"));
    import(&process, &["usgs", &newer]);
    let markets = || -> Vec<[serde_json::Value; 3]> {
        let listing = run(&["markets", "--output", "json", "--address", &process.address]);
        let figures = |market: &serde_json::Value| {
            ["report", "suppliers", "metrics"].map(|name| market[name].clone())
        };
        json_lines(&listing).iter().map(figures).collect()
    };
    let before = markets();
    let said = import(&process, &["usgs", &older]);
    assert!(said.starts_with("79 applied, 0 unchanged, 79 superseded; 0 alerts"), "{said}");
    assert!(markets() == before, "the figures in force stay as they were");
    let again = import(&process, &["usgs", &older]);
    assert!(again.starts_with("0 applied"), "{again}");
}

#[test]
fn a_list_that_has_changed_revises_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(&dir.path().join("data"));
    let events = write(dir.path(), "events.csv", EVENTS);
    import(&process, &["events", &events]);
    let changed = EVENTS.replacen("2024-12-03,,,,,", "2024-12-03,2025-11-09,2026-11-27,,,", 1);
    let changed = write(dir.path(), "changed.csv", &changed);
    let said = import(&process, &["events", &changed]);
    assert!(said.starts_with("1 applied, 1 unchanged"), "{said}");
    let again = import(&process, &["events", &changed]);
    assert!(again.starts_with("0 applied, 2 unchanged"), "{again}");
    let threats = json_lines(&run(&["threats", "--output", "json", "--address", &process.address]));
    let revision = |id: &str| {
        let is = |record: &&serde_json::Value| record["threat"]["id"] == id;
        threats.iter().find(is).unwrap()["threat"]["revision"].as_str().unwrap().to_owned()
    };
    assert_eq!((revision("CHN-GAGE"), revision("CHN-USA")), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn a_dry_run_needs_no_server_and_prints_what_import_jsonl_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["import", "gta", &sample("gta.csv"), "--dry-run", "--verbose"];
    let output = run(&arguments);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    for part in [
        "imported: 7 threats\n          GTA-1001-IDN-mining\n",
        "skipped: 8\n",
        "does not restrict exports\n          GTA-1006: Examplia: Import tariff on tungsten",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(json_lines(&output).len(), 7);
    let lines = write(dir.path(), "lines.jsonl", std::str::from_utf8(&output.stdout).unwrap());
    let process = Process::serve(&dir.path().join("data"));
    let said = import(&process, &["jsonl", &lines]);
    assert!(said.starts_with("7 applied"), "{said}");
    let said = import(&process, &["gta", &sample("gta.csv")]);
    assert!(said.starts_with("0 applied, 7 unchanged"), "printed and sent are the same: {said}");
}

#[test]
fn the_bundled_data_is_what_the_importers_make_of_the_public_files() {
    let made =
        |kind: &str, name: &str| json_lines(&run(&["import", kind, &sample(name), "--dry-run"]));
    let bundled = |lines: &str| -> Vec<serde_json::Value> {
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let newest = |update: &serde_json::Value| update["report"]["period"] == "2025";
    let by_usgs = |update: &serde_json::Value| update["report"]["source"] == "USGS";
    let reports: Vec<_> = made("usgs", MCS_2026).into_iter().filter(newest).collect();
    let ours: Vec<_> = bundled(bundled::REPORTS).into_iter().filter(by_usgs).collect();
    assert_eq!(ours.len(), reports.len());
    for (ours, made) in ours.iter().zip(&reports) {
        assert_eq!(ours, made);
    }
    let threats = made("events", "export_control_events.csv");
    for ours in bundled(bundled::THREATS) {
        assert!(threats.contains(&ours), "{}", ours["threat"]["id"]);
    }
}

#[test]
fn a_file_or_mapping_that_is_wrong_names_itself_and_all_its_faults() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = write(dir.path(), "bad.toml", "source = \"x y\"\n");
    let output = run(&["import", "csv", &sample("table.csv"), "--mapping", &mapping, "--dry-run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["cannot parse", "bad.toml", "source = \"x y\"", "mineral: is missing"] {
        assert!(said.contains(part), "{said}");
    }
    let large = dir.path().join("large.csv");
    std::fs::File::create(&large).unwrap().set_len((1 << 30) + 1).unwrap();
    let output = run(&["import", "usgs", large.to_str().unwrap(), "--dry-run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it has more than 1073741824 bytes, which is the limit"), "{said}");
    let help = String::from_utf8(run(&["import", "csv", "--help"]).stdout).unwrap();
    assert!(help.contains(&std::fs::read_to_string(local(MAPPING)).unwrap()), "{help}");
    assert_eq!(run(&["import", "csv", "x.csv"]).status.code(), Some(2), "a mapping is needed");
}
