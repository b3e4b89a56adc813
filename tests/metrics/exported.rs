//! The metrics: their names, their values, and that clients cannot add series.

use crate::tools::promtool;
use crate::world::{PUBLISHED, World};
use lodewatch::access::token::TokenHash;
use lodewatch::metrics::{FeedMetrics, Metrics};
use lodewatch_testkit::samples::swing;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;
use tonic::{Code, Request};

/// The value of a series, named with its labels.
pub(crate) fn value(text: &str, series: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = lines.next().unwrap_or_else(|| panic!("{series} is not in {text}"));
    value.parse().unwrap()
}

/// The names of all series.
fn series_names(text: &str) -> BTreeSet<&str> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The queries of the alerting rules.
fn rule_queries() -> Vec<String> {
    let rules = read("deploy/prometheus/rules.yaml");
    let queries = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    queries.map(str::to_owned).collect()
}

/// The queries of the dashboard, with its variables set as Grafana does.
fn dashboard_queries() -> Vec<String> {
    fn collect(json: &Value, queries: &mut Vec<String>) {
        match json {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_str() {
                        Some(query) if name == "expr" => queries.push(query.to_owned()),
                        _ => collect(field, queries),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|one| collect(one, queries)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let dashboard = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    let variables = [("$__rate_interval", "1m"), ("$job", "lodewatch"), ("$instance", ".*")];
    let set = |query: String| {
        variables.iter().fold(query, |query, (variable, value)| query.replace(variable, value))
    };
    queries.into_iter().map(set).collect()
}

/// The names of Lodewatch's metrics in a query.
fn metric_names(query: &str) -> Vec<&str> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let is_ours = |word: &&str| {
        let prefixes = ["lodewatch_", "grpc_server_", "process_"];
        prefixes.iter().any(|prefix| word.starts_with(prefix))
    };
    words.filter(is_ours).collect()
}

#[tokio::test]
async fn promtool_accepts_the_metrics() {
    let (world, _stream) = World::busy().await;
    promtool(["check", "metrics"], &world.text().await);
    world.server.stop().await;
}

#[tokio::test]
async fn the_metrics_count_what_was_done() {
    let (world, stream) = World::busy().await;
    let text = world.text().await;
    let publish =
        "grpc_type=\"unary\",grpc_service=\"lodewatch.v1.FeedService\",grpc_method=\"Publish\"";
    let handled =
        |code: &str| format!("grpc_server_handled_total{{{publish},grpc_code=\"{code}\"}}");
    for (series, expected) in [
        (format!("grpc_server_started_total{{{publish}}}"), PUBLISHED + 1),
        (handled("OK"), PUBLISHED),
        (handled("InvalidArgument"), 1),
        ("lodewatch_updates_total{outcome=\"applied\"}".to_owned(), PUBLISHED),
        ("lodewatch_rejected_total{reason=\"BAD_REQUEST\"}".to_owned(), 1),
        ("lodewatch_rejected_total{reason=\"NOT_FOUND\"}".to_owned(), 1),
        ("lodewatch_limits_hit_total{limit=\"server.streams_max\"}".to_owned(), 1),
        ("lodewatch_streams_open{grpc_method=\"Subscribe\"}".to_owned(), 1),
        ("lodewatch_subscribers".to_owned(), 1),
        ("lodewatch_subscriber_lag_entries_count".to_owned(), 1),
        ("lodewatch_connections_open{port=\"server.listen\",tls=\"false\"}".to_owned(), 1),
        // The policy is an entry as well.
        ("lodewatch_journal_entries_appended_total".to_owned(), PUBLISHED + 1),
        ("lodewatch_journal_head_entry".to_owned(), PUBLISHED + 1),
        ("lodewatch_applied_entry".to_owned(), PUBLISHED + 1),
        ("lodewatch_policy_version".to_owned(), 1),
        ("lodewatch_ready".to_owned(), 1),
        ("lodewatch_durability_verified".to_owned(), 1),
        ("lodewatch_diverged".to_owned(), 0),
        ("lodewatch_insecure".to_owned(), 0),
        ("lodewatch_markets".to_owned(), 1),
        ("lodewatch_record_items{limit=\"market_sources_max\"}".to_owned(), 1),
        ("lodewatch_record_items_max{limit=\"market_sources_max\"}".to_owned(), 64),
        ("lodewatch_record_items{limit=\"threats_max\"}".to_owned(), 0),
        ("lodewatch_market_snapshots_rendered_total".to_owned(), 0),
        ("lodewatch_simulation_evaluations_total".to_owned(), 0),
        ("lodewatch_alerts_examined_total".to_owned(), 0),
    ] {
        let expected = f64::from(u32::try_from(expected).unwrap());
        let value = value(&text, &series);
        assert!((value - expected).abs() < f64::EPSILON, "{series} is {value}, not {expected}");
    }
    for series in [
        "lodewatch_journal_commit_seconds_count",
        "lodewatch_journal_append_seconds_count",
        "lodewatch_delivery_wait_seconds_count",
        "lodewatch_alerts_delivered_total",
        "lodewatch_messages_delivered_total",
        "lodewatch_snapshot_entry",
        "lodewatch_ring_bytes",
        "lodewatch_record_bytes{limit=\"reports_max\"}",
        "lodewatch_record_bytes_max{limit=\"reports_max\"}",
        "lodewatch_journal_bytes",
        "lodewatch_archive_bytes",
        "lodewatch_data_available_bytes",
        "lodewatch_engine_seconds_total",
        "lodewatch_source_last_report_timestamp_seconds{source=\"TEST\"}",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
    ] {
        assert!(value(&text, series) > 0.0, "{series} is 0");
    }
    drop(stream);
    world.server.stop().await;
}

#[tokio::test]
async fn rules_and_dashboard_query_existing_metrics_in_valid_promql() {
    let (world, _stream) = World::busy().await;
    let feeds = FeedMetrics::default();
    feeds.add_feed("usgs", Duration::from_secs(10), 0);
    feeds.count_published("usgs", [("applied", 1), ("unchanged", 2), ("superseded", 3)], 0);
    // Of a server with TLS and identities.
    let secured = Metrics::new([]);
    secured.gauges.set_certificate_expiry("server", 0);
    secured.gauges.set_credentials_loaded("keys", 0);
    let text = world.text().await + &feeds.text() + &secured.text();
    let existing = series_names(&text);
    let queries = [rule_queries(), dashboard_queries()].concat();
    assert!(queries.len() > 70, "{} queries were found", queries.len());
    for query in &queries {
        for name in metric_names(query) {
            assert!(existing.contains(name), "{name} does not exist, in {query}");
        }
    }
    let mut rules = "groups:\n- name: all\n  rules:\n".to_owned();
    for (number, query) in queries.iter().enumerate() {
        let query = serde_json::to_string(query).unwrap();
        writeln!(rules, "  - record: query_{number}\n    expr: {query}").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queries.yaml");
    std::fs::write(&file, rules).unwrap();
    let arguments = ["check".as_ref(), "rules".as_ref(), file.as_os_str()];
    promtool(arguments, "");
    world.server.stop().await;
}

#[tokio::test]
async fn every_rule_has_its_section_in_the_runbook() {
    let (rules, runbook) = (read("deploy/prometheus/rules.yaml"), read("deploy/RUNBOOK.md"));
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in alerts {
        assert!(runbook.contains(&format!("\n### {alert}\n\n")), "{alert}");
        let page = format!("runbook: deploy/RUNBOOK.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&page), "{page}");
    }
}

#[tokio::test]
async fn calls_of_unknown_methods_are_one_series() {
    let world = World::start(|_| {}).await;
    let call = async |number: usize| {
        let mut client = tonic::client::Grpc::new(world.server.channel.clone());
        client.ready().await.unwrap();
        let path = format!("/made.up.Service{number}/Method{number}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let rejected = client.unary(Request::new(()), path, codec).await.unwrap_err();
        assert_eq!(rejected.code(), Code::PermissionDenied);
    };
    call(0).await;
    let before = world.text().await.lines().count();
    for number in 1..1000 {
        call(number).await;
    }
    let text = world.text().await;
    assert_eq!(text.lines().count(), before, "{text}");
    let unknown = "grpc_type=\"unary\",grpc_service=\"unknown\",grpc_method=\"unknown\"";
    let value = value(&text, &format!("grpc_server_started_total{{{unknown}}}"));
    assert!((value - 1000.0).abs() < f64::EPSILON, "{value}");
    world.server.stop().await;
}

#[tokio::test]
async fn no_secret_and_no_identity_is_in_the_metrics() {
    const TOKEN: &str = "a-token-that-is-hard-to-guess";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("identities.toml");
    let hash = TokenHash::of(TOKEN);
    let entry = format!(
        "[[identities]]\nname = \"desk-7\"\ntoken_sha256 = [\"{hash}\"]\nroles = [\"publisher\"]\nfeeds = [\"test\"]\n"
    );
    std::fs::write(&file, entry).unwrap();
    let world = World::start(|config| config.access.identities = Some(file)).await;
    let publish = async |token: &str| {
        let update = swing("gallium", 0);
        let batch = lodewatch_proto::v1::PublishRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            feed: "test".to_owned(),
            updates: vec![update],
            exercise: false,
        };
        let mut request = Request::new(batch);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let channel = world.server.channel.clone();
        lodewatch_proto::v1::feed_service_client::FeedServiceClient::new(channel)
            .publish(request)
            .await
    };
    publish(TOKEN).await.unwrap();
    assert_eq!(publish("wrong").await.unwrap_err().code(), Code::Unauthenticated);
    let text = world.text().await;
    let denied = value(&text, "lodewatch_rejected_total{reason=\"CREDENTIALS_REQUIRED\"}");
    assert!((denied - 1.0).abs() < f64::EPSILON);
    for secret in [TOKEN, "wrong", "desk-7", &hash.to_string(), "gallium", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    world.server.stop().await;
}
