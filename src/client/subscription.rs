//! A subscription that resumes by itself: the loop that every subscriber needs, in any language.

use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{Start, SubscribeRequest, SubscribeResponse};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// Heartbeats that may be missing before a stream counts as dead.
const HEARTBEATS_MISSED_MAX: u32 = 2;
/// Seconds between heartbeats where the request does not say.
const HEARTBEAT_SECONDS: u32 = 15;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What a subscription hands over.
#[derive(Debug)]
pub enum Resumed {
    /// A message of the stream. It counts as handled when the next one is asked for.
    Message(Box<SubscribeResponse>),
    /// The stream was lost for this reason; the subscription is about to resume.
    Lost(Status),
}

/// A stream of messages over any number of connections: nothing twice, nothing left out.
pub struct Subscription {
    client: AlertServiceClient<Channel>,
    request: SubscribeRequest,
    stream: Option<Streaming<SubscribeResponse>>,
    /// Where to resume from once the message handed over last is handled.
    handled: Option<String>,
    backoff: Duration,
}

impl Subscription {
    /// Prepares a subscription; the first [`Subscription::next`] opens it.
    pub fn new(channel: Channel, request: SubscribeRequest) -> Self {
        let client = AlertServiceClient::new(channel);
        Self { client, request, stream: None, handled: None, backoff: BACKOFF_MIN }
    }

    /// The next message, or word that the stream was lost; after that word the next call waits a little and resumes.
    ///
    /// # Errors
    ///
    /// What trying again cannot mend: a request that is refused, a cursor that is lost.
    pub async fn next(&mut self) -> Result<Resumed, Status> {
        if let Some(cursor) = self.handled.take() {
            self.request.start = Start::Cursor.into();
            self.request.cursor = cursor;
        }
        match self.receive().await {
            Ok(message) => {
                self.backoff = BACKOFF_MIN;
                if let Some(Message::GoAway(away)) = &message.message {
                    self.backoff =
                        Duration::from_millis(u64::from(away.reconnect_after_ms)).min(BACKOFF_MAX);
                }
                // Empty while a snapshot is on its way: only the whole can be asked for again.
                self.handled = Some(message.cursor.clone()).filter(|cursor| !cursor.is_empty());
                Ok(Resumed::Message(Box::new(message)))
            }
            Err(status) if can_resume(&status) => {
                self.stream = None;
                tokio::time::sleep(self.backoff).await;
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                Ok(Resumed::Lost(status))
            }
            Err(status) => Err(status),
        }
    }

    async fn receive(&mut self) -> Result<SubscribeResponse, Status> {
        let interval = match self.request.heartbeat_seconds {
            0 => HEARTBEAT_SECONDS,
            seconds => seconds,
        };
        let silence = Duration::from_secs(u64::from(interval)) * HEARTBEATS_MISSED_MAX;
        let stream = if let Some(stream) = &mut self.stream {
            stream
        } else {
            let opened = self.client.subscribe(self.request.clone()).await?;
            self.stream.insert(opened.into_inner())
        };
        match tokio::time::timeout(silence, stream.message()).await {
            Ok(Ok(Some(message))) => Ok(message),
            Ok(Ok(None)) => Err(Status::unavailable("the server ended the stream")),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::unavailable("two heartbeats are missing")),
        }
    }
}

/// Whether the same call may succeed on another connection: a lost one shows as any of these.
fn can_resume(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal)
}
