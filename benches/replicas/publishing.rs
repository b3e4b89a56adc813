//! The cost of publishing through one replica.

use crate::servers::Servers;
use crate::shared::lodewatch::{request, serve, share_of, updates};
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use lodewatch::grpc::{parse, pb};
use lodewatch::journal::{JetStreamJournal, Journal, codec};
use lodewatch_core::domain::{Payload, Timestamp};
use lodewatch_testkit::process::Process;
use pb::feed_service_client::FeedServiceClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Batches in flight.
const IN_FLIGHT: [usize; 3] = [1, 16, 256];
/// The number of turns; the report has the medians.
const TURNS: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// The way of publishing.
#[derive(Clone)]
enum Publisher {
    /// To NATS itself, and awaits the acknowledgement.
    Bare(jetstream::Context, Bytes),
    /// To a journal in this process.
    Journal(Arc<JetStreamJournal>, Payload),
    /// To a server, by gRPC.
    Server(FeedServiceClient<tonic::transport::Channel>, pb::PublishRequest),
}

impl Publisher {
    async fn publish(&mut self) {
        match self {
            Self::Bare(context, bytes) => {
                context.publish("BARE.journal", bytes.clone()).await.unwrap().await.unwrap();
            }
            Self::Journal(journal, payload) => {
                journal.append(Timestamp::MIN, payload.clone()).await.unwrap();
            }
            Self::Server(feed, batch) => {
                feed.publish(batch.clone()).await.unwrap();
            }
        }
    }
}

pub(crate) async fn measure(seconds: Duration) {
    println!("batches of one update, acknowledged; every write synced");
    println!(
        "{:<12} {:>9} {:>32} {:>32} {:>32} {:>8} {:>8}",
        "NATS",
        "in flight",
        "async-nats /s  p50  p99 µs",
        "journal",
        "replica by gRPC",
        "journal",
        "replica"
    );
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let embedded = serve(dir.path(), "");
    let batch = request(updates(0, 1, &share_of(0.7)));
    for count in [1, 3] {
        let servers = Servers::start(count).await;
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let replica = serve(dir.path(), &servers.toml("REPLICA"));
        let bare = bare(&servers, count, &batch).await;
        let lock = tempfile::tempdir().unwrap();
        let journal =
            JetStreamJournal::open(&servers.settings("JOURNAL"), lock.path()).await.unwrap();
        let journal = Publisher::Journal(Arc::new(journal), payload(&batch));
        let served = server(&replica, &batch).await;
        for in_flight in IN_FLIGHT {
            let mut rates = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..TURNS {
                for (rates, publisher) in rates.iter_mut().zip([&bare, &journal, &served]) {
                    rates.push(rate(publisher, in_flight, seconds).await);
                }
            }
            let [bare, journal, served] = rates.map(median);
            println!(
                "{:<12} {in_flight:>9} {} {} {} {:>8.2} {:>8.2}",
                format!("{count}, R{count}"),
                shown(bare),
                shown(journal),
                shown(served),
                bare.per_second / journal.per_second,
                bare.per_second / served.per_second,
            );
        }
    }
    let served = server(&embedded, &batch).await;
    for in_flight in IN_FLIGHT {
        let rate = rate(&served, in_flight, seconds).await;
        println!("{:<12} {in_flight:>9} {:>32} {:>32} {}", "sqlite", "", "", shown(rate));
    }
    println!(
        "the last two columns: time per batch relative to async-nats alone  (target <= 1.3 over one server)\n"
    );
}

async fn bare(servers: &Servers, replicas: usize, batch: &pb::PublishRequest) -> Publisher {
    let client = async_nats::connect(servers.urls()).await.unwrap();
    let context = jetstream::new(client);
    let config = stream::Config {
        name: "BARE".to_owned(),
        subjects: vec!["BARE.journal".to_owned()],
        num_replicas: replicas,
        ..stream::Config::default()
    };
    context.create_stream(config).await.unwrap();
    Publisher::Bare(context, codec::encode(&payload(batch)).unwrap().into())
}

async fn server(process: &Process, batch: &pb::PublishRequest) -> Publisher {
    let channel = lodewatch_client::connect(&process.address).await.unwrap();
    Publisher::Server(FeedServiceClient::new(channel), batch.clone())
}

fn payload(batch: &pb::PublishRequest) -> Payload {
    Payload::Batch(parse::publish(batch, uuid::Uuid::new_v4).unwrap())
}

async fn rate(publisher: &Publisher, in_flight: usize, seconds: Duration) -> Rate {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let mut publisher = publisher.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while begin.elapsed() < seconds {
                let begin = Instant::now();
                publisher.publish().await;
                latencies.push(begin.elapsed());
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies[latencies.len() * percent / 100];
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    Rate { per_second, p50: at(50), p99: at(99) }
}

fn median(mut rates: Vec<Rate>) -> Rate {
    rates.sort_unstable_by(|one, other| one.per_second.total_cmp(&other.per_second));
    rates[rates.len() / 2]
}

fn shown(rate: Rate) -> String {
    format!("{:>12.0} {:>9} {:>9}", rate.per_second, rate.p50.as_micros(), rate.p99.as_micros())
}
