//! Load on a server that ends in the middle of it: publishers that send again what was not
//! answered, by calls and by streams, and subscribers that resume where they were.

use lodewatch::grpc::json::from_json;
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::publish_stream_response::Answer;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    Alert, PublishRequest, PublishResponse, PublishStreamRequest, Start, SubscribeRequest,
};
use lodewatch_testkit::PATIENCE;
use lodewatch_testkit::process::command;
use lodewatch_testkit::samples::swing;
use lodewatch_testkit::server::batch;
use prost::Message as _;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The limit of answers that wait to be read; publishers wait at the limit.
const ANSWERS_MAX: usize = 8;

/// Batches that one stream has under way; many less than its credits in bytes.
const UNDER_WAY_MAX: usize = 8;

/// A batch that was answered: durable and applied.
pub(crate) struct Acknowledged {
    /// Whose it is.
    pub(crate) mineral: &'static str,
    pub(crate) request: PublishRequest,
    pub(crate) response: PublishResponse,
}

impl Acknowledged {
    pub(crate) fn id(&self) -> Uuid {
        self.request.request_id.parse().unwrap()
    }
}

/// What publishers were answered, in the order in which each of them was.
pub(crate) struct Answers {
    answers: mpsc::Receiver<Acknowledged>,
    count: watch::Sender<usize>,
}

impl Answers {
    /// The next one; fails where none comes.
    pub(crate) async fn next(&mut self) -> Acknowledged {
        let next = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        self.count.send_modify(|count| *count += 1);
        next.expect("an answer in time").expect("publishers go on until the connection is lost")
    }

    /// So many.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Acknowledged> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }
}

/// Publishes and subscribes until the connection is lost, which `until` sees to; gives the answers
/// that it left.
pub(crate) async fn load(
    channel: &Channel,
    publishers: &mut Vec<Publisher>,
    subscribers: &mut Vec<Subscriber>,
    until: impl AsyncFnOnce(&mut Answers),
) -> Vec<Acknowledged> {
    let (answer_tx, answers) = mpsc::channel(ANSWERS_MAX);
    let (count, counted) = watch::channel(0);
    let mut publishing = JoinSet::new();
    for mut publisher in publishers.drain(..) {
        let (channel, answer_tx) = (channel.clone(), answer_tx.clone());
        publishing.spawn(async move {
            publisher.publish_until_lost(channel, answer_tx).await;
            publisher
        });
    }
    drop(answer_tx);
    let mut subscribing = JoinSet::new();
    for mut subscriber in subscribers.drain(..) {
        let (channel, counted) = (channel.clone(), counted.clone());
        subscribing.spawn(async move {
            subscriber.read_until_lost(channel, counted).await;
            subscriber
        });
    }
    let mut answers = Answers { answers, count };
    until(&mut answers).await;
    let Answers { mut answers, count } = answers;
    // Subscribers that wait for more stop waiting.
    drop(count);
    let mut left = Vec::new();
    while let Some(more) = answers.recv().await {
        left.push(more);
    }
    publishers.extend(publishing.join_all().await);
    subscribers.extend(subscribing.join_all().await);
    left
}

/// By which call.
#[derive(Clone, Copy)]
enum Way {
    Publish,
    PublishStream,
}

/// Sends its batches in order; those that were not answered are sent again, in the same order and
/// under the same ids.
pub(crate) struct Publisher {
    mineral: &'static str,
    way: Way,
    /// How many batches it has made.
    made: usize,
    unanswered: VecDeque<PublishRequest>,
}

impl Publisher {
    /// One for each mineral: calls and streams in turn.
    pub(crate) fn of_each(minerals: &[&'static str]) -> Vec<Self> {
        let ways = [Way::Publish, Way::PublishStream].into_iter().cycle();
        let one = |(mineral, way): (&&'static str, Way)| Self {
            mineral,
            way,
            made: 0,
            unanswered: VecDeque::new(),
        };
        minerals.iter().zip(ways).map(one).collect()
    }

    async fn publish_until_lost(
        &mut self,
        channel: Channel,
        answer_tx: mpsc::Sender<Acknowledged>,
    ) {
        match self.way {
            Way::Publish => self.publish(channel, &answer_tx).await,
            Way::PublishStream => self.publish_stream(channel, &answer_tx).await,
        }
    }

    async fn publish(&mut self, channel: Channel, answer_tx: &mpsc::Sender<Acknowledged>) {
        let mut feed = FeedServiceClient::new(channel);
        while let Ok(response) = feed.publish(self.unanswered(0)).await {
            self.answered(response.into_inner(), answer_tx).await;
        }
    }

    /// Keeps as many batches under way as the credits allow, up to a bound.
    async fn publish_stream(&mut self, channel: Channel, answer_tx: &mpsc::Sender<Acknowledged>) {
        let (send, batches) = mpsc::channel(UNDER_WAY_MAX);
        let mut feed = FeedServiceClient::new(channel);
        let Ok(answers) = feed.publish_stream(ReceiverStream::new(batches)).await else { return };
        let mut answers = answers.into_inner();
        let (mut under_way, mut credits) = (0, 0);
        while let Ok(Some(message)) = answers.message().await {
            credits += message.credits.unwrap().batches;
            match message.answer {
                // The first message.
                None => {}
                Some(Answer::Accepted(response)) => {
                    under_way -= 1;
                    self.answered(response, answer_tx).await;
                }
                Some(Answer::Rejected(error)) => {
                    assert_eq!(error.code, i32::from(Code::Unavailable), "a drain: {error:?}");
                    return;
                }
            }
            while under_way < UNDER_WAY_MAX && credits > 0 {
                let batch = Some(self.unanswered(under_way));
                if send.send(PublishStreamRequest { batch }).await.is_err() {
                    return;
                }
                under_way += 1;
                credits -= 1;
            }
        }
    }

    /// One of those that were not answered, by their order; made where it is new.
    fn unanswered(&mut self, at: usize) -> PublishRequest {
        while self.unanswered.len() <= at {
            self.unanswered.push_back(batch(vec![swing(self.mineral, self.made)]));
            self.made += 1;
        }
        self.unanswered[at].clone()
    }

    async fn answered(
        &mut self,
        response: PublishResponse,
        answer_tx: &mpsc::Sender<Acknowledged>,
    ) {
        let request = self.unanswered.pop_front().expect("what is answered was sent");
        assert_eq!(response.request_id, request.request_id, "answers come in order");
        answer_tx.send(Acknowledged { mineral: self.mineral, request, response }).await.unwrap();
    }
}

/// Alerts in order, by their number and a digest of all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) alerts: u64,
    digest: u64,
}

