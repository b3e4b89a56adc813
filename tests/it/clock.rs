//! A wall clock that is set while the server runs: order and times hold, and what is due happens
//! once.

use lodewatch_proto::v1::{Alert, AlertKind};
use lodewatch_testkit::samples::{ban, swing};
use lodewatch_testkit::server::Server;
use tonic::Code;
use tonic_types::StatusExt;

fn raised_by_the_ban(alerts: &[Alert]) -> usize {
    let is_of_ban = |alert: &&Alert| {
        alert.rule == "prohibited-share"
            && alert.destination == "USA"
            && alert.kind() == AlertKind::Raised
    };
    alerts.iter().filter(is_of_ban).count()
}

fn journal_times(alerts: &[Alert]) -> Vec<(i64, i32)> {
    let times = alerts.iter().map(|alert| alert.journal_time.as_ref().unwrap());
    times.map(|time| (time.seconds, time.nanos)).collect()
}

#[tokio::test]
async fn a_clock_that_goes_back_an_hour_breaks_no_order_and_fires_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-31T23:59:00Z").await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    server.publish(vec![ban("CHN-1", "CHN", "all", "gallium", "2026-02-01")]).await.unwrap();
    server.turn_to("2026-02-01T00:00:30Z").await;
    server.jump_clock("2026-01-31T23:00:30Z");
    server.publish(vec![swing("indium", 0)]).await.unwrap();
    // Past the boundary for the second time.
    server.turn_to("2026-02-01T00:01:00Z").await;
    server.publish(vec![swing("indium", 1)]).await.unwrap();
    let alerts = server.all_alerts().await;
    assert_eq!(raised_by_the_ban(&alerts), 1);
    assert!(journal_times(&alerts).is_sorted(), "the journal's time does not go back");
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_jumps_a_year_ahead_is_rejected_until_it_is_set_right() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    server.publish(vec![ban("CHN-1", "CHN", "all", "gallium", "2026-02-01")]).await.unwrap();
    let before = server.all_alerts().await;
    server.jump_clock("2027-01-01");
    let rejected = server.publish(vec![swing("gallium", 1)]).await.unwrap_err();
    assert_eq!(rejected.code(), Code::Unavailable);
    assert_eq!(rejected.get_details_error_info().unwrap().reason, "CLOCK_JUMPED");
    assert!(rejected.message().contains("clock.jump_max"), "{}", rejected.message());
    assert_eq!(server.all_alerts().await, before, "reads go on, and nothing fires");
    server.jump_clock("2026-01-01T00:00:01Z");
    server.publish(vec![swing("indium", 0)]).await.unwrap();
    server.turn_to("2026-02-01").await;
    assert_eq!(raised_by_the_ban(&server.all_alerts().await), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_was_off_for_a_year_has_seen_no_jump() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![swing("gallium", 0)]).await.unwrap();
    server.publish(vec![ban("CHN-1", "CHN", "all", "gallium", "2026-02-01")]).await.unwrap();
    server.stop().await;
    let server = Server::start(dir.path(), "2027-01-01").await;
    server.publish(vec![swing("indium", 0)]).await.unwrap();
    assert_eq!(raised_by_the_ban(&server.all_alerts().await), 1);
    server.stop().await;
}
