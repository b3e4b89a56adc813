//! Simulation, backtest, and markets of the past.

use crate::limits::limit;
use lodewatch::config::Config;
use lodewatch::grpc::render;
use lodewatch_core::domain::{Seq, Timestamp};
use lodewatch_proto::v1::backtest_response::Message;
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::{
    Alert, AlertKind, BacktestProgress, BacktestRequest, CauseKind, GetMarketRequest, Metric,
    Policy, SimulateRequest, Stage,
};
use lodewatch_testkit::samples::{ban, report, swing};
use lodewatch_testkit::server::Server;
use std::path::Path;
use tonic::Code;
use tonic::transport::Channel;

fn policies(server: &Server) -> PolicyServiceClient<Channel> {
    PolicyServiceClient::new(server.channel.clone())
}

/// The policy shipped, with other rules.
fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = render::policy(&Config::built_in().policy, Seq::ZERO, Timestamp::default());
    change(&mut policy);
    policy
}

#[tokio::test]
async fn a_simulation_shows_what_would_happen_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    server.publish(vec![report("gallium", "2024", &[("CHN", 0.99)])]).await.unwrap();
    let before = (
        server.all_alerts().await,
        server.view.read_state(lodewatch_core::engine::State::to_snapshot),
    );
    let request = SimulateRequest {
        updates: vec![ban("MAYBE", "CHN", "JPN", "gallium", "2026-03-01")],
        until: "2026-03-01".into(),
        destination: "JPN".into(),
        ..SimulateRequest::default()
    };
    let answer = policies(&server).simulate(request.clone()).await.unwrap().into_inner();
    let change = &answer.markets[0];
    let restricted = |market: &Option<lodewatch_proto::v1::Market>| {
        let market = market.as_ref().unwrap();
        market
            .metrics
            .iter()
            .find(|one| one.metric() == Metric::RestrictedShare)
            .unwrap()
            .value
            .unwrap()
    };
    assert_eq!((answer.markets.len(), restricted(&change.before).lower), (1, 0.0));
    assert_eq!(restricted(&change.after).lower, 0.99);
    let raised: Vec<&Alert> = answer.alerts.iter().filter(|one| one.destination == "JPN").collect();
    assert!(raised.iter().all(|one| one.kind() == AlertKind::Raised && one.cursor.is_empty()));
    assert_eq!(raised[0].cause.as_ref().unwrap().kind(), CauseKind::Clock);
    assert_eq!(answer.alerts_total, u64::try_from(answer.alerts.len()).unwrap());
    let after = (
        server.all_alerts().await,
        server.view.read_state(lodewatch_core::engine::State::to_snapshot),
    );
    assert!(before == after, "nothing was touched");
    // What was supposed comes true: the same alerts.
    server.publish(request.updates).await.unwrap();
    server.turn_to("2026-03-01").await;
    let real = server.all_alerts().await.split_off(before.0.len());
    let sentences =
        |alerts: &[Alert]| alerts.iter().map(|one| one.sentence.clone()).collect::<Vec<_>>();
    assert_eq!(sentences(&real), sentences(&answer.alerts));
    server.stop().await;
}

#[tokio::test]
async fn a_bad_simulation_is_rejected_with_every_field() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2026-01-01").await;
    let mut request = SimulateRequest {
        updates: vec![report("galium", "2024", &[("CHN", 1.5)])],
        policy: Some(policy(|policy| policy.rules[0].thresholds[0].raise = 50_000.0)),
        until: "tomorrow".into(),
        ..SimulateRequest::default()
    };
    let status = policies(&server).simulate(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for field in [
        "updates[0].report.mineral",
        "updates[0].report.rows[0].share",
        "policy.rules[0].thresholds[0].raise",
        "until",
    ] {
        assert!(status.message().contains(field), "{} names {field}", status.message());
    }
    request = SimulateRequest::default();
    request.policy = Some(policy(|policy| {
        policy.blocs.clear();
        policy.rules[0].name = "notice".into();
        policy.rules[1].metric_countries = vec!["CHN".into()];
    }));
    let status = policies(&server).simulate(request).await.unwrap_err();
    for field in
        ["policy.rules[0].name", "policy.rules[1].metric", "policy.rules[1].destinations[3]"]
    {
        assert!(status.message().contains(field), "{} names {field}", status.message());
    }
    server.stop().await;
}

