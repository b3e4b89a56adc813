//! A publisher that retries safely: a batch is sent under one `request_id` until it is answered.

use super::backoff::{Backoff, passing};
use super::servers::{Connection, Servers};
use lodewatch_proto::v1::feed_service_client::FeedServiceClient;
use lodewatch_proto::v1::{PublishRequest, PublishResponse};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::Status;
use uuid::Uuid;

/// How often one batch is sent: with the waits between, for about half a minute where nobody answers at all.
const TRIES_MAX: u32 = 10;
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes batches one after the other, to whichever server answers. A clone publishes on its own.
#[derive(Debug)]
pub struct Publisher {
    servers: Servers,
    /// Whose turn it is.
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

    /// Publishes one batch; gives its answer once it is durable and applied. A batch without a `request_id` gets one.
    ///
    /// A lost connection, a server that starts or drains, a limit that passes: the batch is sent again, up to ten times, to
    /// the servers in turn. It is applied once however often it is sent.
    ///
    /// # Errors
    ///
    /// What trying again did not mend. Whether the batch was applied is then not known where the status is `UNAVAILABLE`:
    /// publish it again with the same `request_id` to learn it.
    pub async fn publish(
        &mut self,
        mut request: PublishRequest,
    ) -> Result<PublishResponse, Status> {
        if request.request_id.is_empty() {
            request.request_id = Uuid::new_v4().to_string();
        }
        let mut backoff = Backoff::new();
        let mut tries = 1_u32;
        loop {
            let status = match self.send(&request).await {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            let Some(wait) = passing(&status).filter(|_| tries < TRIES_MAX) else {
                return Err(status);
            };
            tracing::debug!(%status, tries, "publishing again under the same request id");
            tries = tries.saturating_add(1);
            self.client = None;
            self.turn = self.turn.wrapping_add(1);
            sleep(backoff.wait(wait)).await;
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
        match timeout(TRY_TIMEOUT, attempt).await {
            Ok(answered) => answered.map(tonic::Response::into_inner),
            Err(_) => Err(Status::unavailable("no answer in time")),
        }
    }
}
