//! Entries that cause far more alerts than fit in memory: each is applied, archived and delivered
//! in pieces.

use lodewatch_core::domain::{Mineral, Stage};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GetMarketRequest, Start, SubscribeRequest, SubscribeResponse, Update};
use lodewatch_testkit::process::{Process, run};
use lodewatch_testkit::samples::update;
use lodewatch_testkit::server::{Server, Stream, batch};
use prost::Message as _;
use std::fmt::Write;
use tonic::Code;
use tonic_types::StatusExt;

const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Settings with `instances` rules on measures for each market.
pub(super) fn settings(instances: usize) -> String {
    let mut rules = String::new();
    for number in 0..instances {
        write!(
            rules,
            "[[rules]]\nname = \"restricted-{number}\"\nmetric = \"restricted_share\"\n\
             destinations = [\"USA\"]\nlevels = [{{ level = \"critical\", raise = 0.5 }}]\n"
        )
        .unwrap();
    }
    rules
}

/// Prohibitions on every mineral, with the longest names.
pub(super) fn threats(count: usize) -> Vec<Update> {
    let minerals: Vec<String> = Mineral::all().map(|one| format!("{:?}", one.slug())).collect();
    let minerals = minerals.join(",");
    let threat = |number| {
        update(&format!(
            r#"{{"threat":{{"id":"T{number:0>63}","stateActId":"S{number:0>63}","title":"Ban",
            "imposing":"CHN","minerals":[{minerals}],"measure":"MEASURE_PROHIBITION",
            "dateAnnounced":"2024-01-01","dateEffective":"2024-01-01"}}}}"#
        ))
    };
    (0..count).map(threat).collect()
}

/// A report of every market, all from one country.
pub(super) fn reports() -> Vec<Update> {
    let markets = Mineral::all().flat_map(|one| Stage::ALL.iter().map(move |stage| (one, stage)));
    let report = |(mineral, stage): (Mineral, &Stage)| {
        update(&format!(
            r#"{{"report":{{"mineral":{:?},"stage":"STAGE_{}","source":"TEST","period":"2024",
            "vintage":"2024-01-31","rows":[{{"country":"CHN","share":0.9}}]}}}}"#,
            mineral.slug(),
            stage.name().to_uppercase()
        ))
    };
    markets.map(report).collect()
}

fn alerts_in(response: &SubscribeResponse) -> (Vec<u64>, bool) {
    match &response.message {
        Some(Message::Alerts(alerts)) => {
            (alerts.alerts.iter().map(|alert| alert.sequence).collect(), alerts.more)
        }
        _ => (Vec::new(), false),
    }
}

