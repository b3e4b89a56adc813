//! Traces: from the update to the alert, in one trace.

use lodewatch::config::Config;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{PublishStreamRequest, Start, SubscribeRequest};
use lodewatch_testkit::certificates::Authority;
use lodewatch_testkit::collector::Collector;
use lodewatch_testkit::process::{Process, command, json_lines};
use lodewatch_testkit::samples::{report, swing};
use lodewatch_testkit::server::{Server, batch};
use std::path::Path;
use tokio::task::spawn_blocking;
use tonic::{Code, Request};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const PUBLISH: &str = "lodewatch.v1.FeedService/Publish";
const BEGIN: &str = "2026-01-01";

async fn start(dir: &Path, collector: &Collector, change: impl FnOnce(&mut Config)) -> Server {
    Server::start_with(dir, BEGIN, |config| {
        config.traces.endpoint = Some(collector.endpoint.clone());
        change(config);
    })
    .await
}

/// A message with a `traceparent` of its caller; flags `01` if the trace is sampled, `00` if not.
fn traced<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let traceparent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    request
}

#[tokio::test]
async fn one_trace_shows_an_update_from_its_publisher_to_the_subscriber_of_its_alert() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let server = start(dir.path(), &collector, |_| {}).await;
    let from_head = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    let mut alerts = server.subscribe(from_head).await.unwrap();
    alerts.until_caught_up().await;
    let published =
        server.feed().publish(traced(batch(vec![swing("gallium", 0)]), "01")).await.unwrap();
    let sequences = published.into_inner().alert_sequences;
    alerts.until_alert(*sequences.last().unwrap()).await;
    server.stop().await;

    let call = collector.only(PUBLISH);
    assert_eq!((call.trace.as_str(), call.parent.as_str()), (TRACE, PARENT));
    assert_eq!(call.attributes["rpc.grpc.status_code"], "0");
    assert_eq!(call.attributes["client.address"], "127.0.0.1");
    let (append, apply) = (collector.only("append"), collector.only("apply"));
    assert_eq!((&append.parent, &apply.parent), (&call.span, &call.span));
    assert_eq!(apply.attributes["lodewatch.alerts"], sequences.len().to_string());
    assert_eq!(apply.attributes["lodewatch.first_alert"], sequences[0].to_string());
    let (archive, deliver) = (collector.only("archive"), collector.only("deliver"));
    assert_eq!((&archive.parent, &deliver.parent), (&apply.span, &apply.span));
    assert_eq!(deliver.attributes["lodewatch.subscriber"], "local");
    assert!(collector.spans().iter().all(|span| span.trace == TRACE && span.time.0 <= span.time.1));
    assert!(deliver.time.1 >= archive.time.1, "no alert is delivered before it is archived");
}

#[tokio::test]
async fn a_publisher_decides_for_its_own_trace_and_the_ratio_for_those_who_have_none() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let never = start(dir.path(), &collector, |config| config.traces.ratio_ppm = 0).await;
    never.publish(vec![swing("gallium", 0)]).await.unwrap();
    never.feed().publish(traced(batch(vec![swing("gallium", 1)]), "01")).await.unwrap();
    never.stop().await;
    assert!(collector.spans().iter().all(|span| span.trace == TRACE));
    collector.only(PUBLISH);

    let collector = Collector::start().await;
    let always = start(dir.path(), &collector, |_| {}).await;
    always.feed().publish(traced(batch(vec![swing("gallium", 2)]), "00")).await.unwrap();
    always.publish(vec![swing("gallium", 3)]).await.unwrap();
    always.stop().await;
    let call = collector.only(PUBLISH);
    assert_eq!(call.parent, "");
    assert!(collector.spans().iter().all(|span| span.trace == call.trace && span.trace != TRACE));
}

#[tokio::test]
async fn every_batch_of_a_stream_is_a_part_of_the_streams_trace() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let server = start(dir.path(), &collector, |_| {}).await;
    let batches = [batch(vec![swing("gallium", 0)]), batch(vec![report("galium", "2024", &[])])];
    let batches = batches.map(|batch| PublishStreamRequest { batch: Some(batch) });
    let stream = traced(tokio_stream::iter(batches), "01");
    let mut answers = server.feed().publish_stream(stream).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    server.stop().await;
    let mut calls = collector.spans();
    calls.retain(|span| span.name == "lodewatch.v1.FeedService/PublishStream");
    let codes: Vec<_> =
        calls.iter().map(|call| call.attributes["rpc.grpc.status_code"].as_str()).collect();
    assert_eq!(codes, ["0", "3"]);
    assert!(calls.iter().all(|call| call.parent == PARENT));
}

