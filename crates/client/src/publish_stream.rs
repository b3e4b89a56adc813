//! A stream of batches, many in flight at once, that reconnects by itself.

use super::backoff::{Backoff, retry_delay};
use super::servers::{Connection, Servers};
use super::streams::StreamEvent;
use super::too_large::explain_too_large;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::publish_stream_response::Answer;
use lodewatch_proto::v1::{PublishRequest, PublishStreamRequest, PublishStreamResponse};
use prost::Message;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};
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
    /// Accepted: durable and applied. Rejected for good: sending it again would not help. The other
    /// batches are not affected.
    pub answer: Answer,
}

/// Publishes batches on one stream, over any number of connections and servers. Each batch is
/// applied at most once, and is sent until the server accepts it or rejects it for good.
///
/// Batches are sent and answered in order. A batch that the server rejects for the moment, because
/// it drains, lacks disk space or limits the rate, is sent again, and may be applied after later
/// ones.
///
/// A server ends a stream that is idle or old; the next batch then opens a new one.
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
    /// How many batches the server still accepts.
    batches: u64,
    /// How many bytes the server still accepts. Below zero after a batch larger than all credits.
    bytes: i64,
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

    /// The batches without an answer, oldest first. After an error of [`next`](Self::next) the
    /// first of those sent is what the server did not accept, such as a batch that is too large.
    pub fn into_unanswered(self) -> Vec<PublishRequest> {
        self.unanswered.into()
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
        match self.receive().await.map_err(explain_too_large) {
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

    /// Sends what the credits allow until the oldest unanswered batch is answered. If the server
    /// ended the stream because it was idle or old, that is no failure: a new one continues.
    async fn receive(&mut self) -> Result<Answer, Status> {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        let was_open = self.stream.is_some();
        match self.receive_on_stream().await {
            Err(status) if was_open && is_over(&status) => {
                self.stream = None;
                self.receive_on_stream().await
            }
            received => received,
        }
    }

    async fn receive_on_stream(&mut self) -> Result<Answer, Status> {
        if self.stream.is_none() {
            let opened = timeout(ANSWER_TIMEOUT, open(&self.servers, self.turn)).await;
            self.stream = Some(opened.unwrap_or_else(|_| Err(no_answer()))?);
        }
        let stream = self.stream.as_mut().expect("it was opened just now");
        loop {
            let message = timeout(ANSWER_TIMEOUT, stream.exchange(&self.unanswered)).await;
            let message = message.unwrap_or_else(|_| Err(no_answer()))?;
            let Some(answer) = message.answer else { continue };
            let sent = stream.sent.checked_sub(1);
            stream.sent = sent
                .ok_or_else(|| Status::internal("the server answered a batch that was not sent"))?;
            return match temporary_rejection(&answer) {
                Some(status) => Err(status),
                None => Ok(answer),
            };
        }
    }
}

/// Whether the server ended the stream for its idleness or its age, not for a failure.
fn is_over(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| matches!(info.reason.as_str(), "STREAM_IDLE" | "MAX_AGE"))
}

/// The status of a batch that was rejected only for the moment, with the delay that the server asks
/// for.
fn temporary_rejection(answer: &Answer) -> Option<Status> {
    let Answer::Rejected(error) = answer else { return None };
    let code = Code::from_i32(error.code);
    if error.retry_after_ms == 0 && code != Code::Unavailable {
        return None;
    }
    let delay = Duration::from_millis(u64::from(error.retry_after_ms));
    let details = ErrorDetails::with_retry_info(Some(delay));
    Some(Status::with_error_details(code, error.message.clone(), details))
}

async fn open(servers: &Servers, turn: usize) -> Result<OpenStream, Status> {
    let connection = servers.connect_turn(turn).await;
    let connection: Connection =
        connection.map_err(|error| Status::unavailable(error.to_string()))?;
    let (requests_tx, requests) = mpsc::channel(REQUESTS_MAX);
    let responses =
        FeedServiceClient::new(connection).publish_stream(ReceiverStream::new(requests)).await?;
    Ok(OpenStream { requests_tx, responses: responses.into_inner(), batches: 0, bytes: 0, sent: 0 })
}

impl OpenStream {
    /// Sends what the credits allow, and receives one message. Cancel safe.
    async fn exchange(
        &mut self,
        unanswered: &VecDeque<PublishRequest>,
    ) -> Result<PublishStreamResponse, Status> {
        self.send(unanswered).await;
        let message = self.responses.message().await?;
        let message = message.ok_or_else(|| Status::unavailable("the server ended the stream"))?;
        let granted = message.credits.unwrap_or_default();
        self.batches = self.batches.saturating_add(granted.batches);
        self.bytes = self.bytes.saturating_add_unsigned(granted.bytes);
        Ok(message)
    }

    /// Sends the batches after the first `sent`, as far as the credits reach. If the stream has
    /// ended, the server's status says why: the caller receives it next. Cancel safe: a batch
    /// counts as sent in the same step that passes it to the connection.
    async fn send(&mut self, unanswered: &VecDeque<PublishRequest>) {
        while let Some(batch) = unanswered.get(self.sent) {
            let bytes = i64::try_from(batch.encoded_len()).unwrap_or(i64::MAX);
            // A batch larger than all credits is sent on its own, so that the server answers it.
            let is_alone = self.sent == 0 && self.batches > 0;
            if self.batches == 0 || (self.bytes < bytes && !is_alone) {
                return;
            }
            let Ok(permit) = self.requests_tx.reserve().await else { return };
            permit.send(PublishStreamRequest { batch: Some(batch.clone()) });
            self.batches = self.batches.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.sent = self.sent.saturating_add(1);
        }
    }
}

fn no_answer() -> Status {
    Status::unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}
