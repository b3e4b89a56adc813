//! The faults, one after the other, each under load and followed by all checks.

use crate::load::{Answered, Load, Outcome, publish_last, request};
use crate::world::{STREAM, World};
use lodewatch_client::connect;
use lodewatch_proto::v1::Alert;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::check;
use lodewatch_testkit::oracle::{Oracle, position};
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{Recording, Wish, by_hand, finish};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tonic::Code;

/// Rounds of all faults, unless `LODEWATCH_FAULT_ROUNDS` is set.
const ROUNDS: usize = 1;
/// Replies that every publisher gets before a fault, during it, and after it.
const ANSWERS: usize = 10;

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillNats,
    StopNats,
    KillLeader,
    StopLeader,
    KillReplica,
    StopReplica,
    CutReplicaOff,
    AllNatsGone,
    RollingRestart,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::KillNats,
        Self::StopNats,
        Self::KillLeader,
        Self::StopLeader,
        Self::KillReplica,
        Self::StopReplica,
        Self::CutReplicaOff,
        Self::AllNatsGone,
        Self::RollingRestart,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KillNats => "kill -9 of a NATS server that follows",
            Self::StopNats => "SIGSTOP of a NATS server that follows",
            Self::KillLeader => "kill -9 of the stream's leader",
            Self::StopLeader => "SIGSTOP of the stream's leader",
            Self::KillReplica => "kill -9 of a replica",
            Self::StopReplica => "SIGSTOP of a replica",
            Self::CutReplicaOff => "a replica cut off from NATS",
            Self::AllNatsGone => "all NATS servers gone and back",
            Self::RollingRestart => "rolling restart of everything",
        }
    }

    /// Injects the fault under load, and repairs it.
    async fn strike(self, world: &mut World, load: &mut Load, round: usize) {
        let leader = world.cluster.leader(STREAM).await;
        let follower = (leader + 1 + round % 2) % world.cluster.servers.len();
        let replica = round % world.replicas.len();
        match self {
            Self::KillNats => kill_nats(world, load, follower).await,
            Self::StopNats => stop_nats(world, load, follower).await,
            Self::KillLeader => kill_nats(world, load, leader).await,
            Self::StopLeader => stop_nats(world, load, leader).await,
            Self::KillReplica => {
                world.replicas[replica].end(Process::kill).await;
                load.go_on(ANSWERS).await;
                world.replicas[replica].run().await;
            }
            Self::StopReplica => {
                world.replicas[replica].process().suspend();
                load.go_on(ANSWERS).await;
                world.replicas[replica].process().go_on();
            }
            Self::CutReplicaOff => {
                world.replicas[replica].partition(true);
                load.go_on(ANSWERS).await;
                world.replicas[replica].partition(false);
            }
            Self::AllNatsGone => {
                world.cluster.servers.iter_mut().for_each(lodewatch_testkit::nats::Nats::kill);
                until_unreachable(world, replica).await;
                world.cluster.servers.iter_mut().for_each(lodewatch_testkit::nats::Nats::run);
            }
            Self::RollingRestart => restart_everything(world, load).await,
        }
        world.cluster.until_healthy(STREAM).await;
    }
}

async fn kill_nats(world: &mut World, load: &mut Load, number: usize) {
    world.cluster.servers[number].kill();
    load.go_on(ANSWERS).await;
    world.cluster.servers[number].run();
}

async fn stop_nats(world: &mut World, load: &mut Load, number: usize) {
    world.cluster.servers[number].stop();
    load.go_on(ANSWERS).await;
    world.cluster.servers[number].go_on();
}

/// A replica reports it once it cannot reach its journal.
async fn until_unreachable(world: &World, replica: usize) {
    let channel = connect(world.replicas[replica].address()).await.unwrap();
    let mut feed = FeedServiceClient::new(channel);
    let rejected = timeout(PATIENCE, feed.publish(request("nickel", 0))).await;
    let rejected = rejected.expect("an answer in time").unwrap_err();
    assert_eq!(rejected.code(), Code::Unavailable, "{rejected}");
}

async fn restart_everything(world: &mut World, load: &mut Load) {
    for number in 0..world.cluster.servers.len() {
        world.cluster.servers[number].terminate();
        world.cluster.servers[number].run();
        world.cluster.until_healthy(STREAM).await;
    }
    for replica in &mut world.replicas {
        replica.end(Process::stop).await;
        replica.run().await;
        load.go_on(1).await;
    }
}

/// The effect of a fault on publishers and subscribers.
struct Line {
    fault: &'static str,
    outcome: Outcome,
}

impl Line {
    /// The header of the table.
    const HEAD: [&str; 9] = [
        "fault",
        "batches",
        "alerts",
        "answer ms",
        "silence ms",
        "late ms",
        "lost",
        "doubled",
        "gaps",
    ];

    fn cells(&self, oracle: &Oracle) -> [String; 9] {
        let Outcome { acknowledged, recordings, longest_answer, known, .. } = &self.outcome;
        let silence = recordings.iter().map(Recording::silence).max().unwrap_or_default();
        let late = recordings.iter().map(|one| latest(one, known)).max().unwrap_or_default();
        [
            self.fault.to_owned(),
            acknowledged.len().to_string(),
            recordings.iter().map(|one| alerts(one).count()).sum::<usize>().to_string(),
            longest_answer.as_millis().to_string(),
            silence.as_millis().to_string(),
            late.as_millis().to_string(),
            lost(acknowledged, oracle).to_string(),
            doubled(recordings).to_string(),
            gaps(recordings, oracle).to_string(),
        ]
    }
}

