//! A publisher that retries safely: it sends a batch under one `request_id` until it has an answer.

use super::backoff::{Backoff, retry_delay};
use super::servers::{Connection, Servers};
use super::too_large::explain_too_large;
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{PublishRequest, PublishResponse};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::Status;
use uuid::Uuid;

/// Attempts to send one batch: with the delays between them about half a minute where no server
/// answers.
const ATTEMPTS_MAX: u32 = 10;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes batches one after the other to the first server that answers. A clone has a connection
/// of its own.
#[derive(Debug)]
pub struct Publisher {
    servers: Servers,
    /// Which server is next.
    turn: usize,
    client: Option<FeedServiceClient<Connection>>,
}

impl Clone for Publisher {
    fn clone(&self) -> Self {
        Self::new(self.servers.clone())
    }
}

impl Publisher {
    /// Prepares a publisher; the first batch connects it.
    pub fn new(servers: Servers) -> Self {
        Self { servers, turn: 0, client: None }
    }

    /// Publishes one batch and returns the server's answer once the batch is durable and applied. A
    /// batch without a `request_id` gets one.
    ///
    /// After a lost connection, a drained server or a temporary limit the batch is sent again, up
    /// to ten times, to the servers in turn. It is applied once, however often it is sent.
    ///
    /// # Errors
    ///
    /// The status of the last attempt. Where it is `UNAVAILABLE` the outcome is unknown: publish
    /// the batch again with the same `request_id` to learn it.
    pub async fn publish(
        &mut self,
        mut request: PublishRequest,
    ) -> Result<PublishResponse, Status> {
        if request.request_id.is_empty() {
            request.request_id = Uuid::new_v4().to_string();
        }
        let mut backoff = Backoff::new();
        let mut attempts = 1_u32;
        loop {
            let status = match self.send(&request).await {
                Ok(response) => return Ok(response),
                Err(status) => explain_too_large(status),
            };
            let Some(at_least) = retry_delay(&status).filter(|_| attempts < ATTEMPTS_MAX) else {
                return Err(status);
            };
            tracing::debug!(%status, attempts, "publishing again under the same request id");
            attempts = attempts.saturating_add(1);
            self.client = None;
            self.turn = self.turn.wrapping_add(1);
            sleep(backoff.next_delay(at_least)).await;
        }
    }

    async fn send(&mut self, request: &PublishRequest) -> Result<PublishResponse, Status> {
        let attempt = async {
            let client = if let Some(client) = &mut self.client {
                client
            } else {
                let connected = self.servers.connect_turn(self.turn).await;
                let channel = connected.map_err(|error| Status::unavailable(error.to_string()))?;
                self.client.insert(FeedServiceClient::new(channel))
            };
            client.publish(request.clone()).await
        };
        match timeout(ATTEMPT_TIMEOUT, attempt).await {
            Ok(answered) => answered.map(tonic::Response::into_inner),
            Err(_) => Err(Status::unavailable("no answer within 10 s")),
        }
    }
}
