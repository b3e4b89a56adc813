//! Invariants 1 and 5: the journal is the only truth, and the same journal gives the same bytes.

use lodewatch_testkit::samples::{ban, swing};
use lodewatch_testkit::server::Server;

#[tokio::test]
async fn the_archive_may_be_deleted_and_comes_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.archive.snapshot_every_entries = 3;
    })
    .await;
    server.publish(vec![ban("CHN-1", "CHN", "all", "gallium", "2026-02-01")]).await.unwrap();
    for turn in 0..8 {
        server.publish(vec![swing("gallium", turn), swing("indium", turn)]).await.unwrap();
    }
    server.turn_to("2026-02-01").await;
    let (alerts, state) = (
        server.all_alerts().await,
        server.view.read_state(lodewatch_core::engine::State::to_snapshot),
    );
    assert!(alerts.len() > 20);
    server.stop().await;

    // From the last snapshot.
    let server = Server::start(dir.path(), "2026-02-01").await;
    assert_eq!(server.all_alerts().await, alerts);
    assert_eq!(server.view.read_state(lodewatch_core::engine::State::to_snapshot), state);
    server.stop().await;

    // From the first entry.
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        // The side files are there only after a crash.
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let server = Server::start(dir.path(), "2026-02-01").await;
    assert_eq!(server.all_alerts().await, alerts);
    assert_eq!(server.view.read_state(lodewatch_core::engine::State::to_snapshot), state);
    server.stop().await;
}

#[tokio::test]
async fn another_policy_is_adopted_at_start_and_says_so() {
    use lodewatch_proto::v1::{AlertKind, CauseKind};
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let before = server.all_alerts().await.len();
    server.stop().await;
    let server =
        Server::start_with(dir.path(), "2026-01-02", |config| config.policy.rules.clear()).await;
    let alerts = server.all_alerts().await;
    let cleared = &alerts[before..];
    assert_eq!(cleared.len(), before, "every open alert is cleared");
    for alert in cleared {
        assert_eq!(alert.kind(), AlertKind::Cleared);
        assert_eq!(alert.cause.as_ref().unwrap().kind(), CauseKind::Policy);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_found_discarded_and_made_anew() {
    use lodewatch_testkit::process::Process;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    for turn in 0..8 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let alerts = server.all_alerts().await;
    server.stop().await;
    let archive = rusqlite::Connection::open(dir.path().join("archive.db")).unwrap();
    archive.execute("UPDATE alerts SET bytes = zeroblob(9) WHERE sequence = 3", []).unwrap();
    drop(archive);

    // The check may find it before the server says that it listens.
    let output = Process::run_to_its_end(dir.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it is damaged; restart the server to rebuild it"), "{said}");
    assert!(!dir.path().join("archive.db").exists());
    let server = Server::start(dir.path(), "2026-01-01").await;
    assert_eq!(server.all_alerts().await, alerts);
    server.stop().await;
}
