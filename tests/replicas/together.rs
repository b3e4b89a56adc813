//! Replicas act as one. In one process, with manual clocks.

use lodewatch::archive::Archive;
use lodewatch::config::{Config, Credentials, JetStream as Settings, Store};
use lodewatch::journal::{JetStreamJournal, Journal, StateDigest};
use lodewatch_client::Publisher;
use lodewatch_core::domain::{Entry, Payload, Policy, Seq};
use lodewatch_proto::v1::policy_service_client::PolicyServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{GetPolicyRequest, ListAlertsRequest, Order, Start, SubscribeRequest};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::collector::Collector;
use lodewatch_testkit::nats::Nats;
use lodewatch_testkit::process::command;
use lodewatch_testkit::samples::{ban, swing};
use lodewatch_testkit::server::{Server, batch};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

const REPLICAS: usize = 3;
const BEGIN: &str = "2026-01-01";

/// A single NATS server, and replicas on its stream.
struct Together {
    nats: Nats,
    dirs: Vec<TempDir>,
    servers: Vec<Server>,
}

impl Together {
    async fn start() -> Self {
        let dirs = (0..REPLICAS).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut all = Self { nats: Nats::alone(), dirs, servers: Vec::new() };
        for number in 0..REPLICAS {
            let server = all.open(number, |_| {}).await;
            all.servers.push(server);
        }
        all
    }

    /// Starts a replica on its directory.
    async fn open(&self, number: usize, change: impl FnOnce(&mut Config)) -> Server {
        Server::start_with(self.dirs[number].path(), BEGIN, |config| {
            config.journal = Store::JetStream(Box::new(settings(&self.nats)));
            change(config);
        })
        .await
    }

    /// Restarts a replica.
    async fn restart(&mut self, number: usize, change: impl FnOnce(&mut Config)) {
        self.servers.remove(number).stop().await;
        let server = self.open(number, change).await;
        self.servers.insert(number, server);
    }

    /// Opens a journal on the stream, as a replica does.
    async fn journal(&self, dir: &Path) -> JetStreamJournal {
        JetStreamJournal::open(&settings(&self.nats), dir).await.unwrap()
    }

    /// All entries of the stream.
    async fn entries(&self) -> Vec<Entry> {
        let dir = tempfile::tempdir().unwrap();
        let journal = self.journal(dir.path()).await;
        let head = *journal.head().borrow();
        let mut tail = journal.tail(Seq::ZERO).unwrap();
        let mut entries: Vec<Entry> = Vec::new();
        while entries.last().map_or(Seq::ZERO, |last| last.seq) < head {
            entries.extend(timeout(PATIENCE, tail.next()).await.unwrap().unwrap());
        }
        entries
    }

