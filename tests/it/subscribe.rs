//! What a subscriber is promised.

use lodewatch_client::{StreamEvent, Subscription};
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    Alert, AlertFilter, AlertKind, Exercises, Level, OnGap, Start, SubscribeRequest,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::samples::{ban, removal, report, swing};
use lodewatch_testkit::server::{Server, batch};
use tonic::Code;
use tonic_types::StatusExt;

fn from(start: Start) -> SubscribeRequest {
    SubscribeRequest { start: start.into(), ..SubscribeRequest::default() }
}

fn after(cursor: &str) -> SubscribeRequest {
    SubscribeRequest { cursor: cursor.to_owned(), ..from(Start::Cursor) }
}

fn sequences(alerts: &[Alert]) -> Vec<u64> {
    alerts.iter().map(|alert| alert.sequence).collect()
}

#[tokio::test]
async fn a_crossing_is_delivered_live_with_its_cause_and_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2024-12-01").await;
    server
        .publish(vec![report("gallium", "2024", &[("CHN", 0.99), ("JPN", 0.003)])])
        .await
        .unwrap();
    let mut stream = server.subscribe(from(Start::Head)).await.unwrap();
    assert!(matches!(stream.next().await.unwrap().message, Some(Message::Opened(_))));
    assert!(matches!(stream.next().await.unwrap().message, Some(Message::CaughtUp(_))));
    server.publish(vec![ban("CHN-USA", "CHN", "USA", "gallium", "2024-12-03")]).await.unwrap();
    server.turn_to("2024-12-03").await;
    let last = server.all_alerts().await.last().unwrap().sequence;
    let (alerts, _) = stream.until_alert(last).await;
    let alert = alerts
        .iter()
        .find(|one| one.rule == "prohibited-share" && one.destination == "USA")
        .unwrap();
    assert_eq!((alert.kind(), alert.level()), (AlertKind::Raised, Level::Critical));
    assert_eq!(alert.cause.as_ref().unwrap().threat_ids, ["CHN-USA"]);
    assert_eq!(alert.value.unwrap().lower, 0.99);
    assert_eq!(alert.contributions.iter().map(|part| part.amount).sum::<i64>(), 990_000);
    assert_eq!(alert.threat_effects[0].threat_id, "CHN-USA");
    assert!(
        alerts.iter().all(|one| one.destination != "JPN"),
        "a ban on the USA is nothing to Japan"
    );
    server.stop().await;
}

#[tokio::test]
async fn every_start_gives_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    for turn in 0..5 {
        server.publish(vec![swing("gallium", turn), swing("indium", turn + 1)]).await.unwrap();
    }
    let all = server.all_alerts().await;
    assert_eq!(
        sequences(&all),
        (1..=u64::try_from(all.len()).unwrap()).collect::<Vec<_>>(),
        "dense"
    );

    let mut stream = server.subscribe(from(Start::Oldest)).await.unwrap();
    let (alerts, end) = stream.until_caught_up().await;
    assert_eq!(alerts, all);
    let mut stream = server.subscribe(after(&end)).await.unwrap();
    assert_eq!(stream.until_caught_up().await.0, [], "nothing at or before the cursor");
    let middle = &all[all.len() / 2];
    let mut stream = server.subscribe(after(&middle.cursor)).await.unwrap();
    let rest: Vec<Alert> = all.iter().filter(|one| one.cursor > middle.cursor).cloned().collect();
    assert_eq!(stream.until_caught_up().await.0, rest);
    let mut stream = server.subscribe(from(Start::Head)).await.unwrap();
    assert_eq!(stream.until_caught_up().await.0, []);

    let mut stream = server.subscribe(from(Start::Snapshot)).await.unwrap();
    let (open, end) = stream.until(|message| matches!(message, Message::SnapshotEnd(_))).await;
    assert!(
        !open.is_empty()
            && open.iter().all(|one| one.mineral == "gallium" && one.kind() != AlertKind::Cleared)
    );
    let Some(Message::SnapshotEnd(count)) = end.message else { panic!("asked for") };
    assert_eq!(count.count, u64::try_from(open.len()).unwrap());
    server.stop().await;
}