/// Reads messages up to an alert; checks that none is too large, and that only the last does not
/// say that more follow. Returns the sequences and all bytes.
async fn read_up_to(stream: &mut Stream, last: u64) -> (Vec<u64>, usize) {
    let (mut sequences, mut bytes) = (Vec::new(), 0);
    while sequences.last() != Some(&last) {
        let response = stream.next().await.unwrap();
        let size = response.encoded_len();
        assert!(size <= MESSAGE_BYTES_MAX, "a message of {size} bytes");
        let (alerts, more) = alerts_in(&response);
        bytes += if alerts.is_empty() { 0 } else { size };
        sequences.extend(alerts);
        if bytes > 0 && matches!(response.message, Some(Message::Alerts(_))) {
            assert_eq!(more, sequences.last() != Some(&last), "at {:?}", sequences.last());
        }
    }
    (sequences, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_more_alerts_than_memory_is_applied_delivered_and_replayed() {
    const INSTANCES: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lodewatch.toml");
    std::fs::write(&config, settings(INSTANCES)).unwrap();
    let data = dir.path().join("data");
    let mut process = Process::serve_with(&data, &config);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel.clone());
    feed.publish(batch(threats(100))).await.unwrap();
    let head = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    let mut live = Stream::on(channel.clone(), head).await.unwrap();
    live.until_caught_up().await;
    let before_kb = process.memory_most_kb();
    let grown = |process: &Process| {
        usize::try_from(process.memory_most_kb().saturating_sub(before_kb)).unwrap() * 1024
    };

    let reports = reports();
    let expected = u64::try_from(reports.len() * INSTANCES).unwrap();
    let published = feed.publish(batch(reports)).await.unwrap().into_inner();
    assert_eq!(published.alert_sequences, (1..=expected).collect::<Vec<_>>());
    let (sequences, bytes) = read_up_to(&mut live, expected).await;
    assert_eq!(sequences, published.alert_sequences, "complete and in order");
    assert!(bytes > 32 << 20, "the case is large: {bytes} bytes");
    let live = grown(&process);
    assert!(live < bytes * 2 / 3, "{live} bytes of memory for {bytes} bytes of alerts");

    // From the journal again: the archive is behind.
    process.kill();
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    let process = Process::serve_with(&data, &config);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let oldest = SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
    let mut replayed = Stream::on(channel, oldest).await.unwrap();
    assert_eq!(read_up_to(&mut replayed, expected).await, (sequences, bytes));
    let again = grown(&process);
    assert!(again < bytes * 2 / 3, "{again} bytes of memory for {bytes} bytes of alerts");
    println!("{bytes} bytes of alerts; memory grew by {live} and {again} bytes");
    drop(process);
    let verified = run(&["journal", "verify", "--data-dir", data.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test]
async fn a_batch_that_may_cause_too_many_alerts_is_rejected_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2024-06-01").await;
    server.publish(reports()).await.unwrap();
    let before = server.view.applied();
    // A notice of each threat in each of more than two hundred markets.
    let rumours = |count: usize| {
        let rumour = |threat: Update| {
            let json = lodewatch::grpc::json::to_json(&threat);
            update(&json.replace("2024-01-01", "2030-01-01"))
        };
        threats(count).into_iter().map(rumour).collect::<Vec<_>>()
    };
    let status = server.publish(rumours(1000)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("send fewer updates in a batch"), "{status}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "alerts_per_batch_max");
    assert!(details.retry_info().is_none(), "the same batch is never accepted");
    assert_eq!(server.view.applied(), before, "nothing was appended");
    server.publish(rumours(3)).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_end_at_their_limits_and_say_how_much_is_omitted() {
    const RULES: usize = 48;
    const MORE: usize = 152;
    const SEQUENCES_MAX: usize = 10_000;
    const STATUSES_MAX: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("lodewatch.toml");
    // On one market, more rules for three buyers.
    let mut text = settings(RULES);
    for number in 0..MORE {
        write!(
            text,
            "[[rules]]\nname = \"more-{number}\"\nmetric = \"restricted_share\"\n\
             minerals = [\"gallium\"]\ndestinations = [\"USA\", \"JPN\", \"DEU\"]\n\
             levels = [{{ level = \"critical\", raise = 0.5 }}]\n"
        )
        .unwrap();
    }
    std::fs::write(&config, text).unwrap();
    let process = Process::serve_with(&dir.path().join("data"), &config);
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel.clone());
    feed.publish(batch(threats(1))).await.unwrap();
    let published = feed.publish(batch(reports())).await.unwrap().into_inner();
    let alerts = reports().len() * RULES + 2 * 3 * MORE;
    assert_eq!(published.alerts_total, u64::try_from(alerts).unwrap());
    assert_eq!(published.alert_sequences.len(), SEQUENCES_MAX);

    let stage = lodewatch_proto::v1::Stage::Refining.into();
    let request = GetMarketRequest { mineral: "gallium".into(), stage, ..Default::default() };
    let read = MarketServiceClient::new(channel).get_market(request).await.unwrap();
    let market = read.into_inner().market.unwrap();
    assert_eq!(market.rule_statuses.len(), STATUSES_MAX);
    let omitted = RULES + 3 * MORE - STATUSES_MAX;
    assert_eq!(market.rule_statuses_omitted, u32::try_from(omitted).unwrap());
}