    /// Waits until all replicas applied the whole stream, and checks that their alerts are equal.
    async fn assert_all_replicas_agree(&self) {
        let last = self.entries().await.last().expect("there are entries").seq;
        for server in &self.servers {
            timeout(PATIENCE, server.view.wait_for(last)).await.unwrap().unwrap();
        }
        let first = self.servers[0].all_alerts().await;
        for server in &self.servers {
            assert_eq!(server.all_alerts().await, first);
        }
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}

fn settings(nats: &Nats) -> Settings {
    Settings {
        servers: vec![nats.url()],
        stream: "TOGETHER".to_owned(),
        replicas: 1,
        monitors: vec![nats.monitor()],
        timeout: Duration::from_secs(3),
        allow_weaker_durability: false,
        credentials: Credentials::None,
        ca_file: None,
        certificate: None,
    }
}

/// Waits until a replica is ready, or not ready.
pub(crate) async fn until_ready(channel: &Channel, is_ready: bool) {
    let wanted = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    let mut health = HealthClient::new(channel.clone());
    let mut said = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let reached = async { while said.message().await.unwrap().unwrap().status() != wanted {} };
    timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test]
async fn a_due_change_is_applied_once_whether_one_replica_or_all_detect_it() {
    let all = Together::start().await;
    let [one, two, three] = &*all.servers else { panic!("three replicas") };
    let days: Vec<String> = (1..=10).map(|day| format!("2026-02-{day:02}")).collect();
    let bans = days.iter().enumerate().map(|(number, day)| {
        let mineral = ["gallium", "indium"][number % 2];
        ban(&format!("CHN-{number}"), "CHN", "all", mineral, day)
    });
    one.publish(vec![swing("gallium", 0), swing("indium", 0)]).await.unwrap();
    one.publish(bans.collect()).await.unwrap();
    all.assert_all_replicas_agree().await;
    for day in &days {
        tokio::join!(one.turn_to(day), two.turn_to(day), three.turn_to(day));
    }
    let mut ticks = BTreeMap::new();
    for entry in all.entries().await {
        if let Payload::Tick { due } = entry.payload {
            *ticks.entry(due).or_insert(0) += 1;
        }
    }
    assert!(ticks.len() >= days.len(), "{ticks:?}");
    assert!(ticks.values().all(|count| *count == 1), "{ticks:?}");
    all.assert_all_replicas_agree().await;
    all.stop().await;
}

#[tokio::test]
async fn every_replica_shows_a_published_batch_to_reads_with_its_cursor() {
    let all = Together::start().await;
    for turn in 0..30 {
        let here = turn % REPLICAS;
        let published = all.servers[here].publish(vec![swing("gallium", turn)]).await.unwrap();
        let last = *published.alert_sequences.last().expect("every turn crosses a threshold");
        for there in &all.servers {
            let request = ListAlertsRequest {
                order: Order::NewestFirst.into(),
                page_size: 1,
                min_cursor: published.cursor.clone(),
                ..ListAlertsRequest::default()
            };
            let listed = there.alerts().list_alerts(request).await.unwrap().into_inner();
            assert_eq!(listed.alerts[0].sequence, last, "turn {turn}");
        }
    }
    all.stop().await;
}

#[tokio::test]
async fn a_rolling_change_of_the_policy_ends_with_the_newest_without_alternating() {
    let newest = |config: &mut Config| {
        config.policy_revision = 1;
        config.policy.rules.truncate(1);
    };
    let mut all = Together::start().await;
    all.servers[0].publish(vec![swing("gallium", 0)]).await.unwrap();
    all.restart(0, newest).await;
    // One with old settings restarts in between.
    all.restart(1, |_| {}).await;
    all.servers[1].publish(vec![swing("gallium", 1)]).await.unwrap();
    all.restart(1, newest).await;
    all.restart(2, newest).await;
    all.assert_all_replicas_agree().await;
    let is_policy = |entry: &&Entry| match entry.payload {
        Payload::PolicyAdopted { .. } => true,
        Payload::Batch(_) | Payload::Tick { .. } => false,
    };
    let entries = all.entries().await;
    assert_eq!(entries.iter().filter(is_policy).count(), 2, "one old and one new");
    let rules = |policy: &Policy| policy.rules.len();
    for server in &all.servers {
        let in_force = server.view.read_state(|state| rules(&state.adopted().unwrap().policy));
        assert_eq!(in_force, 1);
        let mut policies = PolicyServiceClient::new(server.channel.clone());
        let reply = policies.get_policy(GetPolicyRequest::default()).await.unwrap().into_inner();
        assert_eq!((reply.policy.unwrap().rules.len(), reply.settings_error), (1, String::new()));
    }
    all.stop().await;
}

#[tokio::test]
async fn a_replica_that_lost_its_data_delivers_the_same_alerts() {
    let mut all = Together::start().await;
    for turn in 0..20 {
        all.servers[turn % REPLICAS].publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let before = all.servers[1].all_alerts().await;
    assert!(before.len() >= 20);
    all.servers.remove(1).stop().await;
    all.dirs[1] = tempfile::tempdir().unwrap();
    let again = all.open(1, |_| {}).await;
    assert_eq!(again.all_alerts().await[..before.len()], before);
    all.servers.insert(1, again);
    all.assert_all_replicas_agree().await;
    all.stop().await;
}

#[tokio::test]
async fn a_new_replica_starts_from_the_archive_of_another() {
    let mut all = Together::start().await;
    for turn in 0..20 {
        all.servers[turn % REPLICAS].publish(vec![swing("gallium", turn)]).await.unwrap();
    }
    let last = all.entries().await.last().unwrap().seq;
    // A replica writes a snapshot when it stops.
    all.restart(0, |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    assert!(fetch(&all.servers[0], dir.path()).await.starts_with("archive copied to "));
    assert!(fetch(&all.servers[0], dir.path()).await.ends_with("already has an archive\n"));
    let journal = all.journal(tempfile::tempdir().unwrap().path()).await;
    let fetched = Archive::open(dir.path(), journal.epoch(), last).unwrap();
    let snapshot = fetched.snapshots().unwrap()[0];
    assert!(fetched.snapshot_pieces(&snapshot).all(|piece| piece.is_ok()));
    assert_eq!(snapshot.seq, last, "nothing is left to replay");
    drop(fetched);
    all.servers[1].publish(vec![swing("gallium", 20)]).await.unwrap();
    all.servers.remove(2).stop().await;
    all.dirs[2] = dir;
    let new = all.open(2, |_| {}).await;
    all.servers.push(new);
    all.assert_all_replicas_agree().await;
    all.stop().await;
}

/// Runs `archive fetch`; returns its output.
async fn fetch(from: &Server, dir: &Path) -> String {
    let mut command = command();
    command.args(["--address", &from.address, "archive", "fetch", "--data-dir"]).arg(dir);
    let output = spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_replica_that_another_contradicts_stops_serving_and_names_the_entry() {
    let all = Together::start().await;
    let published = all.servers[0].publish(vec![swing("gallium", 0)]).await.unwrap();
    let at = all.entries().await.last().unwrap().seq;
    // Another replica, with different results from the same journal.
    let dir = tempfile::tempdir().unwrap();
    let wrong = all.journal(dir.path()).await;
    wrong.share_digest(StateDigest { entry: at, digest: 1 });
    let now = lodewatch_testkit::server::instant(BEGIN);
    wrong.append(now, Payload::Tick { due: now }).await.unwrap();
    for server in &all.servers {
        let stall = timeout(PATIENCE, server.view.stopped()).await.unwrap();
        until_ready(&server.channel, false).await;
        assert!(stall.to_string().contains(&format!("up to entry {at}")), "{stall}");
        let request = ListAlertsRequest {
            min_cursor: published.cursor.clone(),
            ..ListAlertsRequest::default()
        };
        let rejected = server.alerts().list_alerts(request).await.unwrap_err();
        assert_eq!(rejected.code(), Code::Unavailable);
        assert_eq!(rejected.get_details_error_info().unwrap().reason, "REPLICAS_DIVERGED");
        let rejected = server.publish(vec![swing("gallium", 1)]).await.unwrap_err();
        assert_eq!(rejected.get_details_error_info().unwrap().reason, "REPLICAS_DIVERGED");
    }
    all.stop().await;
}

#[tokio::test]
async fn a_heartbeat_reports_an_unreachable_journal_and_no_alert_is_missed() {
    let mut all = Together::start().await;
    let first = all.servers[0].publish(vec![swing("gallium", 0)]).await.unwrap();
    let request = SubscribeRequest {
        start: Start::Oldest.into(),
        heartbeat_seconds: 1,
        ..SubscribeRequest::default()
    };
    let mut stream = all.servers[1].subscribe(request).await.unwrap();
    let is_unreachable = |message: &Message| match message {
        Message::Heartbeat(heartbeat) => Some(heartbeat.journal_unreachable),
        _ => None,
    };
    let (before, _) = stream.until(|message| is_unreachable(message) == Some(false)).await;
    all.nats.kill();
    let (nothing, beat) = stream.until(|message| is_unreachable(message) == Some(true)).await;
    assert!(nothing.is_empty());
    let Some(Message::Heartbeat(heartbeat)) = beat.message else { panic!("{beat:?}") };
    assert_eq!(heartbeat.head_cursor, "", "the head is unknown");
    until_ready(&all.servers[1].channel, false).await;
    // Known alerts are still delivered; updates are rejected.
    assert_eq!(all.servers[1].all_alerts().await, before);
    let request = batch(vec![swing("gallium", 1)]);
    let rejected = all.servers[2].feed().publish(request.clone()).await.unwrap_err();
    assert_eq!(rejected.get_details_error_info().unwrap().reason, "JOURNAL_UNREACHABLE");
    all.nats.run();
    // It may have arrived anyway; under its request id it counts once.
    let second = Publisher::new(all.servers[2].servers()).publish(request).await.unwrap();
    let (after, _) = stream.until(|message| is_unreachable(message) == Some(false)).await;
    until_ready(&all.servers[1].channel, true).await;
    let sequences = before.iter().chain(&after).map(|alert| alert.sequence);
    let published = first.alert_sequences.iter().chain(&second.alert_sequences);
    assert_eq!(sequences.collect::<Vec<_>>(), published.copied().collect::<Vec<_>>());
    all.stop().await;
}

#[tokio::test]
async fn a_trace_continues_at_every_replica() {
    let (mut all, collector) = (Together::start().await, Collector::start().await);
    let endpoint = || Some(collector.endpoint.clone());
    for number in 0..REPLICAS {
        all.restart(number, |config| config.traces.endpoint = endpoint()).await;
    }
    let from_head = SubscribeRequest { start: Start::Head.into(), ..SubscribeRequest::default() };
    let mut alerts = all.servers[2].subscribe(from_head).await.unwrap();
    alerts.until_caught_up().await;
    let published = all.servers[0].publish(vec![swing("gallium", 0)]).await.unwrap();
    alerts.until_alert(*published.alert_sequences.last().unwrap()).await;
    all.assert_all_replicas_agree().await;
    all.stop().await;
    let (call, deliver) =
        (collector.only("lodewatch.v1.FeedService/Publish"), collector.only("deliver"));
    assert_ne!(call.instance, deliver.instance);
    let spans = collector.spans();
    let applied: Vec<_> = spans.iter().filter(|span| span.name == "apply").collect();
    assert_eq!(applied.len(), REPLICAS);
    assert!(applied.iter().all(|apply| apply.parent == call.span));
    assert!(applied.iter().any(|apply| apply.span == deliver.parent));
    assert!(spans.iter().all(|span| span.trace == call.trace));
}