async fn backtest(server: &Server, policy: Policy) -> (Vec<Alert>, BacktestProgress) {
    let request = BacktestRequest { policy: Some(policy), ..BacktestRequest::default() };
    let mut stream = policies(server).backtest(request).await.unwrap().into_inner();
    let (mut alerts, mut last) = (Vec::new(), BacktestProgress::default());
    while let Some(response) = stream.message().await.unwrap() {
        match response.message.unwrap() {
            Message::Alerts(more) => alerts.extend(more.alerts),
            Message::Progress(progress) => last = progress,
        }
    }
    assert!(last.done);
    (alerts, last)
}

#[tokio::test]
async fn a_backtest_of_the_policy_in_force_emits_the_same_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2024-01-01").await;
    server.publish(vec![ban("T", "CHN", "all", "gallium", "2024-06-01")]).await.unwrap();
    for turn in 0..6 {
        server.publish(vec![swing("gallium", turn), swing("indium", turn)]).await.unwrap();
    }
    server.turn_to("2024-07-01").await;
    let sentences = |alerts: Vec<Alert>| {
        let plain = |alert: Alert| Alert { cursor: String::new(), policy_version: 0, ..alert };
        alerts.into_iter().map(plain).collect::<Vec<_>>()
    };
    let (same, progress) = backtest(&server, policy(|_| {})).await;
    assert_eq!(sentences(same), sentences(server.all_alerts().await));
    assert_eq!((progress.entries, progress.rejected), (progress.entries_total, 0));
    let (other, _) =
        backtest(&server, policy(|policy| policy.rules.retain(|rule| rule.name == "hhi"))).await;
    assert!(
        other.iter().all(|alert| matches!(&*alert.rule, "hhi" | "notice")) && !other.is_empty()
    );
    server.stop().await;
}

