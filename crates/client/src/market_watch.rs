//! The current value of markets, over any number of connections and servers.

use super::servers::Servers;
use super::streams::{Resumed, Streams};
use lodewatch_proto::v1::market_service_client::MarketServiceClient;
use lodewatch_proto::v1::{WatchMarketsRequest, WatchMarketsResponse};
use tonic::Status;

/// Markets as they stand, again and again. After word that the stream was lost, it begins with all markets again: what is no
/// longer among them is gone.
pub struct MarketWatch {
    request: WatchMarketsRequest,
    streams: Streams<WatchMarketsResponse>,
}

impl MarketWatch {
    /// Prepares a watch; the first [`MarketWatch::next`] opens it.
    pub fn new(servers: Servers, request: WatchMarketsRequest) -> Self {
        Self { request, streams: Streams::new(servers) }
    }

    /// The next message, or word that the stream was lost. After that word the next call waits a little and asks the next
    /// server.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// What trying again cannot mend: a request that is refused.
    pub async fn next(&mut self) -> Result<Resumed<WatchMarketsResponse>, Status> {
        let request = &self.request;
        let open = |connection| async move {
            MarketServiceClient::new(connection).watch_markets(request.clone()).await
        };
        self.streams.next(request.heartbeat_seconds, open).await
    }
}