impl Record {
    fn add(&mut self, alert: &Alert) {
        self.alerts += 1;
        self.digest = xxh3_64_with_seed(&alert.encode_to_vec(), self.digest);
    }

    /// What a subscriber from the first entry on would have been handed.
    pub(crate) fn of_replay(dir: &Path) -> Self {
        let mut record = Self::default();
        lines(dir, &["replay", "--output", "json"], |alert| record.add(&from_json(alert).unwrap()));
        record
    }
}

/// Keeps a record of what it was handed, and its place.
#[derive(Default)]
pub(crate) struct Subscriber {
    cursor: String,
    pub(crate) seen: Record,
    /// Whenever it has caught up, it reads nothing until so many further batches were answered.
    rests: usize,
    pub(crate) fell_behind: u64,
}

impl Subscriber {
    /// A subscriber that reads without limit.
    pub(crate) fn prompt() -> Self {
        Self::default()
    }

    /// One that rests for so many batches whenever it has caught up.
    pub(crate) fn slow(rests: usize) -> Self {
        Self { rests, ..Self::default() }
    }

    /// Reads on from its place to the head.
    pub(crate) async fn read_to_head(&mut self, channel: Channel) {
        self.read(channel, None).await;
    }

    /// Reads on from its place until the connection is lost; rests for as many batches as it
    /// should, as they are counted.
    pub(crate) async fn read_until_lost(
        &mut self,
        channel: Channel,
        answered: watch::Receiver<usize>,
    ) {
        self.read(channel, Some(answered)).await;
    }

    /// Reads on from its place, until the connection is lost; where batches are not counted, to the
    /// head.
    async fn read(&mut self, channel: Channel, answered: Option<watch::Receiver<usize>>) {
        let start = if self.cursor.is_empty() { Start::Oldest } else { Start::Cursor };
        let (start, cursor) = (start.into(), self.cursor.clone());
        let request = SubscribeRequest { start, cursor, ..SubscribeRequest::default() };
        let Ok(stream) = AlertServiceClient::new(channel).subscribe(request).await else { return };
        let mut stream = stream.into_inner();
        while let Ok(Ok(Some(response))) = tokio::time::timeout(PATIENCE, stream.message()).await {
            self.cursor = response.cursor;
            match (response.message, &answered) {
                (Some(Message::Alerts(alerts)), _) => {
                    alerts.alerts.iter().for_each(|alert| self.seen.add(alert));
                }
                (Some(Message::FellBehind(_)), _) => self.fell_behind += 1,
                (Some(Message::CaughtUp(_)), None) => return,
                (Some(Message::CaughtUp(_)), Some(answered)) => {
                    let until = *answered.borrow() + self.rests;
                    // An error where no more are counted, since the server ends.
                    let _ = answered.clone().wait_for(|count| *count >= until).await;
                }
                _ => {}
            }
        }
    }
}

pub(crate) async fn assert_same_answers(
    channel: &Channel,
    acknowledged: impl IntoIterator<Item = &Acknowledged>,
) {
    let mut feed = FeedServiceClient::new(channel.clone());
    for Acknowledged { request, response, .. } in acknowledged {
        let again = feed.publish(request.clone()).await.unwrap().into_inner();
        assert_eq!(again, *response, "a retry gets the first answer");
    }
}

/// Every acknowledged batch is one entry, and those of one publisher are in the order in which they
/// were sent; gives the number of batches in the journal.
pub(crate) fn assert_each_once_in_order<Publisher: Ord>(
    dir: &Path,
    acknowledged: impl IntoIterator<Item = (Publisher, Uuid)>,
) -> usize {
    let entries = entries(dir);
    let mut last = BTreeMap::new();
    for (publisher, id) in acknowledged {
        let entry = *entries.get(&id).expect("what was acknowledged is in the journal");
        let before = last.insert(publisher, entry);
        assert!(before < Some(entry), "in the order in which one publisher sent them");
    }
    entries.len()
}

/// The entries of all batches, by the id of the request; none is there twice.
fn entries(dir: &Path) -> BTreeMap<Uuid, u64> {
    let mut entries = BTreeMap::new();
    lines(dir, &["export"], |line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        if let Some(id) = entry["batch"]["requestId"].as_str() {
            let at = entry["entry"].as_str().unwrap().parse().unwrap();
            assert_eq!(entries.insert(id.parse().unwrap(), at), None, "twice in the journal");
        }
    });
    entries
}

/// Every line that `lodewatch journal` prints.
fn lines(dir: &Path, arguments: &[&str], mut each: impl FnMut(&str)) {
    let mut command = command();
    let command = command.args(["journal", "--data-dir"]).arg(dir).args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.for_each(|line| each(&line.unwrap()));
    assert!(child.wait().unwrap().success());
}
