//! What a feed is promised.

use lodewatch_proto::v1::{GetMarketRequest, ListMarketsRequest, Outcome, Stage, Update};
use lodewatch_testkit::samples::{ban, removal, report, update};
use lodewatch_testkit::server::{Server, batch};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The fields that a status names.
fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn every_bad_field_is_named_and_nothing_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let threat = |id: &str, dates: &str| {
        update(&format!(
            r#"{{"threat":{{"id":"{id}","imposing":"CHN","minerals":["gallium"],"measure":"MEASURE_TAX",{dates}}}}}"#
        ))
    };
    let check = async |updates: Vec<Update>, expected: &[&str], said: &str| {
        let status = server.publish(updates).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(fields(&status), expected);
        assert!(status.message().contains(said), "{} says {said}", status.message());
    };
    let good = || report("gallium", "2024", &[("CHN", 0.9)]);
    check(
        vec![good(), report("gallium", "2024", &[("CHN", 1.7)])],
        &["updates[1].report.rows[0].share"],
        "1.7 is not a share: a fraction of the whole, 0 to 1",
    )
    .await;
    check(
        vec![good(), report("gallium", "2024", &[("XKX1", 0.5)])],
        &["updates[1].report.rows[0].country"],
        "\"XKX1\" is not a country",
    )
    .await;
    check(
        vec![good(), report("gallium", "2024", &[("CHN", 0.99), ("USA", 0.92)])],
        &["updates[1].report.rows"],
        "the shares add up to 191.00 %; at most 102.00 % is accepted",
    )
    .await;
    check(
        vec![good(), report("galium", "2024", &[("CHN", 0.9)])],
        &["updates[1].report.mineral"],
        "did you mean gallium?",
    )
    .await;
    check(
        vec![good(), threat("T", r#""dateAnnounced":"2025-01-01","dateEffective":"2025-03-01","dateRemoved":"2025-02-01""#)],
        &["updates[1].threat.date_removed"],
        "date_removed 2025-02-01 is before date_effective 2025-03-01",
    )
    .await;
    check(vec![good(); 1001], &["updates"], "1001 updates; 1 to 1000 are allowed").await;
    check(vec![], &["updates"], "0 updates").await;
    check(
        vec![
            report("unobtainium", "24", &[("CHN", -0.1), ("Atlantis", 0.5)]),
            threat("../etc", r#""tOverride":9.5"#),
            Update::default(),
        ],
        &[
            "updates[0].report.mineral",
            "updates[0].report.period",
            "updates[0].report.rows[0].share",
            "updates[0].report.rows[1].country",
            "updates[1].threat.id",
            "updates[1].threat.t_override",
            "updates[2]",
        ],
        "unobtainium",
    )
    .await;
    let markets =
        server.markets().list_markets(ListMarketsRequest::default()).await.unwrap().into_inner();
    assert_eq!(markets.markets, [], "nothing of any rejected batch was applied");
    server.stop().await;
}

#[tokio::test]
async fn an_identical_retry_gets_the_same_answer_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let request = batch(vec![report("gallium", "2024", &[("CHN", 0.99)])]);
    let first = server.feed().publish(request.clone()).await.unwrap().into_inner();
    assert!(!first.alert_sequences.is_empty());
    assert_eq!(first.results[0].outcome(), Outcome::Applied);
    assert_eq!(server.feed().publish(request.clone()).await.unwrap().into_inner(), first);
    server.stop().await;

    let server = Server::start(dir.path(), "2026-01-02").await;
    assert_eq!(server.feed().publish(request.clone()).await.unwrap().into_inner(), first);
    let mut other = request;
    other.updates = vec![report("gallium", "2024", &[("CHN", 0.5)])];
    let status = server.feed().publish(other).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );
    server.stop().await;
}

