//! What is on record: its limits, and the removal of reports.

use crate::access::{publish_as, start};
use lodewatch_core::domain::limit::RecordLimit;
use lodewatch_core::engine::State;
use lodewatch_proto::v1::{
    Alert, AlertKind, CauseKind, GetMarketRequest, Market, MarketState, Stage, Update,
};
use lodewatch_testkit::process::{Process, run};
use lodewatch_testkit::samples::{removal, update};
use lodewatch_testkit::server::{Server, batch};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const GALLIUM: &str = r#""mineral":"gallium","stage":"STAGE_REFINING""#;

/// A report of one supplier's share.
fn report(source: &str, period: &str, share: f64) -> Update {
    update(&format!(
        r#"{{"report":{{{GALLIUM},"source":"{source}","period":"{period}","vintage":"2025-01-31",
        "rows":[{{"country":"CHN","share":{share}}}]}}}}"#
    ))
}

fn report_removal(source: &str, period: &str) -> Update {
    update(&format!(r#"{{"reportRemoval":{{{GALLIUM},"source":"{source}","period":"{period}"}}}}"#))
}

async fn market(server: &Server) -> Market {
    try_market(server).await.unwrap()
}

async fn try_market(server: &Server) -> Result<Market, Status> {
    let request = GetMarketRequest {
        mineral: "gallium".to_owned(),
        stage: Stage::Refining.into(),
        ..GetMarketRequest::default()
    };
    Ok(server.markets().get_market(request).await?.into_inner().market.unwrap())
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The episodes of the alerts of one kind.
fn episodes(alerts: &[Alert], kind: AlertKind) -> Vec<u64> {
    let mut of_kind: Vec<u64> =
        alerts.iter().filter(|one| one.kind() == kind).map(|one| one.episode).collect();
    of_kind.sort_unstable();
    of_kind
}

#[tokio::test]
async fn a_removed_report_is_followed_by_the_next_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![report("USGS", "2023", 0.01), report("USGS", "2024", 0.99)]).await.unwrap();
    let raised = server.all_alerts().await;
    assert!(!raised.is_empty());

    let removal = batch(vec![report_removal("USGS", "2024")]);
    let answer = server.feed().publish(removal.clone()).await.unwrap().into_inner();
    assert_eq!(server.feed().publish(removal.clone()).await.unwrap().into_inner(), answer);
    assert_eq!(market(&server).await.report.unwrap().period, "2023");
    let alerts = server.all_alerts().await;
    let cleared = &alerts[raised.len()..];
    // Those whose rule waits before it clears an episode are still open.
    assert!(!episodes(cleared, AlertKind::Cleared).is_empty());
    for alert in cleared {
        let cause = alert.cause.as_ref().unwrap();
        assert_eq!((cause.kind(), cause.feed.as_str()), (CauseKind::Data, "test"));
        assert_eq!(cause.removed_report.as_ref().unwrap().period, "2024");
        assert!(alert.sentence.contains("Cause: USGS report for 2024 removed."), "{alert:?}");
    }
    let again = server.publish(vec![report_removal("USGS", "2024")]).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::NotFound, "UNKNOWN_REPORT"));
    assert!(again.message().contains("no report of USGS for 2024 on gallium refining"), "{again}");
    let state = server.view.read_state(State::to_snapshot);
    server.stop().await;

    // From the first entry, and with the answer of the first call.
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let server = Server::start(dir.path(), "2026-01-02").await;
    assert_eq!(server.view.read_state(State::to_snapshot), state);
    assert_eq!(server.all_alerts().await, alerts);
    assert_eq!(server.feed().publish(removal).await.unwrap().into_inner(), answer);
    server.stop().await;
}

