//! A socket that writes what one wake of its connection gives it with one call to the system.
//!
//! HTTP/2 hands over one frame at a time and flushes after each: every stream of a connection that wakes for the same alert
//! would cost a call of its own, and so would every 16 KiB of one stream. Here, a small frame after a pause goes out at once.
//! A full one, with more behind it, and those that follow closely are kept, and written at the connection's next turn,
//! before which the other streams have theirs.

use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tonic::transport::server::Connected;

/// A flush so soon after the last write is kept.
const PAUSE: Duration = Duration::from_millis(1);
/// A flush of so much is kept: it is full frames of a client with HTTP/2's defaults, and mostly there are more.
const FULL_BYTES: usize = 16 * 1024;
/// The most that is kept, in bytes; more is written at once. All that fits into HTTP/2's default window of 64 KiB, with the
/// headers of its frames.
const KEPT_BYTES_MAX: usize = 72 * 1024;
/// A piece of so much is not copied, but written at once.
const LARGE_BYTES: usize = 32 * 1024;

/// A socket, and what is not written to it yet.
#[derive(Debug)]
pub struct Corked<S> {
    socket: S,
    kept: BytesMut,
    /// Whether what is kept was flushed by its owner, and so is written at the connection's next turn.
    flushed: bool,
    written_at: Option<Instant>,
}

impl<S> Corked<S> {
    /// Around a socket that has written nothing yet.
    pub fn new(socket: S) -> Self {
        Self { socket, kept: BytesMut::new(), flushed: false, written_at: None }
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn write_kept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(context, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.advance(written);
        }
        self.all_is_written();
        Poll::Ready(Ok(()))
    }

    /// Writes what is kept and, behind it, as much of this as the socket takes; gives how much that was, at least a byte.
    fn write_large(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut all = Vec::with_capacity(slices.len().saturating_add(1));
            all.push(IoSlice::new(&self.kept));
            all.extend_from_slice(slices);
            let written = Pin::new(&mut self.socket).poll_write_vectored(context, &all);
            let written = ready!(written)?;
            if written > self.kept.len() || written == 0 {
                let written = written.saturating_sub(self.kept.len());
                self.all_is_written();
                return Poll::Ready(Ok(written));
            }
            self.kept.advance(written);
        }
    }

    fn all_is_written(&mut self) {
        // Given back, since most connections are idle most of the time.
        self.kept = BytesMut::new();
        self.flushed = false;
        self.written_at = Some(Instant::now());
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Every turn of a connection begins with a read.
        if self.flushed
            && let Poll::Ready(Err(error)) = self.write_kept(context)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).fold(0, usize::saturating_add);
        if size >= LARGE_BYTES {
            return self.write_large(context, slices);
        }
        if self.kept.len().saturating_add(size) > KEPT_BYTES_MAX {
            ready!(self.write_kept(context))?;
        }
        if size >= FULL_BYTES && self.kept.is_empty() {
            self.kept.reserve(KEPT_BYTES_MAX);
        }
        for slice in slices {
            self.kept.extend_from_slice(slice);
        }
        Poll::Ready(Ok(size))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() {
            return Pin::new(&mut self.socket).poll_flush(context);
        }
        if self.flushed {
            return Poll::Ready(Ok(()));
        }
        let paused = self.written_at.is_none_or(|written| written.elapsed() >= PAUSE);
        if paused && self.kept.len() < FULL_BYTES {
            ready!(self.write_kept(context))?;
            return Pin::new(&mut self.socket).poll_flush(context);
        }
        self.flushed = true;
        context.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_kept(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl<S: Connected> Connected for Corked<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.socket.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// Writes and flushes within one turn, as HTTP/2 does with a frame.
    fn send(corked: &mut Corked<DuplexStream>, bytes: &[u8]) {
        let waker = Waker::from(Arc::new(Nobody));
        let mut context = Context::from_waker(&waker);
        let mut corked = Pin::new(corked);
        assert!(matches!(corked.as_mut().poll_write(&mut context, bytes), Poll::Ready(Ok(_))));
        assert!(matches!(corked.as_mut().poll_flush(&mut context), Poll::Ready(Ok(()))));
    }

    /// What has arrived, without waiting for more.
    fn arrived(peer: &mut DuplexStream) -> Vec<u8> {
        let waker = Waker::from(Arc::new(Nobody));
        let mut context = Context::from_waker(&waker);
        let mut space = vec![0; 1024 * 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let _ = Pin::new(peer).poll_read(&mut context, &mut buffer);
        buffer.filled().to_vec()
    }

    /// The next turn of a connection, which begins with a read.
    fn turn(corked: &mut Corked<DuplexStream>) {
        let waker = Waker::from(Arc::new(Nobody));
        let mut context = Context::from_waker(&waker);
        let mut space = [0; 16];
        let _ = Pin::new(corked).poll_read(&mut context, &mut ReadBuf::new(&mut space));
    }

    #[tokio::test]
    async fn the_first_small_frame_goes_at_once_and_the_rest_of_the_turn_together() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut corked = Corked::new(socket);
        send(&mut corked, b"one");
        assert_eq!(arrived(&mut peer), b"one");
        send(&mut corked, b"two");
        send(&mut corked, b"three");
        assert_eq!(arrived(&mut peer), b"");
        turn(&mut corked);
        assert_eq!(arrived(&mut peer), b"twothree");
    }

    #[tokio::test]
    async fn full_frames_go_together_and_no_more_is_kept_than_the_bound() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut corked = Corked::new(socket);
        let frame = vec![7; FULL_BYTES];
        for _ in 0..4 {
            send(&mut corked, &frame);
        }
        assert_eq!(arrived(&mut peer).len(), 0);
        send(&mut corked, &frame);
        assert_eq!(arrived(&mut peer).len(), 4 * FULL_BYTES);
        turn(&mut corked);
        assert_eq!(arrived(&mut peer).len(), FULL_BYTES);
        send(&mut corked, b"before");
        send(&mut corked, &vec![7; LARGE_BYTES]);
        assert_eq!(arrived(&mut peer).len(), 6 + LARGE_BYTES);
    }

    #[tokio::test]
    async fn nothing_is_lost_over_a_socket_that_takes_little_at_a_time() {
        let (socket, mut peer) = duplex(7);
        let mut corked = Corked::new(socket);
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let large = vec![7; 3 * LARGE_BYTES];
        let write = async {
            for part in sent.chunks(9_001).chain([large.as_slice()]) {
                corked.write_all(part).await.unwrap();
                corked.flush().await.unwrap();
            }
            corked.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(write, peer.read_to_end(&mut received));
        read.unwrap();
        assert!(received == [sent, large].concat());
    }
}