#[tokio::test]
async fn the_answer_has_the_outcome_of_every_update() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let outcomes = async |updates: Vec<Update>| -> Vec<Outcome> {
        let response = server.publish(updates).await.unwrap();
        response.results.iter().map(lodewatch_proto::v1::UpdateResult::outcome).collect()
    };
    let shares = report("gallium", "2024", &[("CHN", 0.9)]);
    let older = update(
        r#"{"report":{"mineral":"gallium","stage":"STAGE_REFINING","source":"TEST","period":"2024",
        "vintage":"2023-06-30","rows":[{"country":"CHN","share":0.5}]}}"#,
    );
    let threat = ban("T-1", "CHN", "USA", "gallium", "2025-01-01");
    assert_eq!(
        outcomes(vec![shares.clone(), threat.clone()]).await,
        [Outcome::Applied, Outcome::Applied]
    );
    assert_eq!(
        outcomes(vec![shares, threat, older]).await,
        [Outcome::Unchanged, Outcome::Unchanged, Outcome::Superseded]
    );
    assert_eq!(outcomes(vec![removal("T-1")]).await, [Outcome::Applied]);
    assert_eq!(server.publish(vec![removal("T-1")]).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn a_stale_revision_is_rejected_and_its_batch_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let revision = |revision: u64, title: &str| {
        update(&format!(
            r#"{{"threat":{{"id":"T-1","title":"{title}","imposing":"CHN","minerals":["gallium"],
            "measure":"MEASURE_TAX","revision":"{revision}"}}}}"#
        ))
    };
    server.publish(vec![revision(2, "second")]).await.unwrap();
    let shares = report("gallium", "2024", &[("CHN", 0.9)]);
    let status = server.publish(vec![shares, revision(1, "first")]).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "THREAT_REVISION_STALE")
    );
    assert!(status.message().contains("the record has revision 2"), "{}", status.message());
    let request = GetMarketRequest {
        mineral: "gallium".into(),
        stage: Stage::Refining.into(),
        ..GetMarketRequest::default()
    };
    let status = server.markets().get_market(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "the report of the rejected batch was not applied");
    server.publish(vec![revision(3, "third")]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn however_much_is_wrong_the_rejection_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let status = server.publish(vec![removal("NEVER-THERE"); 1000]).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    assert!(status.message().ends_with("and 990 more"), "{}", status.message());
    assert_eq!(fields(&status).len(), 10);
    let bad = || report(&"unobtainium".repeat(20), "24", &[("Atlantis", 1.7)]);
    let status = server.publish((0..1000).map(|_| bad()).collect()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(fields(&status).len() > 10);
    server.stop().await;
}

#[tokio::test]
async fn a_read_with_min_cursor_sees_ones_own_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    for turn in 0..20 {
        let share = 0.5 + 0.01 * f64::from(turn);
        let response =
            server.publish(vec![report("gallium", "2024", &[("CHN", share)])]).await.unwrap();
        let request = GetMarketRequest {
            mineral: "Gallium".into(),
            stage: Stage::Refining.into(),
            min_cursor: response.cursor,
            ..GetMarketRequest::default()
        };
        let market =
            server.markets().get_market(request).await.unwrap().into_inner().market.unwrap();
        assert_eq!(market.suppliers[0].share, Some((share * 1e6).round() / 1e6));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_exercise_holds_no_report_and_never_touches_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![report("gallium", "2024", &[("CHN", 0.9)])]).await.unwrap();
    server.publish(vec![ban("REAL", "CHN", "JPN", "gallium", "2025-01-01")]).await.unwrap();
    let exercise = |updates: Vec<Update>| {
        let mut request = batch(updates);
        request.exercise = true;
        request
    };
    let status = server
        .feed()
        .publish(exercise(vec![report("gallium", "2024", &[("CHN", 0.1)])]))
        .await
        .unwrap_err();
    assert_eq!(fields(&status), ["updates[0].report"]);
    let status = server.feed().publish(exercise(vec![removal("REAL")])).await.unwrap_err();
    assert_eq!(reason(&status), "EXERCISE_MIXED");
    let before = server.all_alerts().await.len();
    server
        .feed()
        .publish(exercise(vec![ban("EXERCISE", "CHN", "USA", "gallium", "2025-01-01")]))
        .await
        .unwrap();
    let during = server.all_alerts().await;
    assert!(during.len() > before && during[before..].iter().all(|alert| alert.exercise));
    assert!(during[before..].iter().all(|alert| alert.sentence.starts_with("EXERCISE: ")));
    server.feed().publish(exercise(vec![removal("EXERCISE")])).await.unwrap();
    let after = server.all_alerts().await;
    assert_eq!(
        after.len() - during.len(),
        during.len() - before,
        "every exercise alert is cleared"
    );
    server.stop().await;
}