/// The effects of all faults: acknowledged batches and delivered alerts; the longest wait of a
/// publisher for a reply, the longest silence at a subscriber, and its longest wait for an alert
/// that a publisher knew of.
fn print(lines: &[Line], oracle: &Oracle) {
    let head = Line::HEAD.map(str::to_owned);
    for cells in std::iter::once(head).chain(lines.iter().map(|line| line.cells(oracle))) {
        let [fault, figures @ ..] = cells;
        print!("{fault:<38}");
        for figure in figures {
            print!("{figure:>11}");
        }
        println!();
    }
}

fn alerts(recording: &Recording) -> impl Iterator<Item = &Alert> {
    arrivals(recording).map(|(alert, _)| alert)
}

/// Alerts, each with its arrival time.
fn arrivals(recording: &Recording) -> impl Iterator<Item = (&Alert, Instant)> {
    let messages =
        recording.streams.iter().flat_map(|stream| stream.messages.iter().zip(&stream.arrivals));
    let alerts = messages.filter_map(|(one, at)| match &one.message {
        Some(Message::Alerts(alerts)) => Some(alerts.alerts.iter().map(|alert| (alert, *at))),
        _ => None,
    });
    alerts.flatten()
}

/// The longest wait of a subscriber for an alert that a publisher knew of.
fn latest(recording: &Recording, known: &BTreeMap<u64, Instant>) -> Duration {
    let late = arrivals(recording)
        .filter_map(|(alert, at)| Some(at.saturating_duration_since(*known.get(&alert.sequence)?)));
    late.max().unwrap_or_default()
}

/// Acknowledged batches that are not in the journal.
fn lost(acknowledged: &[Answered], oracle: &Oracle) -> usize {
    acknowledged.iter().filter(|(request, _)| oracle.batch(&request.request_id).is_none()).count()
}

/// Alerts that a subscriber received twice.
fn doubled(recordings: &[Recording]) -> usize {
    let twice = recordings.iter().map(|recording| {
        let different: BTreeSet<u64> = alerts(recording).map(|alert| alert.sequence).collect();
        alerts(recording).count() - different.len()
    });
    twice.sum()
}

/// Alerts between the first and the last of a subscriber that it did not receive.
fn gaps(recordings: &[Recording], oracle: &Oracle) -> usize {
    let missing = recordings.iter().map(|recording| {
        let handed: BTreeSet<u64> = alerts(recording).map(|alert| alert.sequence).collect();
        let (Some(first), Some(last)) = (handed.first(), handed.last()) else { return 0 };
        let due = oracle.alerts.iter().filter(|one| (*first..=*last).contains(&one.sequence));
        due.filter(|one| !handed.contains(&one.sequence)).count()
    });
    missing.sum()
}

/// Checks that no batch caused alerts at two entries, even if it was sent several times.
fn assert_each_batch_took_effect_once(oracle: &Oracle) {
    let mut places = BTreeMap::new();
    for alert in &oracle.alerts {
        let alert = Alert::decode(&*alert.bytes).unwrap();
        let Some(cause) = alert.cause.filter(|cause| !cause.request_id.is_empty()) else {
            continue;
        };
        let entry = position(&alert.cursor).entry;
        let place = places.entry(cause.request_id.clone()).or_insert(entry);
        assert_eq!(*place, entry, "batch {} took effect twice", cause.request_id);
    }
}

/// Checks that all replicas deliver the same bytes, from the first alert on.
async fn assert_all_replicas_agree(world: &World, oracle: &Oracle, last: &str) {
    for replica in &world.replicas {
        let (_end, end) = watch::channel(last.to_owned());
        let reader = tokio::spawn(by_hand(replica.address().to_owned(), Wish::all(), end));
        check::recording(&finish(reader).await, oracle).unwrap();
    }
}

fn rounds() -> usize {
    let given = std::env::var_os("LODEWATCH_FAULT_ROUNDS");
    given.map_or(ROUNDS, |text| {
        text.to_str().and_then(|text| text.parse().ok()).expect("a whole number")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_an_acknowledged_batch_or_makes_replicas_differ() {
    let mut world = World::start().await;
    let mut end = publish_last(&world, 0).await.1.cursor;
    let mut lines = Vec::new();
    for (round, fault) in (1..).zip((0..rounds()).flat_map(|_| Fault::ALL)) {
        println!("{}", fault.name());
        let mut load = Load::begin(&world, &end);
        load.go_on(ANSWERS).await;
        fault.strike(&mut world, &mut load, round).await;
        load.go_on(ANSWERS).await;
        let outcome = load.end(&world, round).await;
        end.clone_from(&outcome.end);
        lines.push(Line { fault: fault.name(), outcome });
    }
    let mut oracle = world.replay().await;
    print(&lines, &oracle);
    assert_each_batch_took_effect_once(&oracle);
    assert_all_replicas_agree(&world, &oracle, &end).await;
    // The last first: a subscriber that left earlier must not see later alerts.
    for Line { fault, outcome } in lines.iter().rev() {
        check::acknowledged(&outcome.acknowledged, &oracle).expect(fault);
        let end = position(&outcome.end);
        oracle.alerts.retain(|alert| alert.is_behind(end));
        for recording in &outcome.recordings {
            check::recording(recording, &oracle).expect(fault);
        }
    }
}
