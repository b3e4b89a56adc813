//! A journal as operators handle it: `lodewatch journal`, on the real binary, beside a server and
//! without one.

use lodewatch::grpc;
use lodewatch::grpc::json::to_json;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{Alert, ListAlertsRequest, Order, Start, SubscribeRequest};
use lodewatch_testkit::process::{Process, run};
use lodewatch_testkit::samples::{ban, swing};
use lodewatch_testkit::server::{Server, batch};
use std::fs;
use std::path::Path;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

fn journal(dir: &Path, arguments: &[&str]) -> std::process::Output {
    let dir = dir.to_str().unwrap();
    run(&[&["journal", "--data-dir", dir], arguments].concat())
}

fn stdout(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A journal with reports, a threat, ticks and a policy; and its alerts as JSON.
async fn filled(dir: &Path) -> Vec<String> {
    let server = Server::start(dir, "2026-01-01").await;
    server.publish(vec![ban("CHN-1", "CHN", "all", "gallium", "2026-02-01")]).await.unwrap();
    for turn in 0..6 {
        server.publish(vec![swing("gallium", turn), swing("indium", turn)]).await.unwrap();
    }
    server.turn_to("2026-02-01").await;
    let alerts = server.all_alerts().await.iter().map(to_json).collect();
    server.stop().await;
    alerts
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_prints_what_the_server_said() {
    let dir = tempfile::tempdir().unwrap();
    let alerts = filled(dir.path()).await;
    assert!(alerts.len() > 10);
    let replayed = stdout(&journal(dir.path(), &["replay", "--output", "json"]));
    assert_eq!(replayed.lines().collect::<Vec<_>>(), alerts);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_imported_and_exported_again() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path()).await;
    let lines = stdout(&journal(dir.path(), &["export"]));
    let file = other.path().join("journal.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let other = other.path().join("data");
    stdout(&journal(&other, &["import", file.to_str().unwrap()]));
    assert_eq!(stdout(&journal(&other, &["export"])), lines);
    let replay = |dir: &Path| stdout(&journal(dir, &["replay"]));
    assert_eq!(replay(&other), replay(dir.path()));

    let faulty = lines.replace("\"entry\":\"3\"", "\"entry\":\"4\"");
    std::fs::write(&file, faulty).unwrap();
    let rejected = journal(&dir.path().join("new"), &["import", file.to_str().unwrap()]);
    let said = String::from_utf8(rejected.stderr).unwrap();
    assert!(said.contains("line 3") && said.contains("must be 3"), "{said}");
    assert!(!dir.path().join("new/journal.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_while_serving_and_restored_as_a_new_journal() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel);
    let publishing = tokio::spawn(async move {
        let mut cursor = String::new();
        for turn in 0..200 {
            let sent = feed.publish(batch(vec![swing("gallium", turn)])).await.unwrap();
            cursor = sent.into_inner().cursor;
        }
        cursor
    });
    let backup = copies.path().join("backup");
    let to = backup.to_str().unwrap().to_owned();
    let from = dir.path().to_owned();
    let backing_up = tokio::task::spawn_blocking(move || journal(&from, &["backup", &to]));
    stdout(&backing_up.await.unwrap());
    let cursor = publishing.await.unwrap();
    stdout(&journal(&backup, &["verify"]));

    let restored = copies.path().join("restored");
    stdout(&journal(&restored, &["restore", backup.to_str().unwrap()]));
    let again = journal(&restored, &["restore", backup.to_str().unwrap()]);
    assert!(String::from_utf8(again.stderr).unwrap().contains("it already exists"));
    let process = Process::serve(&restored);
    let mut alerts =
        AlertServiceClient::new(lodewatch_client::connect(&process.address).await.unwrap());
    let request = ListAlertsRequest { min_cursor: cursor, ..ListAlertsRequest::default() };
    let rejected = alerts.list_alerts(request).await.unwrap_err();
    assert_eq!(rejected.code(), Code::FailedPrecondition, "a cursor of the old journal");
    let entries = stdout(&journal(&backup, &["export"])).lines().count();
    let served = stdout(&journal(&restored, &["export"])).lines().count();
    assert_eq!(served, entries, "the policy is the one in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_served_up_to_the_damage_and_salvaged() {
    let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let alerts = filled(dir.path()).await;
    damage(dir.path(), 6);
    remove_archive(dir.path());
    let found = journal(dir.path(), &["verify"]);
    let said = String::from_utf8(found.stderr).unwrap();
    assert_eq!(found.status.code(), Some(1));
    assert!(
        said.contains("entry 6 of") && said.contains("journal.db: its checksum does not match"),
        "{said}"
    );

    let process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    let mut feed = FeedServiceClient::new(channel.clone());
    let rejected = feed.publish(batch(vec![swing("zinc", 0)])).await.unwrap_err();
    assert_eq!(rejected.code(), Code::DataLoss);
    assert!(rejected.message().contains("entry 6 of"), "{}", rejected.message());
    let whole = served_until_damage(channel).await;
    assert!(!whole.is_empty() && alerts.starts_with(&whole), "history before the damage is served");
    drop(process);

    let saved = copies.path().join("saved");
    let said = stdout(&journal(dir.path(), &["salvage", saved.to_str().unwrap()]));
    assert!(
        said.contains("wrote 5 entries to") && said.contains("4 entries lost: 6 to 9"),
        "{said}"
    );
    stdout(&journal(&saved, &["verify"]));
    drop(Process::serve(&saved));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_over_a_damaged_journal_is_not_ready_and_serves_what_is_before_the_damage() {
    const BATCHES: usize = 8;
    const DAMAGED: u64 = 6;
    let dir = tempfile::tempdir().unwrap();
    // Killed before it makes a snapshot, so that the next start reads every entry.
    let mut process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    assert_eq!(health(&channel).await, ServingStatus::Serving);
    let mut feed = FeedServiceClient::new(channel.clone());
    let mut cursors = Vec::new();
    for turn in 0..BATCHES {
        let sent = feed.publish(batch(vec![swing("gallium", turn)])).await.unwrap();
        cursors.push(sent.into_inner().cursor);
    }
    let all = listed(&channel, "").await.unwrap();
    process.kill();
    damage(dir.path(), DAMAGED);
    remove_archive(dir.path());

    let process = Process::serve(dir.path());
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    assert_eq!(health(&channel).await, ServingStatus::NotServing);
    let before = listed(&channel, "").await.unwrap();
    assert!(!before.is_empty() && before.len() < all.len() && all.starts_with(&before));
    // The policy is the first entry, so the batches are the second to the ninth.
    for (entry, cursor) in (2..).zip(&cursors) {
        match listed(&channel, cursor).await {
            Ok(alerts) => assert!(entry < DAMAGED && alerts == before),
            Err(status) => assert!(entry >= DAMAGED && status.code() == Code::DataLoss),
        }
    }
    let mut feed = FeedServiceClient::new(channel.clone());
    let rejected = feed.publish(batch(vec![swing("zinc", 0)])).await.unwrap_err();
    let reason = rejected.get_details_error_info().unwrap().reason;
    assert_eq!((rejected.code(), reason.as_str()), (Code::DataLoss, "JOURNAL_DAMAGED"));
    let whole: Vec<String> = before.iter().map(to_json).collect();
    assert_eq!(served_until_damage(channel.clone()).await, whole);
    assert_eq!(health(&channel).await, ServingStatus::NotServing, "it does not mend itself");
    let ask = |name| run(&["health", "--address", &process.address, "--service", name]);
    assert_eq!(ask("").status.code(), Some(1));
    assert_eq!(ask("lodewatch.live").status.code(), Some(0), "a restart would not mend it");
}

/// What `grpc.health.v1` says of the server as a whole.
async fn health(channel: &Channel) -> ServingStatus {
    let request = HealthCheckRequest::default();
    let answer = HealthClient::new(channel.clone()).check(request).await.unwrap();
    answer.into_inner().status()
}

/// All alerts, oldest first, once a cursor is applied.
async fn listed(channel: &Channel, min_cursor: &str) -> Result<Vec<Alert>, Status> {
    let request = ListAlertsRequest {
        min_cursor: min_cursor.to_owned(),
        order: Order::OldestFirst.into(),
        page_size: 1000,
        ..ListAlertsRequest::default()
    };
    let answer = AlertServiceClient::new(channel.clone()).list_alerts(request).await?;
    Ok(answer.into_inner().alerts)
}

fn remove_archive(dir: &Path) {
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        // The side files are there only after a crash.
        let _ = std::fs::remove_file(dir.join(name));
    }
}

/// All alerts that a subscriber receives before the error about the damage.
async fn served_until_damage(channel: Channel) -> Vec<String> {
    let request = SubscribeRequest { start: Start::Oldest.into(), ..SubscribeRequest::default() };
    let mut stream = AlertServiceClient::new(channel).subscribe(request).await.unwrap();
    let mut alerts = Vec::new();
    loop {
        match stream.get_mut().message().await {
            Ok(message) => {
                if let Some(grpc::pb::subscribe_response::Message::Alerts(more)) =
                    message.unwrap().message
                {
                    alerts.extend(more.alerts.iter().map(to_json));
                }
            }
            Err(status) => {
                assert_eq!(status.code(), Code::DataLoss, "{status}");
                return alerts;
            }
        }
    }
}

/// Changes the time of an entry in the file.
fn damage(dir: &Path, entry: u64) {
    let file = rusqlite::Connection::open(dir.join("journal.db")).unwrap();
    let change = "UPDATE entries SET at = at + 1 WHERE seq = ?1";
    assert_eq!(file.execute(change, [entry.cast_signed()]).unwrap(), 1);
}

#[test]
fn a_journal_that_is_in_no_file_is_not_looked_for_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    fs::write(&file, "journal.store = \"jetstream\"").unwrap();
    let rejected = run(&["journal", "--config", file.to_str().unwrap(), "verify"]);
    let said = String::from_utf8(rejected.stderr).unwrap();
    assert!(!rejected.status.success() && said.contains("the NATS stream LODEWATCH"), "{said}");
}
