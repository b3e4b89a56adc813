//! Batches as fast as they are answered: by unary calls, or on one stream as its credits allow.

use crate::shared::lodewatch::{request, share_of, updates};
use crate::shared::process::{Process, memory_bytes};
use crate::shared::report::Row;
use lodewatch::client;
use lodewatch::grpc::pb;
use pb::feed_service_client::FeedServiceClient;
use pb::publish_stream_response::Answer;
use prost::Message;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// Updates in a batch.
const BATCH: usize = 100;
/// Unary batches under way.
const IN_FLIGHT: usize = 16;
/// Other shares each time, so that nothing is unchanged; the same for all servers.
const TURNS: u8 = 20;
/// No server grants credits for more batches at once.
const CREDITS_MAX: usize = 8192;
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
    let feed = FeedServiceClient::new(client::connect(&process.address).await.unwrap());
    let batches: Vec<pb::PublishRequest> = (0..TURNS)
        .map(|turn| request(updates(0, BATCH, &share_of(0.70 + f64::from(turn) / 100.0))))
        .collect();
    let mut sender = match way {
        Way::Unary => Sender::Unary(feed, JoinSet::new()),
        Way::Streamed => Sender::Streamed(Stream::open(feed).await),
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
    let memory = memory_bytes(process.child.id()) / 1_000_000;
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
    Streamed(Stream),
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
            Self::Streamed(stream) => stream.send(batch).await,
        }
    }

    /// Waits until one more is answered.
    async fn answered(&mut self) {
        match self {
            Self::Unary(_, calls) => calls.join_next().await.unwrap().unwrap(),
            Self::Streamed(stream) => stream.answered().await,
        }
    }
}

/// A stream of batches, and what may be sent on it.
struct Stream {
    batches: mpsc::Sender<pb::PublishStreamRequest>,
    answers: Streaming<pb::PublishStreamResponse>,
    credits: pb::Credits,
}

impl Stream {
    async fn open(mut feed: FeedServiceClient<Channel>) -> Self {
        let (batches, sent) = mpsc::channel(CREDITS_MAX);
        let answers = feed.publish_stream(ReceiverStream::new(sent)).await.unwrap().into_inner();
        let mut stream = Self { batches, answers, credits: pb::Credits::default() };
        assert_eq!(stream.next().await, None, "the first message has credits alone");
        stream
    }

    async fn send(&mut self, batch: &pb::PublishRequest) -> bool {
        let bytes = batch.encoded_len() as u64;
        if self.credits.batches == 0 || self.credits.bytes < bytes {
            return false;
        }
        self.credits.batches -= 1;
        self.credits.bytes -= bytes;
        self.batches.send(pb::PublishStreamRequest { batch: Some(batch.clone()) }).await.unwrap();
        true
    }

    async fn answered(&mut self) {
        let answer = self.next().await;
        assert!(matches!(answer, Some(Answer::Accepted(_))), "{answer:?}");
    }

    async fn next(&mut self) -> Option<Answer> {
        let message = self.answers.message().await.unwrap().expect("the server goes on");
        let granted = message.credits.unwrap_or_default();
        self.credits.batches += granted.batches;
        self.credits.bytes += granted.bytes;
        message.answer
    }
}
