//! A stream that reconnects by itself, to the next server that answers.

use super::backoff::{Backoff, retry_delay};
use super::servers::{Connection, Servers};
use super::too_large::explain_too_large;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Response, Status, Streaming};

/// Heartbeats that may be missing before a stream counts as lost.
const HEARTBEATS_MISSED_MAX: u32 = 2;
/// Seconds between heartbeats unless the request says otherwise.
const HEARTBEAT_SECONDS: u32 = 15;

/// What a stream that reconnects by itself delivers.
#[derive(Debug)]
pub enum StreamEvent<M> {
    /// A message of the stream. It counts as handled when the next event is asked for.
    Message(Box<M>),
    /// The stream ended with this status. The next call reconnects.
    Disconnected(Status),
}

/// At most one open stream, and when and where to open the next.
pub(super) struct ReconnectingStream<M> {
    servers: Servers,
    /// Which server is next.
    turn: usize,
    stream: Option<Streaming<M>>,
    backoff: Backoff,
    /// The earliest instant of the next connection.
    not_before: Option<Instant>,
}

impl<M> ReconnectingStream<M> {
    pub(super) fn new(servers: Servers) -> Self {
        Self { servers, turn: 0, stream: None, backoff: Backoff::new(), not_before: None }
    }

    /// The next message, or that the stream ended; the call after that waits for a moment and lets
    /// `open` call the next server. Cancel safe. A server sends a heartbeat every
    /// `heartbeat_seconds`; 0 means 15.
    ///
    /// # Errors
    ///
    /// A status that another attempt cannot change.
    pub(super) async fn next<O, F>(
        &mut self,
        heartbeat_seconds: u32,
        open: O,
    ) -> Result<StreamEvent<M>, Status>
    where
        O: FnOnce(Connection) -> F,
        F: Future<Output = Result<Response<Streaming<M>>, Status>>,
    {
        match self.receive(heartbeat_seconds, open).await.map_err(explain_too_large) {
            Ok(message) => {
                self.backoff = Backoff::new();
                Ok(StreamEvent::Message(Box::new(message)))
            }
            Err(status) => match retry_delay(&status) {
                Some(at_least) => {
                    self.leave(at_least);
                    Ok(StreamEvent::Disconnected(status))
                }
                None => Err(status),
            },
        }
    }

    /// Disconnects from this server; the next connection is made after `at_least` and a delay.
    pub(super) fn leave(&mut self, at_least: Duration) {
        self.stream = None;
        self.turn = self.turn.wrapping_add(1);
        self.not_before = Some(Instant::now() + self.backoff.next_delay(at_least));
    }

    /// The next message of the stream, which is opened first where it is not open.
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
        timeout(silence, next).await.unwrap_or_else(|_| {
            Err(Status::unavailable("no message within two heartbeat intervals"))
        })
    }
}
