//! A stream of batches, many in flight at once, that reconnects by itself.

use super::backoff::{Backoff, retry_delay};
use super::servers::{Connection, Servers};
use super::streams::StreamEvent;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::publish_stream_response::Answer;
use lodewatch_proto::v1::{Credits, PublishRequest, PublishStreamRequest, PublishStreamResponse};
use prost::Message;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

/// Requests between this program and the connection; the server's credits bound what is sent.
const REQUESTS_MAX: usize = 16;
/// How long the server may take to answer a batch before the stream counts as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchAnswer {
    /// The id of the batch, as pushed or as [`PublishStream::push`] returned it.
    pub request_id: String,
    /// Accepted: durable and applied. Rejected: nothing of the batch was applied; the other batches
    /// are not affected.
    pub answer: Answer,
}

/// Publishes batches on one stream, over any number of connections and servers: each batch is
/// applied once, in order.
///
/// [`push`](Self::push) queues a batch, [`next`](Self::next) sends what the server's credits allow
/// and returns the answers in the order of the batches. Batches wait in memory until they are
/// answered; the caller bounds how many, by [`unanswered`](Self::unanswered).
///
/// ```no_run
/// # async fn publish(batches: Vec<lodewatch_proto::v1::PublishRequest>) -> Result<(), Box<dyn std::error::Error>> {
/// use lodewatch_client::{PublishStream, Servers, StreamEvent};
///
/// let mut stream = PublishStream::new(Servers::parse(["127.0.0.1:50061"])?);
/// for batch in batches {
///     stream.push(batch);
///     while stream.unanswered() >= 256 {
///         if let Some(StreamEvent::Message(answered)) = stream.next().await? {
///             println!("{}: {:?}", answered.request_id, answered.answer);
///         }
///     }
/// }
/// while stream.next().await?.is_some() {}
/// # Ok(())
/// # }
/// ```
pub struct PublishStream {
    servers: Servers,
    /// Which server to connect to; counts up with every lost stream.
    turn: usize,
    stream: Option<OpenStream>,
    backoff: Backoff,
    /// No connection is made before.
    not_before: Option<Instant>,
    /// Batches without an answer, oldest first; the open stream was sent the first
    /// `OpenStream::sent` of them.
    unanswered: VecDeque<PublishRequest>,
}

struct OpenStream {
    requests_tx: mpsc::Sender<PublishStreamRequest>,
    responses: Streaming<PublishStreamResponse>,
    credits: Credits,
    sent: usize,
}

impl PublishStream {
    /// Prepares a stream; the first [`next`](Self::next) opens it.
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            turn: 0,
            stream: None,
            backoff: Backoff::new(),
            not_before: None,
            unanswered: VecDeque::new(),
        }
    }

    /// Queues a batch and returns its request id; a batch without one gets a new one.
    pub fn push(&mut self, mut batch: PublishRequest) -> String {
        if batch.request_id.is_empty() {
            batch.request_id = Uuid::new_v4().to_string();
        }
        let request_id = batch.request_id.clone();
        self.unanswered.push_back(batch);
        request_id
    }

    /// How many batches wait for their answer, whether sent or not.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The next answer, or [`StreamEvent::Disconnected`]: then the next call waits for a moment,
    /// opens a stream to the next server and sends all unanswered batches again, under their
    /// request ids. `None` where no batch is unanswered.
    ///
    /// Cancel safe: no batch and no answer is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// A status that a retry cannot change, such as `PERMISSION_DENIED`. The batches stay
    /// unanswered.
    pub async fn next(&mut self) -> Result<Option<StreamEvent<BatchAnswer>>, Status> {
        if self.unanswered.is_empty() {
            return Ok(None);
        }
        match self.receive().await {
            Ok(answer) => {
                self.backoff = Backoff::new();
                let batch = self.unanswered.pop_front();
                let request_id = batch.expect("receive checks it").request_id;
                Ok(Some(StreamEvent::Message(Box::new(BatchAnswer { request_id, answer }))))
            }
            Err(status) => {
                self.stream = None;
                self.turn = self.turn.wrapping_add(1);
                let Some(at_least) = retry_delay(&status) else { return Err(status) };
                self.not_before = Some(Instant::now() + self.backoff.next_delay(at_least));
                Ok(Some(StreamEvent::Disconnected(status)))
            }
        }
    }

    /// Sends what the credits allow until the oldest unanswered batch is answered.
    async fn receive(&mut self) -> Result<Answer, Status> {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        if self.stream.is_none() {
            let opened = timeout(ANSWER_TIMEOUT, open(&self.servers, self.turn)).await;
            self.stream = Some(opened.unwrap_or_else(|_| Err(no_answer()))?);
        }
        let stream = self.stream.as_mut().expect("it was opened just now");
        loop {
            stream.send(&self.unanswered).await?;
            let message = timeout(ANSWER_TIMEOUT, stream.responses.message()).await;
            let message = message.unwrap_or_else(|_| Err(no_answer()))?;
            let message =
                message.ok_or_else(|| Status::unavailable("the server ended the stream"))?;
            let granted = message.credits.unwrap_or_default();
            stream.credits.batches = stream.credits.batches.saturating_add(granted.batches);
            stream.credits.bytes = stream.credits.bytes.saturating_add(granted.bytes);
            if let Some(answer) = message.answer {
                let sent = stream.sent.checked_sub(1);
                stream.sent = sent.ok_or_else(|| {
                    Status::internal("the server answered a batch that was not sent")
                })?;
                return Ok(answer);
            }
        }
    }
}

async fn open(servers: &Servers, turn: usize) -> Result<OpenStream, Status> {
    let connection = servers.connect_turn(turn).await;
    let connection: Connection =
        connection.map_err(|error| Status::unavailable(error.to_string()))?;
    let (requests_tx, requests) = mpsc::channel(REQUESTS_MAX);
    let responses =
        FeedServiceClient::new(connection).publish_stream(ReceiverStream::new(requests)).await?;
    let (responses, credits) = (responses.into_inner(), Credits::default());
    Ok(OpenStream { requests_tx, responses, credits, sent: 0 })
}

impl OpenStream {
    /// Sends the batches after the first `sent`, as far as the credits reach. Cancel safe: a batch
    /// counts as sent in the same step that hands it to the connection.
    async fn send(&mut self, unanswered: &VecDeque<PublishRequest>) -> Result<(), Status> {
        while let Some(batch) = unanswered.get(self.sent) {
            let bytes = u64::try_from(batch.encoded_len()).unwrap_or(u64::MAX);
            // A batch larger than all credits is sent on its own, so that the server answers it.
            let is_alone = self.sent == 0 && self.credits.batches > 0;
            if self.credits.batches == 0 || (self.credits.bytes < bytes && !is_alone) {
                return Ok(());
            }
            let permit = self.requests_tx.reserve().await;
            let permit = permit.map_err(|_| Status::unavailable("the connection is lost"))?;
            permit.send(PublishStreamRequest { batch: Some(batch.clone()) });
            self.credits.batches = self.credits.batches.saturating_sub(1);
            self.credits.bytes = self.credits.bytes.saturating_sub(bytes);
            self.sent = self.sent.saturating_add(1);
        }
        Ok(())
    }
}

fn no_answer() -> Status {
    Status::unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}
