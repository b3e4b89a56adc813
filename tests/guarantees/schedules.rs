//! Random fault schedules, each from its seed, each followed by all checks.

use crate::world::World;
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lodewatch_client::{Publisher, Servers};
use lodewatch_proto::v1::{PublishRequest, PublishResponse, Start, Update};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::check;
use lodewatch_testkit::oracle::Oracle;
use lodewatch_testkit::process::Process;
use lodewatch_testkit::recording::{Recording, Wish, by_client, by_hand, finish};
use lodewatch_testkit::samples::swing;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, timeout};
use uuid::Uuid;

/// Schedules of one run, unless `LODEWATCH_SCHEDULES` is set.
const SCHEDULES: u64 = 200;
/// The first seed, unless `LODEWATCH_SEED` is the only one.
const FIRST_SEED: u64 = 1;
/// Concurrent schedules: they mostly wait.
const AT_ONCE: usize = 6;

const MINERALS: [&str; 6] = ["gallium", "indium", "bismuth", "arsenic", "germanium", "cobalt"];

/// A fault while a batch is in flight.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// `kill -9`, then a restart.
    Kill,
    /// SIGTERM, then a restart.
    Restart,
    /// SIGSTOP, then SIGCONT after this number of milliseconds.
    Pause(u64),
    /// Every connection of subscribers is cut.
    CutSubscribers,
    /// Every connection of the publisher is cut.
    CutPublisher,
    /// A subscriber gets this number of bytes per millisecond.
    Slow(usize, usize),
    /// A subscriber gets nothing.
    Silence(usize),
    /// All subscribers get everything again.
    Fair,
}

/// All that follows from a seed.
#[derive(Debug)]
struct Plan {
    seed: u64,
    snapshot_every_entries: u64,
    frail_one_in: u32,
    subscribers: Vec<(Wish, bool)>,
    steps: Vec<(Vec<Update>, Option<Fault>)>,
}

impl Plan {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let subscribers: Vec<_> =
            (0..rng.usize(2..=4)).map(|_| (wish(&mut rng), rng.bool())).collect();
        let count = subscribers.len();
        let mut turns = [0_usize; MINERALS.len()];
        let mut steps: Vec<_> = (0..rng.usize(10..=30))
            .map(|_| {
                let fault = (rng.u8(0..4) == 0).then(|| fault(&mut rng, count));
                let mut updates = Vec::new();
                for _ in 0..rng.usize(1..=3) {
                    let mineral = rng.usize(0..MINERALS.len());
                    turns[mineral] += 1;
                    updates.push(swing(MINERALS[mineral], turns[mineral]));
                }
                (updates, fault)
            })
            .collect();
        // The last two cross a threshold of every mineral, so that the last one reaches every
        // filter.
        for turn in [1, 0] {
            steps.push((MINERALS.iter().map(|mineral| swing(mineral, turn)).collect(), None));
        }
        Self {
            seed,
            snapshot_every_entries: rng.u64(1..20),
            frail_one_in: rng.u32(0..4),
            subscribers,
            steps,
        }
    }
}

fn wish(rng: &mut Rng) -> Wish {
    let minerals = match rng.u8(0..3) {
        0 => Vec::new(),
        1 => vec![*rng.choice(&MINERALS).unwrap()],
        _ => MINERALS[..rng.usize(1..MINERALS.len())].to_vec(),
    };
    let start = if rng.u8(0..4) == 0 { Start::Snapshot } else { Start::Oldest };
    Wish { minerals, start, cursor: String::new() }
}

fn fault(rng: &mut Rng, subscribers: usize) -> Fault {
    match rng.u8(0..16) {
        0..=2 => Fault::Kill,
        3 => Fault::Restart,
        4..=6 => Fault::Pause(rng.u64(1..40)),
        7..=8 => Fault::CutSubscribers,
        9..=10 => Fault::CutPublisher,
        11..=12 => Fault::Slow(rng.usize(0..subscribers), rng.usize(1..200)),
        13 => Fault::Silence(rng.usize(0..subscribers)),
        _ => Fault::Fair,
    }
}

/// Injects a fault.
impl World {
    async fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => {
                self.end(Process::kill).await;
                self.run().await;
            }
            Fault::Restart => {
                self.end(Process::stop).await;
                self.run().await;
            }
            Fault::Pause(ms) => {
                let process = self.process.as_ref().expect("it runs");
                process.suspend();
                let moment = Duration::from_millis(ms);
                interval_at(Instant::now() + moment, moment).tick().await;
                process.go_on();
            }
            Fault::CutSubscribers => {
                self.subscribers.iter().for_each(|proxy| proxy.turn(|now| now.cuts += 1));
            }
            Fault::CutPublisher => self.publisher.turn(|now| now.cuts += 1),
            Fault::Slow(which, bytes) => {
                self.subscribers[which].turn(|now| now.bytes_per_ms = Some(bytes));
            }
            Fault::Silence(which) => self.subscribers[which].turn(|now| now.bytes_per_ms = Some(0)),
            Fault::Fair => self.fair(),
        }
    }
}

