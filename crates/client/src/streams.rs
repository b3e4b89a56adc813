//! One stream after the other, on whichever server answers: what all that resumes by itself is made of.

use super::backoff::{Backoff, passing};
use super::servers::{Connection, Servers};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Response, Status, Streaming};

/// Heartbeats that may be missing before a stream counts as dead.
const HEARTBEATS_MISSED_MAX: u32 = 2;
/// Seconds between heartbeats where the request does not say.
const HEARTBEAT_SECONDS: u32 = 15;

/// What is handed over of a stream that resumes by itself.
#[derive(Debug)]
pub enum Resumed<M> {
    /// A message of the stream. It counts as handled when the next one is asked for.
    Message(Box<M>),
    /// The stream was lost for this reason, and is about to be resumed.
    Lost(Status),
}

/// At most one open stream, and when and where to open the next.
pub(super) struct Streams<M> {
    servers: Servers,
    /// Whose turn it is.
    turn: usize,
    stream: Option<Streaming<M>>,
    backoff: Backoff,
    /// No connection is made before.
    not_before: Option<Instant>,
}

impl<M> Streams<M> {
    pub(super) fn new(servers: Servers) -> Self {
        Self { servers, turn: 0, stream: None, backoff: Backoff::new(), not_before: None }
    }

    /// The next message, or word that the stream was lost. After that word the next call waits a little and has `open` ask the
    /// next server. Cancel safe. Of heartbeats there is one each `heartbeat_seconds`; 0 means 15.
    ///
    /// # Errors
    ///
    /// What trying again cannot mend.
    pub(super) async fn next<O, F>(
        &mut self,
        heartbeat_seconds: u32,
        open: O,
    ) -> Result<Resumed<M>, Status>
    where
        O: FnOnce(Connection) -> F,
        F: Future<Output = Result<Response<Streaming<M>>, Status>>,
    {
        match self.receive(heartbeat_seconds, open).await {
            Ok(message) => {
                self.backoff = Backoff::new();
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
    pub(super) fn leave(&mut self, wait: Duration) {
        self.stream = None;
        self.turn = self.turn.wrapping_add(1);
        self.not_before = Some(Instant::now() + self.backoff.wait(wait));
    }

    /// The next message of the stream, which is opened where there is none.
    async fn receive<O, F>(&mut self, heartbeat_seconds: u32, open: O) -> Result<M, Status>
    where
        O: FnOnce(Connection) -> F,
        F: Future<Output = Result<Response<Streaming<M>>, Status>>,
    {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        let interval = match heartbeat_seconds {
            0 => HEARTBEAT_SECONDS,
            seconds => seconds,
        };
        let silence = Duration::from_secs(u64::from(interval)) * HEARTBEATS_MISSED_MAX;
        let next = async {
            let stream = if let Some(stream) = &mut self.stream {
                stream
            } else {
                let connected = self.servers.connect_turn(self.turn).await;
                let connection =
                    connected.map_err(|error| Status::unavailable(error.to_string()))?;
                self.stream.insert(open(connection).await?.into_inner())
            };
            let message = stream.message().await?;
            message.ok_or_else(|| Status::unavailable("the server ended the stream"))
        };
        timeout(silence, next)
            .await
            .unwrap_or_else(|_| Err(Status::unavailable("two heartbeats are missing")))
    }
}
