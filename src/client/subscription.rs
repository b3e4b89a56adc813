//! A subscription that resumes by itself: the loop that every subscriber needs, in any language.

use super::backoff::{Backoff, passing};
use super::servers::Servers;
use crate::grpc::pb::alert_service_client::AlertServiceClient;
use crate::grpc::pb::subscribe_response::Message;
use crate::grpc::pb::{Start, SubscribeRequest, SubscribeResponse};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

/// Heartbeats that may be missing before a stream counts as dead.
const HEARTBEATS_MISSED_MAX: u32 = 2;
/// Seconds between heartbeats where the request does not say.
const HEARTBEAT_SECONDS: u32 = 15;

/// What a subscription hands over.
#[derive(Debug)]
pub enum Resumed {
    /// A message of the stream. It counts as handled when the next one is asked for.
    Message(Box<SubscribeResponse>),
    /// The stream was lost for this reason; the subscription is about to resume.
    Lost(Status),
}

/// A stream of messages over any number of connections and servers: every alert once, in order, none left out.
///
/// A snapshot is a state, not news: one that is cut off is handed over again as a whole, from its `Opened` on.
pub struct Subscription {
    servers: Servers,
    /// Whose turn it is.
    turn: usize,
    /// What to ask for: from the last cursor that was handled, once there is one.
    request: SubscribeRequest,
    stream: Option<Streaming<SubscribeResponse>>,
    /// Where to resume from once the message handed over last is handled.
    handled: Option<String>,
    backoff: Backoff,
    /// No connection is made before.
    not_before: Option<Instant>,
}

impl Subscription {
    /// Prepares a subscription; the first [`Subscription::next`] opens it.
    pub fn new(servers: Servers, request: SubscribeRequest) -> Self {
        Self {
            servers,
            turn: 0,
            request,
            stream: None,
            handled: None,
            backoff: Backoff::new(),
            not_before: None,
        }
    }

    /// The next message, or word that the stream was lost. After that word the next call waits a little, resumes with the
    /// next server, and goes on with what was not handed over yet.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
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
                self.backoff = Backoff::new();
                if let Some(Message::GoAway(away)) = &message.message {
                    let wait = Duration::from_millis(u64::from(away.reconnect_after_ms));
                    self.leave(wait);
                }
                // Empty while a snapshot is on its way: only the whole can be asked for again.
                self.handled = Some(message.cursor.clone()).filter(|cursor| !cursor.is_empty());
                Ok(Resumed::Message(Box::new(message)))
            }
            Err(status) => match passing(&status) {
                Some(wait) => {
                    self.leave(wait);
                    Ok(Resumed::Lost(status))
                }
                None => Err(status),
            },
        }
    }

    /// Ends with this server; the next one is asked after `wait` and a little more.
    fn leave(&mut self, wait: Duration) {
        self.stream = None;
        self.turn = self.turn.wrapping_add(1);
        self.not_before = Some(Instant::now() + self.backoff.wait(wait));
    }

    /// The next message of the stream, which is opened where there is none.
    async fn receive(&mut self) -> Result<SubscribeResponse, Status> {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        let interval = match self.request.heartbeat_seconds {
            0 => HEARTBEAT_SECONDS,
            seconds => seconds,
        };
        let silence = Duration::from_secs(u64::from(interval)) * HEARTBEATS_MISSED_MAX;
        let next = async {
            let stream = if let Some(stream) = &mut self.stream {
                stream
            } else {
                let connected = self.servers.connect_turn(self.turn).await;
                let channel = connected.map_err(|error| Status::unavailable(error.to_string()))?;
                let mut client = AlertServiceClient::new(channel);
                let opened = client.subscribe(self.request.clone()).await?;
                self.stream.insert(opened.into_inner())
            };
            let message = stream.message().await?;
            message.ok_or_else(|| Status::unavailable("the server ended the stream"))
        };
        timeout(silence, next)
            .await
            .unwrap_or_else(|_| Err(Status::unavailable("two heartbeats are missing")))
    }
}
