//! The current values of markets, over any number of connections and servers.

use super::servers::Servers;
use super::streams::{ReconnectingStream, StreamEvent};
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::{WatchMarketsRequest, WatchMarketsResponse};
use tonic::Status;

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
