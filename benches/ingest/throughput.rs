//! Batches as fast as they are answered: by unary calls, or on one stream as its credits allow.

use crate::shared::batches::Batches;
use crate::shared::lodewatch::{request, share_of, updates};
use crate::shared::report::Row;
use lodewatch_proto::v1 as pb;
use lodewatch_testkit::process::Process;
use pb::feed_service_client::FeedServiceClient;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Updates in a batch.
const BATCH: usize = 100;
/// Unary batches under way.
const IN_FLIGHT: usize = 16;
/// Other shares each time, so that nothing is unchanged; the same for all servers.
const TURNS: u8 = 20;
const WARM_UP: Duration = Duration::from_millis(500);

/// How batches are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Unary,
    Streamed,
}

/// Publishes for a while.
pub(crate) async fn measure(
    system: &'static str,
    process: &Process,
    way: Way,
    seconds: Duration,
    note: &str,
) -> Row {
    let feed = FeedServiceClient::new(lodewatch_client::connect(&process.address).await.unwrap());
    let batches: Vec<pb::PublishRequest> = (0..TURNS)
        .map(|turn| request(updates(0, BATCH, &share_of(0.70 + f64::from(turn) / 100.0))))
        .collect();
    let mut sender = match way {
        Way::Unary => Sender::Unary(feed, JoinSet::new()),
        Way::Streamed => Sender::Streamed(Batches::open(feed).await),
    };
    let mut batches = batches.iter().cycle().peekable();
    let (begin, mut done, mut warm) = (Instant::now(), 0_usize, None);
    while begin.elapsed() < WARM_UP + seconds {
        let next = batches.peek().expect("it goes round");
        if sender.send(next).await {
            batches.next();
        } else {
            sender.answered().await;
            done += BATCH;
        }
        if warm.is_none() && begin.elapsed() >= WARM_UP {
            warm = Some((done, process.cpu_s(), Instant::now()));
        }
    }
    let (before, cpu_s, since) = warm.unwrap();
    let updates = (done - before) as f64;
    let memory = process.memory_kb() * 1024 / 1_000_000;
    Row {
        system,
        mode: "throughput",
        subscribers: 0,
        streams_per_connection: usize::from(way == Way::Streamed),
        deliveries_per_s: updates / since.elapsed().as_secs_f64(),
        server_cpu_s_per_million: (process.cpu_s() - cpu_s) / updates * 1e6,
        p50_us: None,
        p99_us: None,
        p999_us: None,
        bytes_per_idle_subscriber: None,
        note: format!("{note}; {memory} MB at the end"),
    }
}

enum Sender {
    Unary(FeedServiceClient<Channel>, JoinSet<()>),
    Streamed(Batches),
}

impl Sender {
    /// Begins to send a batch; `false` where as many as may be are under way.
    async fn send(&mut self, batch: &pb::PublishRequest) -> bool {
        match self {
            Self::Unary(_, calls) if calls.len() >= IN_FLIGHT => false,
            Self::Unary(feed, calls) => {
                let (mut feed, batch) = (feed.clone(), batch.clone());
                calls.spawn(async move {
                    feed.publish(batch).await.unwrap();
                });
                true
            }
            Self::Streamed(batches) => batches.send(batch).await,
        }
    }

    /// Waits until one more is answered.
    async fn answered(&mut self) {
        match self {
            Self::Unary(_, calls) => calls.join_next().await.unwrap().unwrap(),
            Self::Streamed(batches) => batches.answered().await,
        }
    }
}
