//! Subscriptions to alerts and to the values of markets, which reconnect by themselves.

use super::servers::Servers;
use super::streams::{ReconnectingStream, StreamEvent};
use lodewatch_proto::v1::alert_service_client::AlertServiceClient;
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::subscribe_response::Message;
use lodewatch_proto::v1::{
    Start, SubscribeRequest, SubscribeResponse, WatchMarketsRequest, WatchMarketsResponse,
};
use std::time::Duration;
use tonic::Status;

/// Subscribes to alerts over any number of connections and servers: every alert once, in order and
/// without gaps.
///
/// A snapshot that was cut off is delivered again as a whole, from its `Opened` message.
pub struct Subscription {
    /// The request; once a message was handled, it starts from the cursor of that message.
    request: SubscribeRequest,
    stream: ReconnectingStream<SubscribeResponse>,
    /// The cursor of the last message, which counts as handled when the next one is asked for.
    handled: Option<String>,
}

impl Subscription {
    /// Prepares a subscription; the first [`Subscription::next`] opens it.
    pub fn new(servers: Servers, request: SubscribeRequest) -> Self {
        Self { request, stream: ReconnectingStream::new(servers), handled: None }
    }

    /// The next message, or [`StreamEvent::Disconnected`]; the call after that waits for a moment,
    /// connects to the next server and continues after the last message.
    ///
    /// Cancel safe: no message is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// A status that another attempt cannot change, such as a rejected request or an expired
    /// cursor.
    pub async fn next(&mut self) -> Result<StreamEvent<SubscribeResponse>, Status> {
        if let Some(cursor) = self.handled.take() {
            self.request.start = Start::Cursor.into();
            self.request.cursor = cursor;
        }
        let request = &self.request;
        let open = |connection| async move {
            AlertServiceClient::new(connection).subscribe(request.clone()).await
        };
        let next = self.stream.next(request.heartbeat_seconds, open).await?;
        if let StreamEvent::Message(message) = &next {
            if let Some(Message::GoAway(away)) = &message.message {
                self.stream.leave(Duration::from_millis(u64::from(away.reconnect_after_ms)));
            }
            // Empty before the end of a snapshot, which can only be resumed as a whole.
            self.handled = Some(message.cursor.clone()).filter(|cursor| !cursor.is_empty());
        }
        Ok(next)
    }
}

/// Watches the current values of markets and reconnects by itself. After
/// [`StreamEvent::Disconnected`] it begins again with all markets; a market that is not among them
/// no longer exists.
pub struct MarketWatch {
    request: WatchMarketsRequest,
    stream: ReconnectingStream<WatchMarketsResponse>,
}

impl MarketWatch {
    /// Prepares a watch; the first [`MarketWatch::next`] opens it.
    pub fn new(servers: Servers, request: WatchMarketsRequest) -> Self {
        Self { request, stream: ReconnectingStream::new(servers) }
    }

    /// The next message, or [`StreamEvent::Disconnected`]; the call after that waits for a moment
    /// and connects to the next server.
    ///
    /// Cancel safe: no message is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// A status that another attempt cannot change, such as a rejected request.
    pub async fn next(&mut self) -> Result<StreamEvent<WatchMarketsResponse>, Status> {
        let request = &self.request;
        let open = |connection| async move {
            MarketServiceClient::new(connection).watch_markets(request.clone()).await
        };
        self.stream.next(request.heartbeat_seconds, open).await
    }
}