#[tokio::test]
async fn no_message_before_the_end_of_a_snapshot_can_be_resumed_from() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let mut stream = server.subscribe(from(Start::Snapshot)).await.unwrap();
    let mut cursors = Vec::new();
    loop {
        let response = stream.next().await.unwrap();
        cursors.push(response.cursor);
        if matches!(response.message, Some(Message::SnapshotEnd(_))) {
            break;
        }
    }
    let end = cursors.pop().unwrap();
    assert!(cursors.len() > 1 && cursors.iter().all(String::is_empty), "{cursors:?}");
    assert_ne!(end, "");
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_goes_on_over_a_restart_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut stream = server.subscribe(from(Start::Oldest)).await.unwrap();
    for turn in 0..3 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let last = server.all_alerts().await.last().unwrap().sequence;
    let (mut seen, _) = stream.until_alert(last).await;
    server.drain();
    let away = stream.until(|message| matches!(message, Message::GoAway(_))).await.1;
    server.stop().await;

    let server = Server::start(dir.path(), "2026-01-02").await;
    for turn in 3..6 {
        server.publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let mut stream = server.subscribe(after(&away.cursor)).await.unwrap();
    seen.extend(stream.until_caught_up().await.0);
    assert_eq!(seen, server.all_alerts().await);
    server.stop().await;
}

#[tokio::test]
async fn filters_pass_over_entries_only_by_a_cursor_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let filter = AlertFilter { minerals: vec!["indium".into()], ..AlertFilter::default() };
    let request =
        SubscribeRequest { filter: Some(filter), heartbeat_seconds: 1, ..from(Start::Oldest) };
    let mut stream = server.subscribe(request).await.unwrap();
    stream.until_caught_up().await;
    let published = server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let passed = |beat: &Message| matches!(beat, Message::Heartbeat(beat) if beat.head_cursor == published.cursor);
    let (alerts, beat) = stream.until(passed).await;
    assert_eq!(alerts, []);
    assert_eq!(beat.cursor, published.cursor, "the heartbeat says that the entry was passed over");
    server.publish(vec![swing("indium", 0)]).await.unwrap();
    let (alerts, _) = stream.until(|message| matches!(message, Message::Alerts(_))).await;
    assert!(alerts.iter().all(|alert| alert.mineral == "indium"));
    server.stop().await;
}