/// Publishes everything through the faults; returns the acknowledged batches.
async fn publish(plan: &Plan, world: &mut World) -> Vec<(PublishRequest, PublishResponse)> {
    let mut publisher = Publisher::new(Servers::parse([world.publisher.address.as_str()]).unwrap());
    let mut acknowledged = Vec::new();
    for (number, (updates, fault)) in (0_u64..).zip(&plan.steps) {
        let id = u128::from(plan.seed) << 64 | u128::from(number) << 1 | 1;
        let request = PublishRequest {
            request_id: Uuid::from_u128(id).to_string(),
            feed: "schedule".to_owned(),
            updates: updates.clone(),
            exercise: false,
        };
        let suffering = async {
            if let Some(fault) = fault {
                world.suffer(*fault).await;
            }
        };
        let (answer, ()) = tokio::join!(publisher.publish(request.clone()), suffering);
        acknowledged.push((request, answer.expect("a publisher gets through in the end")));
    }
    acknowledged
}

/// Runs one schedule; returns a report.
async fn run(seed: u64) -> Result<String, String> {
    let plan = Plan::new(seed);
    let settings = vec![
        ("ARCHIVE__SNAPSHOT_EVERY_ENTRIES", plan.snapshot_every_entries.to_string()),
        ("SERVER__DRAIN_TIMEOUT", "1s".to_owned()),
    ];
    let count = plan.subscribers.len();
    let mut world = World::start(seed, count, plan.frail_one_in, settings).await;
    let (end_tx, end) = watch::channel(String::new());
    let readers: Vec<JoinHandle<Recording>> = plan
        .subscribers
        .iter()
        .zip(&world.subscribers)
        .map(|((wish, client), proxy)| {
            let (address, wish, end) = (proxy.address.clone(), wish.clone(), end.clone());
            if *client {
                tokio::spawn(by_client(address, wish, end))
            } else {
                tokio::spawn(by_hand(address, wish, end))
            }
        })
        .collect();
    let acknowledged = publish(&plan, &mut world).await;
    world.fair();
    end_tx.send_replace(acknowledged.last().unwrap().1.cursor.clone());
    let mut recordings = Vec::new();
    for reader in readers {
        recordings.push(finish(reader).await);
    }
    world.end(Process::kill).await;
    let oracle = Oracle::replay(world.dir.path()).await;
    for (number, recording) in recordings.iter().enumerate() {
        check::recording(recording, &oracle)
            .map_err(|broken| format!("subscriber {number}: {broken}"))?;
    }
    check::acknowledged(&acknowledged, &oracle)?;
    world.run().await;
    let resumed = resume_anywhere(&plan, &world, &recordings, end).await;
    check::recording(&resumed, &oracle).map_err(|broken| format!("resumed: {broken}"))?;
    let streams: usize = recordings.iter().map(|recording| recording.streams.len()).sum();
    let faults: Vec<_> = plan.steps.iter().filter_map(|(_, fault)| *fault).collect();
    let (batches, alerts) = (acknowledged.len(), oracle.alerts.len());
    let silence = recordings.iter().map(Recording::silence).max().unwrap_or_default();
    Ok(format!(
        "{batches} batches, {alerts} alerts, {streams} streams, longest silence {} ms, {faults:?}",
        silence.as_millis()
    ))
}

/// Checks that every delivered cursor works, after any restart.
async fn resume_anywhere(
    plan: &Plan,
    world: &World,
    recordings: &[Recording],
    end: watch::Receiver<String>,
) -> Recording {
    let mut rng = Rng::with_seed(!plan.seed);
    let recording = rng.choice(recordings).unwrap();
    let messages = recording.streams.iter().flat_map(|stream| &stream.messages);
    let cursors: Vec<_> =
        messages.map(|one| &one.cursor).filter(|cursor| !cursor.is_empty()).collect();
    let cursor = (*rng.choice(&cursors).unwrap()).clone();
    let minerals = recording.minerals.clone();
    let wish = Wish { minerals, start: Start::Cursor, cursor };
    let reader = tokio::spawn(by_hand(world.subscribers[0].address.clone(), wish, end));
    finish(reader).await
}

/// A number from the environment.
fn given(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?;
    Some(text.to_str().and_then(|text| text.parse().ok()).expect("a whole number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_sees_every_alert_once_and_in_order_across_all_faults() {
    let seeds = match (given("LODEWATCH_SEED"), given("LODEWATCH_SCHEDULES")) {
        (Some(seed), count) => seed..seed.saturating_add(count.unwrap_or(1)),
        (None, count) => FIRST_SEED..FIRST_SEED + count.unwrap_or(SCHEDULES),
    };
    let mut waiting = seeds.map(|seed| async move {
        // In its own task, so that a panic is reported with its seed.
        let run = tokio::spawn(timeout(PATIENCE * 2, run(seed)));
        (seed, run.await)
    });
    let mut running: FuturesUnordered<_> = waiting.by_ref().take(AT_ONCE).collect();
    let mut failed = Vec::new();
    while let Some((seed, result)) = running.next().await {
        running.extend(waiting.next());
        let result = match result {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err("did not end in time".to_owned()),
            Err(panic) => Err(panic.to_string()),
        };
        match result {
            Ok(did) => println!("seed {seed}: {did}"),
            Err(broken) => {
                println!("seed {seed}: FAILED: {broken}");
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "run these again with LODEWATCH_SEED: {failed:?}");
}