#[tokio::test]
async fn markets_are_answered_as_of_a_day_or_a_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "2024-12-01").await;
    let first = server.publish(vec![report("gallium", "2023", &[("CHN", 0.98)])]).await.unwrap();
    server.publish(vec![ban("T", "CHN", "USA", "gallium", "2024-12-03")]).await.unwrap();
    server.turn_to("2024-12-05").await;
    server.publish(vec![report("gallium", "2024", &[("CHN", 0.99)])]).await.unwrap();
    let ask = async |as_of: &str| {
        let request = GetMarketRequest {
            mineral: "gallium".into(),
            stage: Stage::Refining.into(),
            destination: "USA".into(),
            as_of: as_of.into(),
            ..GetMarketRequest::default()
        };
        let market = server.markets().get_market(request).await?.into_inner().market.unwrap();
        let restricted = market.metrics.iter().find(|one| one.metric() == Metric::RestrictedShare);
        Ok::<_, tonic::Status>((
            market.suppliers[0].share.unwrap(),
            restricted.unwrap().value.unwrap().lower,
        ))
    };
    assert_eq!(ask("").await.unwrap(), (0.99, 0.99));
    assert_eq!(ask(&first.cursor).await.unwrap(), (0.98, 0.0));
    assert_eq!(ask("2024-12-02").await.unwrap(), (0.98, 0.0));
    assert_eq!(ask("2024-12-03").await.unwrap(), (0.98, 0.98), "at its end, the day has happened");
    assert_eq!(ask("2024-12-05").await.unwrap(), (0.99, 0.99));
    assert_eq!(ask("2024-11-30").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(ask("2025-01-01").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(ask("yesterday").await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

/// A server that runs one simulation, backtest or read of the past at a time, with a journal whose
/// backtest has many messages.
async fn start_with_one_place(dir: &Path, change: impl FnOnce(&mut Config)) -> Server {
    let server = Server::start_with(dir, "2024-12-01", |config| {
        config.server.simulations_max = 1;
        change(config);
    })
    .await;
    // More than a connection takes before its reader does.
    let minerals =
        ["gallium", "germanium", "indium", "cobalt", "nickel", "tungsten", "zinc", "tin"];
    for turn in 0..80 {
        server.publish(minerals.iter().map(|one| swing(one, turn)).collect()).await.unwrap();
    }
    server
}

/// Waits until the one place is free again; hangs where it is never given back.
async fn until_simulated(server: &Server) {
    while let Err(status) = policies(server).simulate(SimulateRequest::default()).await {
        assert_eq!(limit(&status), "server.simulations_max");
    }
}

fn backtest_request() -> BacktestRequest {
    BacktestRequest { policy: Some(policy(|_| {})), ..BacktestRequest::default() }
}

#[tokio::test]
async fn only_so_many_may_look_aside_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with_one_place(dir.path(), |_| {}).await;
    // This stream is not read: it fills its channel and waits.
    let unread = policies(&server).backtest(backtest_request()).await.unwrap();
    let status = policies(&server).simulate(SimulateRequest::default()).await.unwrap_err();
    assert_eq!(limit(&status), "server.simulations_max");
    let past = GetMarketRequest {
        mineral: "gallium".into(),
        stage: Stage::Refining.into(),
        as_of: "2024-12-01".into(),
        ..GetMarketRequest::default()
    };
    let status = server.markets().get_market(past).await.unwrap_err();
    assert_eq!(limit(&status), "server.simulations_max");
    drop(unread);
    until_simulated(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn an_unread_backtest_gives_its_place_back() {
    let dir = tempfile::tempdir().unwrap();
    let change: fn(&mut Config) = |config| config.server.transfer_timeout_ms = 100;
    let server = start_with_one_place(dir.path(), change).await;
    let mut unread = policies(&server).backtest(backtest_request()).await.unwrap().into_inner();
    until_simulated(&server).await;
    // What was sent before can still be read; it must not look complete.
    while let Ok(message) = unread.message().await {
        let is_done = match message.expect("the stream is reset").message {
            Some(Message::Progress(progress)) => progress.done,
            Some(Message::Alerts(_)) | None => false,
        };
        assert!(!is_done);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unread_backtest_does_not_hold_up_a_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    // Without the end of the call, the drain would take longer than a test may.
    let change: fn(&mut Config) = |config| {
        config.server.drain_timeout_ms = 86_400_000;
        config.server.transfer_timeout_ms = 100;
    };
    let server = start_with_one_place(dir.path(), change).await;
    let unread = policies(&server).backtest(backtest_request()).await.unwrap();
    server.stop().await;
    drop(unread);
}

#[tokio::test]
async fn an_unread_backtest_ends_with_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with_one_place(dir.path(), |_| {}).await;
    let mut request = tonic::Request::new(backtest_request());
    request.set_timeout(std::time::Duration::from_millis(500));
    let unread = policies(&server).backtest(request).await;
    until_simulated(&server).await;
    drop(unread);
    server.stop().await;
}

#[tokio::test]
async fn a_simulation_over_its_budget_is_stopped_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let change: fn(&mut Config) = |config| {
        config.server.simulation_evaluations_max = 10;
        config.server.replay_evaluations_max = 100;
    };
    let server = start_with_one_place(dir.path(), change).await;
    let request = SimulateRequest {
        policy: Some(policy(|policy| policy.rules.truncate(1))),
        ..SimulateRequest::default()
    };
    let status = policies(&server).simulate(request).await.unwrap_err();
    assert_eq!(limit(&status), "server.simulation_evaluations_max");
    for part in ["of 10 evaluations", "at 2024-12-01", "simulate fewer updates"] {
        assert!(status.message().contains(part), "{} says {part}", status.message());
    }
    until_simulated(&server).await;
    let past = GetMarketRequest {
        mineral: "gallium".into(),
        stage: Stage::Refining.into(),
        as_of: "2024-12-01".into(),
        ..GetMarketRequest::default()
    };
    let status = server.markets().get_market(past).await.unwrap_err();
    assert_eq!(limit(&status), "server.replay_evaluations_max");
    let mut stream = policies(&server).backtest(backtest_request()).await.unwrap().into_inner();
    let status = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    assert_eq!(limit(&status), "server.replay_evaluations_max");
    until_simulated(&server).await;
    server.publish(vec![swing("gallium", 0)]).await.expect("others are served");
    server.stop().await;
}
