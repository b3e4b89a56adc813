//! What replicas of one stream deliver together.

use crate::servers::Servers;
use crate::shared::batches::Batches;
use crate::shared::lodewatch::{request, serve, share_of, updates};
use lodewatch_proto::v1 as pb;
use lodewatch_testkit::process::Process;
use pb::alert_service_client::AlertServiceClient;
use pb::feed_service_client::FeedServiceClient;
use pb::subscribe_response::Message;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Subscribers, on a connection each, spread over the replicas.
const SUBSCRIBERS: usize = 60;

pub(crate) async fn measure(seconds: Duration) {
    println!(
        "{SUBSCRIBERS} subscribers, one publisher at full speed; subscribers and servers share the machine"
    );
    println!(
        "{:<9} {:>12} {:>14} {:>22}",
        "replicas", "alerts/s", "deliveries/s", "CPU s per M deliveries"
    );
    for count in 1..=3 {
        let servers = Servers::start(1).await;
        let settings = servers.toml("REPLICAS");
        let mut replicas = Vec::new();
        let mut dirs = Vec::new();
        for _ in 0..count {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            replicas.push(serve(dir.path(), &settings));
            dirs.push(dir);
        }
        let cpu_s = |replicas: &[Process]| replicas.iter().map(Process::cpu_s).sum::<f64>();
        let mut readers = JoinSet::new();
        for number in 0..SUBSCRIBERS {
            let address = replicas[number % count].address.clone();
            readers.spawn(read(address));
        }
        let before = cpu_s(&replicas);
        let begin = Instant::now();
        let alerts = publish(&replicas[0].address, seconds).await;
        // Every reader ends with the last alert, which says so itself.
        let delivered: usize = readers.join_all().await.into_iter().sum();
        let took = begin.elapsed().as_secs_f64();
        println!(
            "{count:<9} {:>12.0} {:>14.0} {:>22.2}",
            alerts as f64 / took,
            delivered as f64 / took,
            (cpu_s(&replicas) - before) / delivered as f64 * 1e6,
        );
    }
    println!();
}

/// The market of the last alert.
const LAST: usize = 150;

/// Publishes for a while, and then the batch that ends it; how many alerts that makes.
async fn publish(address: &str, seconds: Duration) -> usize {
    let channel = lodewatch_client::connect(address).await.unwrap();
    let mut batches = Batches::open(FeedServiceClient::new(channel)).await;
    let rounds = [share_of(0.9), share_of(0.3)];
    let rounds: Vec<_> = rounds
        .iter()
        .flat_map(|rows| (0..100).map(move |market| request(updates(market, 1, rows))))
        .collect();
    let (begin, mut sent, mut answered) = (Instant::now(), 0, 0);
    while begin.elapsed() < seconds {
        while !batches.send(&rounds[sent % rounds.len()]).await {
            batches.answered().await;
            answered += 1;
        }
        sent += 1;
    }
    while !batches.send(&request(updates(LAST, 1, &share_of(0.9)))).await {
        batches.answered().await;
        answered += 1;
    }
    sent += 1;
    while answered < sent {
        batches.answered().await;
        answered += 1;
    }
    sent
}

/// Reads up to the last alert; how many there were.
async fn read(address: String) -> usize {
    let last = request(updates(LAST, 1, &share_of(0.9)));
    let Some(pb::update::Update::Report(last)) = last.updates[0].update.clone() else {
        panic!("it is a report")
    };
    let channel = lodewatch_client::connect(&address).await.unwrap();
    let wanted =
        pb::SubscribeRequest { start: pb::Start::Oldest.into(), ..pb::SubscribeRequest::default() };
    let mut stream = AlertServiceClient::new(channel).subscribe(wanted).await.unwrap().into_inner();
    let mut read = 0;
    loop {
        let message = stream.message().await.unwrap().unwrap().message;
        let Some(Message::Alerts(alerts)) = message else { continue };
        read += alerts.alerts.len();
        let is_last =
            |alert: &pb::Alert| alert.mineral == last.mineral && alert.stage == last.stage;
        if alerts.alerts.iter().any(is_last) {
            return read;
        }
    }
}
