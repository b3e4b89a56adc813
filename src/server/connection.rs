//! Connections, each with an end: counted, dropped when they do not speak HTTP/2 in time, cut when the drain is over.

use crate::grpc::Peer;
use async_stream::stream;
use futures_core::Stream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// How many bytes a client sends before anything else: `PRI * HTTP/2.0` and some empty lines.
const PREFACE_BYTES: usize = 24;
/// After a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How connections begin and end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// Open connections; one more is closed at once.
    pub(super) connections_max: usize,
    /// Streams of one connection.
    pub(super) streams_max: usize,
    /// How long a client may take to send the preface of HTTP/2.
    pub(super) handshake: Duration,
    /// From here on nothing begins: connections without a preface are closed.
    pub(super) drain: CancellationToken,
    /// From here on every connection fails, whatever its client does.
    pub(super) cut: CancellationToken,
}

/// Accepts connections for as long as it is polled.
pub(super) fn accept(
    listener: TcpListener,
    ends: Ends,
) -> impl Stream<Item = io::Result<Connection>> {
    let free = Arc::new(Semaphore::new(ends.connections_max));
    stream! {
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
                tracing::warn!(%address, limit = "server.connections_max", "too many connections; one more is closed");
                continue;
            };
            let peer = Peer::new(address.ip(), ends.streams_max);
            yield stream.set_nodelay(true).map(|()| Connection::new(stream, peer, &ends, permit));
        }
    }
}

/// A connection that ends when it should.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    /// Until the preface is there.
    opening: Option<Pin<Box<Opening>>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
}

/// A connection that has not said yet what it speaks.
struct Opening {
    missing_bytes: usize,
    patience: Pin<Box<Sleep>>,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, peer: Peer, ends: &Ends, permit: OwnedSemaphorePermit) -> Self {
        let opening = Opening {
            missing_bytes: PREFACE_BYTES,
            patience: Box::pin(sleep(ends.handshake)),
            drain: Box::pin(ends.drain.clone().cancelled_owned()),
        };
        let cut = Box::pin(ends.cut.clone().cancelled_owned());
        Self { stream, peer, opening: Some(Box::pin(opening)), cut, _permit: permit }
    }

    /// Ready when the connection must end although its client is silent. To be asked whenever the client is waited for.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(opening) = &mut self.opening {
            if opening.patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no HTTP/2 preface in time",
                ));
            }
            if opening.drain.as_mut().poll(cx).is_ready() {
                return Poll::Ready(io::Error::other("draining before the HTTP/2 preface came"));
            }
        }
        self.cut.as_mut().poll(cx).map(|()| io::Error::other("the drain is over"))
    }

    /// What became of waiting for the client, unless the connection must end.
    fn or_end<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() { self.poll_end(cx).map(Err) } else { polled }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        ready!(self.or_end(cx, read))?;
        if let Some(opening) = &mut self.opening {
            let more = buffer.filled().len().saturating_sub(before);
            opening.missing_bytes = opening.missing_bytes.saturating_sub(more);
            if opening.missing_bytes == 0 {
                self.opening = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_end(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.or_end(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_end(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_end(cx, shut)
    }
}