#[tokio::test]
async fn a_market_without_a_report_is_unknown_and_has_no_open_episode() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![report("USGS", "2023", 0.98), report("USGS", "2024", 0.99)]).await.unwrap();
    let raised = server.all_alerts().await;
    server.publish(vec![report_removal("USGS", "")]).await.unwrap();
    assert_eq!(try_market(&server).await.unwrap_err().code(), Code::NotFound);
    // Known by name, without figures.
    let threat = r#"{"threat":{"id":"T","imposing":"CHN","minerals":["gallium"],"stages":["STAGE_REFINING"],
        "measure":"MEASURE_PROHIBITION","dateAnnounced":"2025-01-01"}}"#;
    server.publish(vec![update(threat)]).await.unwrap();
    let unknown = market(&server).await;
    assert_eq!((unknown.state(), unknown.report), (MarketState::Unknown, None));
    server.publish(vec![removal("T")]).await.unwrap();
    let alerts = server.all_alerts().await;
    let cleared = &alerts[raised.len()..];
    assert_eq!(episodes(cleared, AlertKind::Cleared), episodes(&raised, AlertKind::Raised));
    assert!(server.view.read_state(State::open_alerts).is_empty());
    server.publish(vec![report("USGS", "2024", 0.99)]).await.unwrap();
    assert_eq!(market(&server).await.report.unwrap().period, "2024");
    let again = server.all_alerts().await.split_off(alerts.len());
    assert_eq!(again.len(), raised.len());
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_at_a_limit_gets_its_name_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let publisher = |feed: &str| format!("roles = [\"publisher\"]\nfeeds = [\"{feed}\"]");
    let (one, two) = (publisher("one"), publisher("two"));
    let operator = ("operator", "roles = [\"operator\"]");
    let server = start(dir.path(), &[("one", &*one), ("two", &*two), operator]).await;
    let max = RecordLimit::MarketFeedSources.max().items;
    let updates = (0..max).map(|source| report(&format!("S-{source}"), "2024", 0.5));
    publish_as(&server, "one", "one", updates.collect()).await.unwrap();
    let more = || vec![report("S-NEW", "2024", 0.5)];
    let status = publish_as(&server, "one", "one", more()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "LIMIT_REACHED");
    assert_eq!(info.metadata["limit"], "market_feed_sources_max");
    assert!(status.get_details_retry_info().is_none(), "a retry does not help");
    let expected = "updates[0]: the sources of feed one on gallium refining would be 17, at most \
                    16 are allowed (market_feed_sources_max); remove reports that are no longer \
                    needed";
    assert_eq!(status.message(), expected);
    publish_as(&server, "two", "two", more()).await.unwrap();
    let theirs = publish_as(&server, "two", "two", vec![report_removal("S-0", "")]).await;
    assert_eq!(reason(&theirs.unwrap_err()), "UPDATE_NOT_ALLOWED");
    publish_as(&server, "one", "one", vec![report("S-0", "2025", 0.6)]).await.unwrap();
    publish_as(&server, "operator", "desk", vec![report_removal("S-0", "")]).await.unwrap();
    publish_as(&server, "one", "one", vec![report("S-ANOTHER", "2024", 0.5)]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_publisher_reports_under_its_sources_only() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = "roles = [\"publisher\"]\nfeeds = [\"bgs\"]\nsources = [\"BGS\", \"BGS-EARLY\"]";
    let operator = ("operator", "roles = [\"operator\"]");
    let server = start(dir.path(), &[("narrow", narrow), operator]).await;
    publish_as(&server, "narrow", "bgs", vec![report("BGS", "2024", 0.5)]).await.unwrap();
    publish_as(&server, "operator", "usgs", vec![report("USGS", "2024", 0.5)]).await.unwrap();
    for (update, field) in [
        (report("USGS", "2024", 0.9), "report.source"),
        (report_removal("USGS", "2024"), "report_removal.source"),
    ] {
        let updates = vec![report("BGS", "2025", 0.5), update];
        let status = publish_as(&server, "narrow", "bgs", updates).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "SOURCE_NOT_ALLOWED");
        let expected = format!(
            "updates[1].{field}: cannot publish reports of USGS: identity narrow may publish those \
             of BGS, BGS-EARLY only; ask the operator"
        );
        assert_eq!(status.message(), expected);
    }
    publish_as(&server, "narrow", "bgs", vec![report_removal("BGS", "2024")]).await.unwrap();
    server.stop().await;
}

#[test]
fn a_report_from_the_future_or_from_before_1900_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let file = dir.path().join("updates.jsonl");
    let report = |period: &str, vintage: &str| {
        format!(
            r#"{{"report":{{{GALLIUM},"source":"S","period":"{period}","vintage":"{vintage}","rows":[{{"country":"CHN","share":0.5}}]}}}}"#
        )
    };
    let threat = |day: &str| {
        format!(
            r#"{{"threat":{{"id":"T","imposing":"CHN","minerals":["tin"],"measure":"MEASURE_TAX","dateAnnounced":"{day}"}}}}"#
        )
    };
    for (line, expected) in [
        (report("2025", "9999-12-31"), "updates[0].report.vintage: 9999-12-31 is out of range"),
        (report("2025", "1899-12-31"), "updates[0].report.vintage: 1899-12-31 is out of range"),
        (report("2999", "2025-01-31"), "updates[0].report.period: 2999 is too far in the future"),
        (report("2025", "-000001-01-01"), "\"-000001-01-01\" is not a date"),
        (report("2025", "0000-01-01"), "\"0000-01-01\" is not a date"),
        (threat("0001-01-01"), "updates[0].threat.date_announced: 0001-01-01 is out of range"),
        (threat("2201-01-01"), "updates[0].threat.date_announced: 2201-01-01 is out of range"),
    ] {
        std::fs::write(&file, &line).unwrap();
        let output = run(&["publish", file.to_str().unwrap(), "--address", &process.address]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains(expected), "{said} says {expected}");
    }
    std::fs::write(&file, format!("{}\n{}", report("2025", "2025-01-31"), threat("2026-01-01")))
        .unwrap();
    let output = run(&["publish", file.to_str().unwrap(), "--address", &process.address]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