#[tokio::test]
async fn exercises_are_delivered_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![report("gallium", "2024", &[("CHN", 0.9)])]).await.unwrap();
    let mut request = batch(vec![ban("EXERCISE", "CHN", "USA", "gallium", "2025-01-01")]);
    request.exercise = true;
    server.feed().publish(request).await.unwrap();
    for (exercises, is_sent) in
        [(Exercises::Exclude, false), (Exercises::Include, true), (Exercises::Only, true)]
    {
        let filter = AlertFilter { exercises: exercises.into(), ..AlertFilter::default() };
        let mut stream = server
            .subscribe(SubscribeRequest { filter: Some(filter), ..from(Start::Oldest) })
            .await
            .unwrap();
        let (alerts, _) = stream.until_caught_up().await;
        assert_eq!(alerts.iter().any(|alert| alert.exercise), is_sent, "{exercises:?}");
        assert_eq!(
            alerts.iter().any(|alert| !alert.exercise),
            exercises != Exercises::Only,
            "{exercises:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_that_cannot_be_resumed_from_is_rejected_never_jumped() {
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(dir.path(), "2026-01-01").await;
    let other = Server::start(other_dir.path(), "2026-01-01").await;
    let published = server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let check = async |cursor: &str, code: Code| {
        let mut request = after(cursor);
        request.on_gap = OnGap::Fail.into();
        assert_eq!(other.subscribe(request).await.err().unwrap().code(), code);
    };
    check("not-a-cursor", Code::InvalidArgument).await;
    check(&published.cursor, Code::FailedPrecondition).await;
    other.stop().await;
    server.stop().await;

    // The journal as it was before the last batch, as after a restore of an older copy.
    let server = Server::start(other_dir.path(), "2026-01-01").await;
    let old = tempfile::tempdir().unwrap();
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    server.stop().await;
    {
        let name = "journal.db";
        std::fs::copy(other_dir.path().join(name), old.path().join(name)).unwrap();
    }
    let server = Server::start(other_dir.path(), "2026-01-01").await;
    let ahead = server.publish(vec![swing("gallium", 1)]).await.unwrap().cursor;
    server.stop().await;
    let server = Server::start(old.path(), "2026-01-01").await;
    let status = server.subscribe(after(&ahead)).await.err().unwrap();
    assert_eq!(status.code(), Code::OutOfRange);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "CURSOR_LOST");
    assert!(
        info.metadata.contains_key("oldest_cursor") && info.metadata.contains_key("head_cursor")
    );
    let mut stream = server
        .subscribe(SubscribeRequest { on_gap: OnGap::Reset.into(), ..after(&ahead) })
        .await
        .unwrap();
    stream.until(|message| matches!(message, Message::Reset(_))).await;
    let (alerts, _) = stream.until(|message| matches!(message, Message::SnapshotEnd(_))).await;
    assert!(!alerts.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_below_retention_is_out_of_range() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), "2026-01-01", |config| {
        config.archive.keep_days = 10;
        config.archive.snapshot_every_entries = 1;
    })
    .await;
    let early = server.publish(vec![swing("gallium", 0)]).await.unwrap().cursor;
    server.publish(vec![swing("gallium", 1)]).await.unwrap();
    server.turn_to("2026-03-01").await;
    server.publish(vec![swing("gallium", 2)]).await.unwrap();
    // Pruning follows the entry that triggers it: one more entry makes sure that it is done.
    server.publish(vec![swing("indium", 0)]).await.unwrap();
    let status = server.subscribe(after(&early)).await.err().unwrap();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let oldest = status.get_details_error_info().unwrap().metadata["oldest_cursor"].clone();
    let mut stream = server.subscribe(after(&oldest)).await.unwrap();
    assert!(!stream.until_caught_up().await.0.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn who_falls_behind_the_ring_reads_the_archive_and_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A ring that holds nothing: every alert has left it before a subscriber can read it there.
    let server =
        Server::start_with(dir.path(), "2026-01-01", |config| config.fanout.ring_bytes_max = 0)
            .await;
    let mut stream = server.subscribe(from(Start::Oldest)).await.unwrap();
    stream.until_caught_up().await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    let behind = stream.until(|message| matches!(message, Message::FellBehind(_))).await.1;
    let Some(Message::FellBehind(behind)) = behind.message else { panic!("asked for") };
    assert_eq!(behind.entries, 1);
    assert_eq!(stream.until_caught_up().await.0, server.all_alerts().await);
    server.stop().await;
}

#[tokio::test]
async fn the_clients_subscription_hands_every_alert_over_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut subscription = Subscription::new(server.servers(), from(Start::Snapshot));
    let mut seen: Vec<u64> = Vec::new();
    let mut read_until = async |wanted: &dyn Fn(&Message) -> bool| {
        loop {
            let next = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap().unwrap();
            let StreamEvent::Message(message) = next else { continue };
            let message = message.message.unwrap();
            if let Message::Alerts(alerts) = &message {
                seen.extend(sequences(&alerts.alerts));
            }
            if wanted(&message) {
                return;
            }
        }
    };
    read_until(&|message| matches!(message, Message::CaughtUp(_))).await;
    server
        .publish(vec![ban("T", "CHN", "all", "gallium", "2025-01-01"), swing("gallium", 0)])
        .await
        .unwrap();
    server.publish(vec![removal("T")]).await.unwrap();
    let all = server.all_alerts().await;
    let last = all.last().unwrap().sequence;
    read_until(&|message| match message {
        Message::Alerts(alerts) => alerts.alerts.last().unwrap().sequence == last,
        _ => false,
    })
    .await;
    assert_eq!(seen, sequences(&all));
    server.stop().await;
}
