//! Scenarios: which alerts the engine emits for a story. An analyst can read
//! `tests/scenarios/*.txt`: settings above the first line, the story between the lines, the
//! expected alerts below.
//!
//! ```text
//! [[rules]] …                                     as in deploy/lodewatch.toml; they replace its rules
//! ----
//! 2024-01-31 report gallium refining 2024 CHN=0.99
//! 2024-12-03 threat CHN-1 imposing=CHN only=USA measure=prohibition minerals=gallium effective=2024-12-03
//! 2024-12-04 remove CHN-1
//! 2024-12-05 clock                                time passes without an update
//! 2024-12-06 settings other.toml                  other settings come into force
//! 2024-12-07 exercise threat …                    the same as an exercise
//! ----
//! 2024-12-03 raised The text of the alert.
//! 2024-12-04 rejected: why
//! ```
//!
//! The story goes through the parser of the gRPC edge into the engine: no server, no clock, no
//! disk. `UPDATE_SCENARIOS=1` writes the emitted alerts below the line; read the diff before you
//! commit it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test may panic"
)]

use lodewatch::config;
use lodewatch::grpc::json::from_json;
use lodewatch::grpc::parse::{self, Violations};
use lodewatch_core::domain::alert::Cause;
use lodewatch_core::domain::outcome::BatchOutcome;
use lodewatch_core::domain::policy::Destination;
use lodewatch_core::domain::{
    Alert, Batch, Country, Entry, Facets, Filter, Payload, Seq, Timestamp, sentence,
};
use lodewatch_core::engine::State;
use lodewatch_proto::v1::{PublishRequest, Update};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

const LINE: &str = "----\n";

