//! Publishers and subscribers that continue across all faults.

use crate::world::World;
use lodewatch_client::Publisher;
use lodewatch_proto::v1::{PublishRequest, PublishResponse, Start};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::recording::{Recording, Wish, by_client, finish};
use lodewatch_testkit::samples::swing;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

/// The market of each publisher.
const MINERALS: [&str; 3] = ["gallium", "indium", "bismuth"];
/// The market of the last batch of a round.
const LAST: &str = "cobalt";
const SUBSCRIBERS: usize = 6;
/// Minimum delay between two batches of a publisher.
const EVERY: Duration = Duration::from_millis(20);

/// A batch and its reply.
pub(crate) type Answered = (PublishRequest, PublishResponse);

/// The results of a round.
pub(crate) struct Outcome {
    pub(crate) acknowledged: Vec<Answered>,
    /// The time at which the publisher knew of an alert, by the alert's sequence.
    pub(crate) known: BTreeMap<u64, Instant>,
    pub(crate) recordings: Vec<Recording>,
    /// The longest wait of a publisher for one reply.
    pub(crate) longest_answer: Duration,
    /// The cursor at the end.
    pub(crate) end: String,
}

/// The results of a publisher.
#[derive(Default)]
struct Published {
    acknowledged: Vec<Answered>,
    known: BTreeMap<u64, Instant>,
    longest_answer: Duration,
}

/// Running publishers and subscribers.
pub(crate) struct Load {
    publishers: Vec<JoinHandle<Published>>,
    subscribers: Vec<JoinHandle<Recording>>,
    counts: Vec<watch::Receiver<usize>>,
    stop: CancellationToken,
    end_tx: watch::Sender<String>,
}

impl Load {
    /// Starts all at a cursor, each with the next replica.
    pub(crate) fn begin(world: &World, cursor: &str) -> Self {
        let (end_tx, end) = watch::channel(String::new());
        let stop = CancellationToken::new();
        let (mut publishers, mut counts) = (Vec::new(), Vec::new());
        for (number, mineral) in MINERALS.into_iter().enumerate() {
            let (count, counted) = watch::channel(0);
            let publisher = Publisher::new(world.servers(number));
            publishers.push(tokio::spawn(publish(publisher, mineral, count, stop.clone())));
            counts.push(counted);
        }
        let wish = Wish { start: Start::Cursor, cursor: cursor.to_owned(), ..Wish::all() };
        let subscribers = (0..SUBSCRIBERS)
            .map(|number| {
                tokio::spawn(by_client(world.addresses(number), wish.clone(), end.clone()))
            })
            .collect();
        Self { publishers, subscribers, counts, stop, end_tx }
    }

    /// Waits until every publisher has this number of further replies.
    pub(crate) async fn go_on(&mut self, answers: usize) {
        for count in &mut self.counts {
            let until = *count.borrow() + answers;
            let reached = timeout(PATIENCE, count.wait_for(|count| *count >= until)).await;
            reached.expect("every publisher gets through in time").expect("it publishes");
        }
    }

    /// Waits until all have ended, after a last batch.
    pub(crate) async fn end(self, world: &World, round: usize) -> Outcome {
        self.stop.cancel();
        let Published { mut acknowledged, mut known, mut longest_answer } = Published::default();
        for publisher in self.publishers {
            let published = timeout(PATIENCE, publisher).await.unwrap().unwrap();
            acknowledged.extend(published.acknowledged);
            known.extend(published.known);
            longest_answer = longest_answer.max(published.longest_answer);
        }
        let last = publish_last(world, round).await;
        let end = last.1.cursor.clone();
        acknowledged.push(last);
        self.end_tx.send_replace(end.clone());
        let mut recordings = Vec::new();
        for subscriber in self.subscribers {
            recordings.push(finish(subscriber).await);
        }
        Outcome { acknowledged, known, recordings, longest_answer, end }
    }
}

/// Publishes one batch that reaches every subscriber, the last of a round.
pub(crate) async fn publish_last(world: &World, round: usize) -> Answered {
    until_answered(&mut Publisher::new(world.servers(round)), request(LAST, round)).await
}

/// Publishes one batch after the other until it is stopped.
async fn publish(
    mut publisher: Publisher,
    mineral: &'static str,
    count: watch::Sender<usize>,
    stop: CancellationToken,
) -> Published {
    let mut all = Published::default();
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        pace.tick().await;
        let from = Instant::now();
        let request = request(mineral, all.acknowledged.len());
        let answered = until_answered(&mut publisher, request).await;
        all.longest_answer = all.longest_answer.max(from.elapsed());
        all.known.extend(answered.1.alert_sequences.iter().map(|one| (*one, Instant::now())));
        all.acknowledged.push(answered);
        count.send_replace(all.acknowledged.len());
    }
    all
}

/// Sends one batch under its id until there is a reply.
async fn until_answered(publisher: &mut Publisher, request: PublishRequest) -> Answered {
    loop {
        match publisher.publish(request.clone()).await {
            Ok(response) => return (request, response),
            Err(status) if status.code() == Code::Unavailable => {}
            Err(status) => panic!("a batch is rejected: {status}"),
        }
    }
}

pub(crate) fn request(mineral: &str, turn: usize) -> PublishRequest {
    PublishRequest {
        request_id: Uuid::new_v4().to_string(),
        feed: "faults".to_owned(),
        updates: vec![swing(mineral, turn)],
        exercise: false,
    }
}
