//! A subscription that resumes by itself: the loop that every subscriber needs, in any language.

use super::servers::Servers;
use super::streams::{Resumed, Streams};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{Start, SubscribeRequest, SubscribeResponse};
use std::time::Duration;
use tonic::Status;

/// A stream of messages over any number of connections and servers: every alert once, in order, none left out.
///
/// A snapshot is a state, not news: one that is cut off is handed over again as a whole, from its `Opened` on.
pub struct Subscription {
    /// What to ask for: from the last cursor that was handled, once there is one.
    request: SubscribeRequest,
    streams: Streams<SubscribeResponse>,
    /// Where to resume from once the message handed over last is handled.
    handled: Option<String>,
}

impl Subscription {
    /// Prepares a subscription; the first [`Subscription::next`] opens it.
    pub fn new(servers: Servers, request: SubscribeRequest) -> Self {
        Self { request, streams: Streams::new(servers), handled: None }
    }

    /// The next message, or word that the stream was lost. After that word the next call waits a little, resumes with the
    /// next server, and goes on with what was not handed over yet.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// What trying again cannot mend: a request that is refused, a cursor that is lost.
    pub async fn next(&mut self) -> Result<Resumed<SubscribeResponse>, Status> {
        if let Some(cursor) = self.handled.take() {
            self.request.start = Start::Cursor.into();
            self.request.cursor = cursor;
        }
        let request = &self.request;
        let open = |connection| async move {
            AlertServiceClient::new(connection).subscribe(request.clone()).await
        };
        let next = self.streams.next(request.heartbeat_seconds, open).await?;
        if let Resumed::Message(message) = &next {
            if let Some(Message::GoAway(away)) = &message.message {
                self.streams.leave(Duration::from_millis(u64::from(away.reconnect_after_ms)));
            }
            // Empty while a snapshot is on its way: only the whole can be asked for again.
            self.handled = Some(message.cursor.clone()).filter(|cursor| !cursor.is_empty());
        }
        Ok(next)
    }
}