#[test]
fn every_scenario_emits_the_alerts_written_below_it() {
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut files: Vec<PathBuf> =
        folder().read_dir().unwrap().map(|one| one.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort_unstable();
    assert!(!files.is_empty());
    let mut wrong = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let parts: Vec<&str> = text.splitn(3, LINE).collect();
        let [settings, story, expected] = parts[..] else {
            panic!("{}: two lines of ----", path.display())
        };
        let emitted = play(settings, story);
        if update {
            std::fs::write(&path, format!("{settings}{LINE}{story}{LINE}{emitted}")).unwrap();
        } else if emitted != expected {
            write!(wrong, "{}\n  expected:\n{expected}\n  emitted:\n{emitted}\n", path.display())
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The result of a batch is kept, which takes a few allocations however many updates it has.
/// Nothing else is allocated.
#[test]
fn updates_that_change_nothing_allocate_nothing() {
    const UPDATES: usize = 1000;
    let mut story = Story::default();
    let at = instant("2024-06-01");
    story.apply(at, policy(""));
    let updates = |vintage: &str| {
        let lines = ["gallium", "germanium", "indium", "bismuth"].map(|mineral| {
            report(&format!("{mineral} refining 2023 CHN=0.6 USA=0.1 vintage={vintage}"))
        });
        let lines = lines.iter().cycle().take(UPDATES);
        lines.map(|line| from_json(&line.to_string()).unwrap()).collect::<Vec<Update>>()
    };
    let request = PublishRequest {
        feed: "desk".into(),
        updates: updates("2024-01-01"),
        ..PublishRequest::default()
    };
    for round in 1..100 {
        let batch = parse::publish(&request, || Uuid::from_u128(round)).unwrap();
        let entry = |payload| Entry { seq: Seq(story.state.seq().0 + 1), at, payload };
        let (tick, mut emitted) = (entry(Payload::Tick { due: at }), 0);
        let measured =
            allocation_counter::measure(|| emitted += story.state.apply(&tick).alerts.len());
        assert_eq!(measured.count_total, 0, "a tick with nothing due");
        let entry = Entry { seq: Seq(story.state.seq().0 + 1), at, payload: Payload::Batch(batch) };
        let measured =
            allocation_counter::measure(|| emitted += story.state.apply(&entry).alerts.len());
        if round > 1 {
            assert_eq!(emitted, 0);
            assert!(
                measured.count_total <= 16,
                "{} allocations for {UPDATES} updates",
                measured.count_total
            );
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Plays a story and returns the alerts that the engine emits, one per line.
fn play(settings: &str, lines: &str) -> String {
    let mut story = Story::default();
    let lines: Vec<&str> =
        lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let begin = lines.first().unwrap().split(' ').next().unwrap();
    story.apply(instant(begin), policy(settings));
    for line in lines {
        let (at, what) = line.split_once(' ').unwrap_or_else(|| panic!("{line}: a day and a verb"));
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        let payload = match verb {
            "clock" => Payload::Tick { due: instant(at) },
            "settings" => policy(&std::fs::read_to_string(folder().join(rest)).unwrap()),
            "exercise" => {
                story.publish(line, rest.split_once(' ').unwrap(), true);
                continue;
            }
            _ => {
                story.publish(line, (verb, rest), false);
                continue;
            }
        };
        story.apply(instant(at), payload);
    }
    story.output
}

#[derive(Default)]
struct Story {
    state: State,
    output: String,
}

impl Story {
    fn publish(&mut self, line: &str, update: (&str, &str), exercise: bool) {
        let at = line.split(' ').next().unwrap();
        match batch(line, update, exercise) {
            Ok(batch) => self.apply(instant(at), Payload::Batch(batch)),
            Err(why) => writeln!(self.output, "{at} rejected: {why}").unwrap(),
        }
    }

    fn apply(&mut self, at: Timestamp, payload: Payload) {
        let entry = Entry { seq: Seq(self.state.seq().0 + 1), at, payload };
        for alert in self.state.apply(&entry).alerts {
            check_arithmetic(&alert);
            let (day, kind) = (alert.event_time.day(), alert.kind);
            writeln!(self.output, "{day} {kind} {}", sentence::render(&alert)).unwrap();
        }
        if let Payload::Batch(batch) = &entry.payload {
            let result = self.state.result_of(batch).unwrap();
            if let BatchOutcome::Rejected(rejected) = &result.outcome {
                let day = at.day();
                for why in rejected.first() {
                    writeln!(self.output, "{day} rejected: {why}").unwrap();
                }
            }
        }
    }
}

/// The contributions of every alert add up to its value, to the last unit.
fn check_arithmetic(alert: &Alert) {
    let named = alert.contributions.iter().filter(|part| !part.upper_only);
    let lower: i64 = named.map(|part| part.amount).sum();
    let upper: i64 = alert.contributions.iter().map(|part| part.amount).sum();
    let (lower, upper) = if alert.metric.is_falling() {
        let whole = alert.metric.unit().per_one();
        (whole - upper, whole - lower)
    } else {
        (lower, upper)
    };
    assert_eq!(
        (lower, upper),
        (alert.value.lower, alert.value.upper),
        "{}",
        sentence::render(alert)
    );
}

fn policy(settings: &str) -> Payload {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), settings).unwrap();
    let config = config::check(Some(file.path())).unwrap_or_else(|problems| panic!("{problems}"));
    Payload::PolicyAdopted { revision: 0, policy: Arc::new(config.policy) }
}

fn batch(line: &str, (verb, rest): (&str, &str), exercise: bool) -> Result<Batch, Violations> {
    let update = match verb {
        "report" => report(rest),
        "threat" => threat(rest),
        "remove" => json!({ "removal": { "threatId": rest } }),
        _ => panic!("{line}: report, threat, remove, clock, settings or exercise"),
    };
    let update: Update =
        from_json(&update.to_string()).unwrap_or_else(|why| panic!("{line}: {why}"));
    let request = PublishRequest {
        feed: "desk".into(),
        updates: vec![update],
        exercise,
        ..PublishRequest::default()
    };
    parse::publish(&request, || Uuid::from_u128(line_id(line)))
}

/// A request id that is the same in every run.
fn line_id(line: &str) -> u128 {
    line.bytes()
        .fold(7, |id: u128, byte| id.wrapping_mul(0x0100_0000_01b3).wrapping_add(byte.into()))
}

/// `gallium refining 2024 CHN=0.99 RUS=withheld other=0.01 source=USGS vintage=2025-01-31`
fn report(text: &str) -> Value {
    let [mineral, stage, period] = text.split(' ').take(3).collect::<Vec<_>>()[..] else {
        panic!("{text}: mineral, stage and period")
    };
    let mut report = Map::new();
    let mut rows = Vec::new();
    for (key, value) in text.split(' ').skip(3).map(|word| word.split_once('=').unwrap()) {
        let key = &*key.replace('_', " ");
        match key {
            "source" | "vintage" => drop(report.insert(key.into(), value.into())),
            "other" => drop(report.insert(key.into(), number(value))),
            _ if value == "withheld" => rows.push(json!({ "country": key, "withheld": true })),
            _ => match value.strip_prefix('~') {
                Some(value) => {
                    rows.push(json!({ "country": key, "share": number(value), "estimated": true }));
                }
                None => rows.push(json!({ "country": key, "share": number(value) })),
            },
        }
    }
    report.entry("source").or_insert_with(|| "USGS".into());
    report.entry("vintage").or_insert_with(|| format!("{period}-12-31").into());
    report.insert("mineral".into(), mineral.into());
    report.insert("stage".into(), format!("STAGE_{}", stage.to_uppercase()).into());
    report.insert("period".into(), period.into());
    report.insert("rows".into(), rows.into());
    json!({ "report": report })
}

fn number(text: &str) -> Value {
    let number: f64 = text.parse().unwrap();
    number.into()
}

/// `CHN-1 imposing=CHN only=USA,JPN measure=tax minerals=gallium stages=refining announced=…
/// effective=… suspended=2025-11-09..2026-11-27 removed=… t=1.2 end_use=military superseded_by=…
/// revision=2`
fn threat(text: &str) -> Value {
    let (id, rest) = text.split_once(' ').unwrap();
    let mut threat = Map::new();
    threat.insert("id".into(), id.into());
    threat.insert("title".into(), id.into());
    let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
    let named = |prefix: &str, value: &str| format!("{prefix}_{}", value.to_uppercase());
    for (key, value) in rest.split(' ').map(|word| word.split_once('=').unwrap()) {
        let (key, value) = match key {
            "only" | "except" => ("destination", json!({ key: list(value) })),
            "minerals" => (key, json!(list(value))),
            "stages" => (key, list(value).iter().map(|stage| named("STAGE", stage)).collect()),
            "measure" => (key, named("MEASURE", value).into()),
            "end_use" => ("endUse", named("END_USE", value).into()),
            "confidence" => (key, named("CONFIDENCE", value).into()),
            "announced" => ("dateAnnounced", value.into()),
            "effective" => ("dateEffective", value.into()),
            "removed" => ("dateRemoved", value.into()),
            "superseded_by" => ("supersededBy", value.into()),
            "suspended" => ("suspensions", list(value).iter().map(|one| suspension(one)).collect()),
            "t" => ("tOverride", number(value)),
            "imposing" | "revision" => (key, value.into()),
            _ => panic!("{key} is no part of a threat"),
        };
        threat.insert(key.into(), value);
    }
    json!({ "threat": threat })
}

fn suspension(text: &str) -> Value {
    match text.split_once("..") {
        Some((from, "")) => json!({ "from": from }),
        Some((from, until)) => json!({ "from": from, "until": until }),
        None => panic!("{text}: FROM..UNTIL or FROM.."),
    }
}

fn instant(text: &str) -> Timestamp {
    let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    text.parse().unwrap()
}

/// Of many threats an alert shows those that matter most, and it still belongs to the countries of
/// all.
#[test]
fn an_alert_with_many_threats_shows_the_most_important_and_counts_the_rest() {
    let mut story = Story::default();
    story.apply(instant("2024-01-01"), policy(""));
    let mut updates = vec![report("gallium refining 2023 CHN=0.5 RUS=0.3 USA=0.2")];
    for number in 0..100 {
        let country = if number == 99 { "RUS" } else { "CHN" };
        let (measure, weight) = if number == 50 { ("quota", 3.0) } else { ("quota", 1.25) };
        updates.push(threat(&format!(
            "T-{number:02} imposing={country} measure={measure} minerals=gallium t={weight} \
             announced=2023-01-01 effective=2023-01-01"
        )));
    }
    let request = PublishRequest {
        feed: "desk".into(),
        updates: updates.iter().map(|one| from_json(&one.to_string()).unwrap()).collect(),
        ..PublishRequest::default()
    };
    let batch = parse::publish(&request, || Uuid::from_u128(1)).unwrap();
    let seq = Seq(story.state.seq().0 + 1);
    let entry = Entry { seq, at: instant("2024-01-02"), payload: Payload::Batch(batch) };
    let alerts = story.state.apply(&entry).alerts;
    let restricted = alerts.iter().find(|alert| {
        alert.rule.as_str() == "restricted-share" && alert.destination == Some(Destination::All)
    });
    let alert = restricted.unwrap();
    let ids: Vec<&str> = alert.threat_effects.iter().map(|one| one.threat.as_str()).collect();
    assert_eq!(ids.len(), Alert::THREATS_MAX);
    assert_eq!(alert.threat_effects_omitted, 36);
    assert_eq!(ids[..3], ["T-50", "T-00", "T-01"], "the heaviest first, then by id");
    assert!(!ids.contains(&"T-99"), "the country with the smaller share comes last");
    let countries: Vec<String> = alert.imposing.iter().map(ToString::to_string).collect();
    assert_eq!(countries, ["CHN", "RUS"]);
    let russia =
        Filter { countries: [Country::from_alpha3("RUS").unwrap()].into(), ..Filter::default() };
    assert!(russia.wants(&Facets::from(alert)));
    let Cause::Threat { threats, .. } = &alert.cause else { panic!("{:?}", alert.cause) };
    assert_eq!((threats.shown.len(), threats.omitted), (Alert::THREATS_MAX, 36));
    let sentence = sentence::render(alert);
    let cause = "T-10, T-11 and 52 more published, 36 more threats changed.";
    assert!(sentence.contains(cause), "{sentence}");
}
