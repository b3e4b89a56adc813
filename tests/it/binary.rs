//! The real binary, as people and containers run it.

use lodewatch_testkit::process::{Process, json_lines, run};
use lodewatch_testkit::samples::{MCS_2025, MCS_2026, sample};
use serde_json::Value;

#[test]
fn the_demo_shows_the_gallium_ban_its_suspension_and_its_return() {
    let alerts = json_lines(&run(&["demo", "--output", "json"]));
    let shown = |destination: &str| -> Vec<String> {
        let of = |alert: &&Value| {
            alert["mineral"] == "gallium"
                && alert["stage"] == "STAGE_REFINING"
                && alert["rule"] == "prohibited-share"
                && alert["destination"] == destination
        };
        let show = |alert: &Value| {
            let day = &alert["eventTime"].as_str().unwrap()[..10];
            let value = alert["value"]["lower"].as_f64().unwrap_or(0.0);
            let (kind, cause) = (alert["kind"].as_str().unwrap(), &alert["cause"]);
            format!(
                "{day} {kind} {value:.2} {} {}",
                cause["kind"].as_str().unwrap(),
                cause["threatIds"][0].as_str().unwrap()
            )
        };
        alerts.iter().filter(of).map(show).collect()
    };
    assert_eq!(
        shown("USA"),
        [
            "2024-12-03 ALERT_KIND_RAISED 0.99 CAUSE_KIND_THREAT CHN-USA-2024",
            "2025-11-09 ALERT_KIND_CLEARED 0.00 CAUSE_KIND_CLOCK CHN-USA-2024",
            "2026-11-27 ALERT_KIND_RAISED 0.99 CAUSE_KIND_CLOCK CHN-USA-2024",
        ]
    );
    assert_eq!(shown("JPN"), Vec::<String>::new());
}

#[test]
fn the_demos_journal_can_be_kept_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["demo", "--keep", dir.path().to_str().unwrap()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("lodewatch serve --data-dir"), "{text}");
    let process = Process::serve(dir.path());
    let open =
        json_lines(&run(&["alerts", "--open", "--output", "json", "--address", &process.address]));
    assert!(open.len() > 50);
}

#[test]
fn the_usgs_releases_give_the_figures_of_the_method_to_the_digit() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    for file in [MCS_2025, MCS_2026] {
        let output = run(&["import", "usgs", &sample(file), "--address", &process.address]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let markets = json_lines(&run(&["markets", "--output", "json", "--address", &process.address]));
    for (mineral, stage, leader, percent, lower, upper) in [
        ("gallium", "REFINING", "CHN", 99.0, 9804.0, 9804.0),
        ("magnesium", "REFINING", "CHN", 87.7, 7736.0, 7736.0),
        ("tungsten", "MINING", "CHN", 78.7, 6234.0, 6242.0),
        ("cobalt", "MINING", "COD", 73.1, 5554.0, 5562.0),
        ("rare_earths", "MINING", "CHN", 69.4, 5072.0, 5072.0),
        ("nickel", "MINING", "IDN", 66.9, 4594.0, 4650.0),
        ("antimony", "MINING", "CHN", 36.1, 2582.0, 2582.0),
        ("copper", "REFINING", "CHN", 48.3, 2537.0, 2589.0),
        ("copper", "MINING", "CHL", 23.0, 1036.0, 1206.0),
        ("zinc", "MINING", "CHN", 32.7, 1444.0, 1698.0),
    ] {
        let is = |market: &&Value| {
            market["mineral"] == mineral && market["stage"] == format!("STAGE_{stage}")
        };
        let market = markets.iter().find(is).unwrap();
        assert_eq!(market["leaders"], serde_json::json!([leader]), "{mineral}");
        let top = market["suppliers"][0]["share"].as_f64().unwrap();
        assert_eq!((top * 1000.0).round() / 10.0, percent, "{mineral}");
        let hhi = market["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["metric"] == "METRIC_HHI")
            .unwrap();
        let bound = |name: &str| hhi["value"][name].as_f64().unwrap().round();
        assert_eq!((bound("lower"), bound("upper")), (lower, upper), "{mineral}");
        assert!(
            market["flags"].as_array().unwrap().contains(&"FLAG_ESTIMATED".into()),
            "{mineral}"
        );
    }
}

#[test]
fn errors_say_what_was_tried_why_it_failed_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let file = dir.path().join("updates.jsonl");
    let check = |content: &str, expected: &[&str]| {
        std::fs::write(&file, content).unwrap();
        let output = run(&["publish", file.to_str().unwrap(), "--address", &process.address]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in expected {
            assert!(said.contains(part), "{said} says {part}");
        }
    };
    check(
        r#"{"removal":{"threatId":"T"}}"#,
        &["cannot publish lines 1 to 1", "no threat T is on record"],
    );
    check(
        "{\"removal\":{\"threatId\":\"T\"}}\n{\"report\":{\"mineral\":\"gal",
        &["cannot parse", "updates.jsonl", "line 2, column", "EOF"],
    );
    check(r#"{"removal":{"threat":"T"}}"#, &["line 1", "threat"]);
    let output = run(&["markets", "--address", "127.0.0.1:1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot connect to 127.0.0.1:1: Connection refused"), "{said}");
    let several = format!("127.0.0.1:1,{}", process.address);
    assert!(run(&["markets", "--address", &several]).status.success(), "the second one answers");
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn a_truncated_usgs_file_is_an_error_that_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.csv");
    let bytes = std::fs::read(sample(MCS_2026)).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&["import", "usgs", cut.to_str().unwrap(), "--dry-run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.contains("line")), (Some(1), true), "{said}");
}

#[test]
fn a_second_server_on_one_directory_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Process::serve(dir.path());
    let output =
        run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.path().to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process uses this data directory"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
