//! The architecture of the root package, read from its sources. Crates hold the outer boundaries:
//! `lodewatch-core` has no I/O to use, `lodewatch-client` has no server. Within the server:
//!
//! ```text
//! journal, archive ← fanout ← pipeline ← grpc ← server, cli ← main
//!        access (identities, roles) ↗           feed_sync, sinks ↗
//! ```
//!
//! `clock`, `config`, `escape`, `fetch`, `metrics`, `repeated_log`, `sqlite`, `telemetry` and
//! `traces` are used by many and use no other module but each other. A module may use exactly what
//! [`MAY_USE`] lists.

mod sources;

use sources::{Source, all_sources};
use std::collections::{BTreeMap, BTreeSet};

/// What each module uses of the others: a use that is not listed fails, and so does a listed use
/// that no longer exists.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("escape", &[]),
    ("fetch", &[]),
    ("metrics", &[]),
    ("repeated_log", &[]),
    ("sqlite", &[]),
    ("config", &[]),
    ("telemetry", &["config", "escape"]),
    ("traces", &["config"]),
    ("access", &["clock", "config", "fetch", "repeated_log"]),
    ("journal", &["config", "fetch", "metrics", "sqlite"]),
    ("archive", &["sqlite"]),
    ("fanout", &["archive", "traces"]),
    ("pipeline", &["archive", "clock", "fanout", "journal", "metrics", "traces"]),
    (
        "grpc",
        &[
            "access",
            "archive",
            "clock",
            "escape",
            "fanout",
            "journal",
            "metrics",
            "pipeline",
            "repeated_log",
            "traces",
        ],
    ),
    ("console", &["config", "grpc"]),
    ("reload", &["clock", "config", "journal", "pipeline"]),
    ("sinks", &["clock", "fetch", "grpc"]),
    ("feed_sync", &["clock", "config", "escape", "fetch", "grpc", "metrics"]),
    (
        "server",
        &[
            "access",
            "archive",
            "clock",
            "config",
            "console",
            "grpc",
            "journal",
            "metrics",
            "pipeline",
            "reload",
            "repeated_log",
            "traces",
        ],
    ),
    (
        "cli",
        &[
            "access",
            "archive",
            "clock",
            "config",
            "escape",
            "feed_sync",
            "grpc",
            "journal",
            "metrics",
            "pipeline",
            "reload",
            "server",
            "sinks",
            "telemetry",
        ],
    ),
    ("main", &["cli", "escape"]),
];

/// What only some modules may name, and why.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("prost", &["grpc"], "only grpc uses protobuf"),
    ("prost_types", &["grpc"], "only grpc uses protobuf"),
    ("prost_reflect", &["grpc"], "only grpc uses protobuf"),
    (
        "tonic",
        &["grpc", "server", "sinks", "feed_sync", "cli"],
        "only the edge and the clients in this program use gRPC",
    ),
    (
        "lodewatch_proto",
        &["grpc", "sinks", "feed_sync", "cli"],
        "only the edge and the clients in this program use the messages",
    ),
    ("opentelemetry", &["traces"], "only traces uses OpenTelemetry"),
    ("std::env", &["config"], "only config reads the environment"),
    ("SystemTime", &["clock"], "only clock reads the time"),
    ("std::time::Instant", &["clock"], "only clock reads the time"),
    ("Timestamp::now", &["clock"], "only clock reads the time"),
    ("Zoned::now", &["clock"], "only clock reads the time"),
    ("tokio_rustls", &["server"], "only server opens connections"),
    ("ring::digest", &["access"], "only access uses secrets"),
    ("rusqlite", &["journal", "archive", "sqlite"], "only the stores know SQLite"),
];

/// What domain and engine may not name: the same journal must give the same bytes, anywhere and at
/// any time.
const NOT_IN_THE_CORE: &[&str] = &[
    "f32",
    "f64",
    "HashMap",
    "HashSet",
    "tokio",
    "async",
    "await",
    "thread",
    "std::fs",
    "std::net",
    "std::process",
    "Instant",
    "rand",
    "tracing",
    "println",
    "eprintln",
];

/// Every violation of a rule, reported together.
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn of_src() -> Vec<Source> {
    all_sources(&["src"])
}