#[tokio::test]
async fn a_popular_alert_has_as_many_delivery_spans_as_are_configured() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let server = start(dir.path(), &collector, |config| config.traces.delivery_spans_max = 3).await;
    let mut subscribers = Vec::new();
    for _ in 0..5 {
        let from_head = SubscribeRequest { start: Start::Head.into(), ..Default::default() };
        let mut alerts = server.subscribe(from_head).await.unwrap();
        alerts.until_caught_up().await;
        subscribers.push(alerts);
    }
    let published = server.publish(vec![swing("gallium", 0)]).await.unwrap();
    for alerts in &mut subscribers {
        alerts.until_alert(*published.alert_sequences.last().unwrap()).await;
    }
    server.stop().await;
    assert_eq!(collector.spans().iter().filter(|span| span.name == "deliver").count(), 3);
}

#[tokio::test]
async fn an_unreachable_collector_delays_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut gone = Collector::start().await;
    gone.endpoint = "http://127.0.0.1:1".to_owned();
    let server = start(dir.path(), &gone, |_| {}).await;
    for turn in 0..10 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    server.stop().await;
}

/// Of more than one thread: the collector answers while the process is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn spans_are_exported_over_https_if_the_systems_authorities_know_the_collector() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let pair = authority.issue(&["127.0.0.1"]);
    let collector = Collector::start_encrypted(&pair.certificate, &pair.key).await;
    for (trusted, spans) in [(stranger, 0), (authority, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let (config, authorities) = (dir.path().join("settings.toml"), dir.path().join("ca.crt"));
        std::fs::write(&config, format!("traces.endpoint = {:?}", collector.endpoint)).unwrap();
        std::fs::write(&authorities, trusted.pem()).unwrap();
        let data_dir = dir.path().join("data");
        let mut process = Process::serve_trusting(&data_dir, &config, &authorities);
        let mut feed =
            FeedServiceClient::new(lodewatch_client::connect(&process.address).await.unwrap());
        feed.publish(batch(vec![swing("gallium", 0)])).await.unwrap();
        drop(feed);
        process.stop();
        process.ended();
        assert_eq!(collector.spans().iter().filter(|span| span.name == PUBLISH).count(), spans);
    }
}

#[tokio::test]
async fn the_journal_keeps_where_a_batch_is_traced_and_nothing_where_tracing_is_off() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let silent = Server::start(dir.path(), BEGIN).await;
    silent.feed().publish(traced(batch(vec![swing("gallium", 0)]), "01")).await.unwrap();
    silent.stop().await;
    let server = start(dir.path(), &collector, |_| {}).await;
    server.feed().publish(traced(batch(vec![swing("gallium", 1)]), "01")).await.unwrap();
    server.stop().await;
    let entries =
        || command().args(["journal", "export", "--data-dir"]).arg(dir.path()).output().unwrap();
    let batches = json_lines(&entries()).into_iter().filter(|entry| entry.get("batch").is_some());
    let traces: Vec<_> = batches.map(|entry| entry.get("trace").cloned()).collect();
    let call = collector.only(PUBLISH);
    let kept = serde_json::json!({ "traceId": TRACE, "spanId": call.span });
    assert_eq!(traces, [None, Some(kept)]);
    // A replay traces nothing: the entry has one span `apply`, from when it was new.
    start(dir.path(), &collector, |_| {}).await.stop().await;
    collector.only("apply");
}

#[tokio::test]
async fn lines_about_a_call_have_the_id_of_its_trace() {
    for format in ["text", "json"] {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("lodewatch.toml");
        let settings = format!("log = {{ level = \"debug\", format = \"{format}\" }}\n");
        std::fs::write(&config, settings).unwrap();
        let mut process = Process::serve_with(&dir.path().join("data"), &config);
        let mut feed =
            FeedServiceClient::new(lodewatch_client::connect(&process.address).await.unwrap());
        feed.publish(traced(batch(vec![swing("gallium", 0)]), "01")).await.unwrap();
        let rejected = traced(batch(vec![report("galium", "2024", &[])]), "00");
        let status = feed.publish(rejected).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        drop(feed);
        // On another thread, so that the connection can end meanwhile.
        let ended = spawn_blocking(move || {
            process.stop();
            process.ended()
        });
        let (_, log) = ended.await.unwrap();
        let is_outcome =
            |line: &&str| line.contains("batch published") || line.contains("batch rejected");
        let lines: Vec<_> = log.lines().filter(is_outcome).collect();
        let expected = match format {
            "text" => format!("call{{trace_id={TRACE}}}"),
            _ => format!(r#""trace_id":"{TRACE}""#),
        };
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines.iter().all(|line| line.contains(&expected)), "{lines:#?}");
    }
}