#[test]
fn arrows_only_go_down() {
    let mut broken = Vec::new();
    for source in of_src().iter().filter(|source| source.module() != "lib") {
        let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == source.module())
        else {
            broken.push(format!("{}: has no place in the picture", source.path));
            continue;
        };
        for used in source.uses() {
            if used != source.module() && !allowed.contains(&used.as_str()) {
                broken.push(format!("{}: may not use {used}", source.path));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_permitted_arrow_is_used() {
    let sources = of_src();
    let mut broken = Vec::new();
    for (module, allowed) in MAY_USE {
        let mut uses = BTreeSet::new();
        for source in sources.iter().filter(|source| source.module() == *module) {
            uses.extend(source.uses());
        }
        for never in allowed.iter().filter(|used| !uses.contains(**used)) {
            broken.push(format!("{module} never uses {never}: remove the permission"));
        }
    }
    assert_none(&broken);
}

#[test]
fn no_circle_joins_modules_or_the_rooms_of_one() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sources = of_src();
    let rooms: BTreeSet<String> = sources
        .iter()
        .filter_map(|one| Some(format!("{}::{}", one.module(), one.room()?)))
        .collect();
    for source in &sources {
        let module = source.module();
        arrows.entry(module.to_owned()).or_default().extend(source.uses());
        let Some(room) = source.room() else { continue };
        let used = source.uses_of_own_module().into_iter().map(|used| format!("{module}::{used}"));
        let used = used.filter(|used| rooms.contains(used));
        arrows.entry(format!("{module}::{room}")).or_default().extend(used);
    }
    for (from, to) in &mut arrows {
        to.remove(from);
    }
    // A module that uses no remaining module is in no cycle.
    while let Some(free) = arrows
        .iter()
        .find(|(_, to)| !to.iter().any(|to| arrows.contains_key(to)))
        .map(|(from, _)| from.clone())
    {
        arrows.remove(&free);
    }
    assert!(arrows.is_empty(), "these are on a circle, or use one: {arrows:#?}");
}

#[test]
fn what_belongs_to_one_module_is_named_in_no_other() {
    let mut broken = Vec::new();
    for source in of_src() {
        for (name, modules, why) in ONLY_IN {
            if !modules.contains(&source.module()) && source.names(name) {
                broken.push(format!("{}: names {name}, but {why}", source.path));
            }
        }
        if source.module() == "cli" && source.production.contains("env =") {
            broken.push(format!("{}: a flag that reads the environment", source.path));
        }
    }
    assert_none(&broken);
}

#[test]
fn the_core_uses_no_clock_chance_float_hash_order_async_or_io() {
    let mut broken = Vec::new();
    for source in &all_sources(&["crates/core/src"]) {
        for name in NOT_IN_THE_CORE.iter().filter(|name| source.names(name)) {
            broken.push(format!("{}: names {name}", source.path));
        }
    }
    assert_none(&broken);
}

#[test]
fn files_have_one_job_and_functions_fit_a_screen() {
    const FILE_LINES_MAX: usize = 500;
    const FUNCTION_LINES_MAX: usize = 70;
    let mut broken = Vec::new();
    for source in all_sources(&["src", "tests", "benches", "examples"]) {
        if source.lines() > FILE_LINES_MAX {
            let lines = source.lines();
            broken.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
        }
        for (name, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                let allowed = format!("at most {FUNCTION_LINES_MAX}");
                broken.push(format!("{}: {name} has {lines} lines, {allowed}", source.path));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn half_of_all_files_are_short() {
    const MEDIAN_LINES_MAX: usize = 130;
    let mut lines: Vec<usize> = of_src().iter().map(Source::lines).collect();
    lines.sort_unstable();
    let median = lines.get(lines.len() / 2).copied().unwrap_or(0);
    assert!(median <= MEDIAN_LINES_MAX, "the median file has {median} lines");
}

#[test]
fn files_are_named_for_what_they_hold() {
    let vague = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let broken: Vec<String> = all_sources(&["src", "tests", "benches", "examples"])
        .iter()
        .filter(|source| source.path.split(['/', '.']).any(|part| vague.contains(&part)))
        .map(|source| format!("{}: says nothing", source.path))
        .collect();
    assert_none(&broken);
}

#[test]
fn tests_neither_sleep_nor_are_skipped() {
    let mut broken = Vec::new();
    for source in all_sources(&["src", "tests"]) {
        if source.code.contains("#[ignore") {
            broken.push(format!("{}: an ignored test", source.path));
        }
        if source.code.contains("thread::sleep") {
            broken.push(format!("{}: blocks a thread", source.path));
        }
        let tests = source.code.get(source.production.len()..).unwrap_or_default();
        if tests.contains("time::sleep") && !source.code.contains("start_paused = true") {
            broken.push(format!("{}: a test that sleeps; wait for a value", source.path));
        }
    }
    assert_none(&broken);
}
