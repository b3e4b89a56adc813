//! A socket that writes what one turn of its connection gives it with one call to the system.
//!
//! HTTP/2 hands over one frame at a time and flushes after each: every stream of a connection that wakes for the same alert
//! would cost a call of its own, and so would every 16 KiB of one stream. Here frames are kept until the turn is over. What is
//! large is written then, while the processor still has it at hand. A small frame after a pause goes out then too; one that
//! follows closely waits for the connection's next turn, before which its other streams have theirs.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A small frame so soon after the last write waits for the next turn.
const PAUSE: Duration = Duration::from_millis(1);
/// So much is written at the end of the turn.
const LARGE_BYTES: usize = 16 * 1024;
/// The most that is kept, in bytes; more is written at once. All that fits into HTTP/2's default window of 64 KiB, with the
/// headers of its frames.
const KEPT_BYTES_MAX: usize = 72 * 1024;
/// A piece of so much is not copied, but written at once.
const PIECE_BYTES_MAX: usize = 32 * 1024;

thread_local! {
    /// The space that the last turn on this thread wrote from, for the next one that keeps something.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A socket that its connection and whoever ends the connection's turns share.
#[derive(Debug)]
pub(super) struct Socket<S>(Arc<Mutex<Corked<S>>>);

impl<S> Clone for Socket<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Socket<S> {
    /// Around a socket that has written nothing yet.
    pub(super) fn new(socket: S) -> Self {
        let (kept, written_at) = (Vec::new(), None);
        let corked =
            Corked { socket, kept, sent: 0, waits: false, holds: false, written_at, read: 0 };
        Self(Arc::new(Mutex::new(corked)))
    }

    /// How many bytes were read from it.
    pub(super) fn read(&self) -> u64 {
        self.corked().read
    }

    fn corked(&self) -> MutexGuard<'_, Corked<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// To be called after every turn of the connection, with the turn's context: writes what it has kept, or sees to another
    /// turn soon.
    pub(super) fn end_turn(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.corked().end_turn(context)
    }
}

#[derive(Debug)]
struct Corked<S> {
    socket: S,
    kept: Vec<u8>,
    /// How much of what is kept is written.
    sent: usize,
    /// Whether what is kept has waited for a turn.
    waits: bool,
    /// Whether the socket beneath has taken bytes that it may not have sent on, as one that encrypts does.
    holds: bool,
    written_at: Option<Instant>,
    read: u64,
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn end_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.kept.is_empty() {
            return self.send_on(context);
        }
        let pause = self.written_at.is_none_or(|written| written.elapsed() >= PAUSE);
        if self.kept.len() >= LARGE_BYTES || self.waits || pause {
            return self.write_kept(context);
        }
        self.waits = true;
        context.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }

    fn write_kept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.kept.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.socket).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent = self.sent.saturating_add(written);
        }
        self.all_is_written();
        self.send_on(context)
    }

    /// Has the socket beneath send what it holds. A plain one holds nothing, and does nothing.
    fn send_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holds {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.holds = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is kept and, behind it, as much of this as the socket takes; gives how much that was, at least a byte.
    fn write_behind_kept(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let kept = self.kept.get(self.sent..).unwrap_or_default();
            let mut all = Vec::with_capacity(slices.len().saturating_add(1));
            all.push(IoSlice::new(kept));
            all.extend_from_slice(slices);
            let left = kept.len();
            let written = Pin::new(&mut self.socket).poll_write_vectored(context, &all);
            let written = ready!(written)?;
            if written > left || written == 0 {
                self.all_is_written();
                return Poll::Ready(Ok(written.saturating_sub(left)));
            }
            self.sent = self.sent.saturating_add(written);
        }
    }

    fn keep(&mut self, slices: &[IoSlice<'_>]) {
        if self.kept.capacity() == 0 {
            self.kept = SPARE.take();
        }
        for slice in slices {
            self.kept.extend_from_slice(slice);
        }
    }

    fn all_is_written(&mut self) {
        // Given back, since most connections are idle most of the time.
        let mut space = std::mem::take(&mut self.kept);
        if space.capacity() > 0 {
            space.clear();
            SPARE.set(space);
        }
        self.sent = 0;
        self.waits = false;
        self.holds = true;
        self.written_at = Some(Instant::now());
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).fold(0, usize::saturating_add);
        if size >= PIECE_BYTES_MAX {
            return self.write_behind_kept(context, slices);
        }
        if self.kept.len().saturating_add(size) > KEPT_BYTES_MAX {
            ready!(self.write_kept(context))?;
        }
        self.keep(slices);
        Poll::Ready(Ok(size))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut corked = self.corked();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut corked.socket).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        corked.read = corked.read.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.corked().write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.corked().write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is kept is written at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut corked = self.corked();
        ready!(corked.write_kept(context))?;
        Pin::new(&mut corked.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::{Wake, Waker};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// Writes and flushes within a turn, as HTTP/2 does with a frame.
    fn send(socket: &mut Socket<DuplexStream>, bytes: &[u8]) {
        let waker = Waker::from(Arc::new(Nobody));
        let mut context = Context::from_waker(&waker);
        let mut socket = Pin::new(socket);
        assert!(matches!(socket.as_mut().poll_write(&mut context, bytes), Poll::Ready(Ok(_))));
        assert!(matches!(socket.as_mut().poll_flush(&mut context), Poll::Ready(Ok(()))));
    }

    fn end_turn(socket: &Socket<DuplexStream>) {
        let waker = Waker::from(Arc::new(Nobody));
        let ended = socket.end_turn(&mut Context::from_waker(&waker));
        assert!(matches!(ended, Poll::Ready(Ok(()))));
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

    /// As if the last write were just now, or long ago.
    fn just_written(socket: &Socket<DuplexStream>, is_just_now: bool) {
        // In the future, so that it is just now however slow the test is.
        let soon = Instant::now() + Duration::from_hours(1);
        socket.corked().written_at = is_just_now.then_some(soon);
    }

    #[tokio::test]
    async fn a_small_frame_goes_with_its_turn_and_those_that_follow_closely_together() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut socket = Socket::new(socket);
        send(&mut socket, b"one");
        end_turn(&socket);
        assert_eq!(arrived(&mut peer), b"one");
        just_written(&socket, true);
        send(&mut socket, b"two");
        end_turn(&socket);
        assert_eq!(arrived(&mut peer), b"");
        send(&mut socket, b"three");
        end_turn(&socket);
        assert_eq!(arrived(&mut peer), b"twothree");
        just_written(&socket, false);
        send(&mut socket, b"four");
        end_turn(&socket);
        assert_eq!(arrived(&mut peer), b"four");
    }

    #[tokio::test]
    async fn full_frames_go_together_and_no_more_is_kept_than_the_bound() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut socket = Socket::new(socket);
        let frame = vec![7; LARGE_BYTES];
        for _ in 0..4 {
            send(&mut socket, &frame);
        }
        assert_eq!(arrived(&mut peer).len(), 0);
        send(&mut socket, &frame);
        assert_eq!(arrived(&mut peer).len(), 4 * LARGE_BYTES);
        end_turn(&socket);
        assert_eq!(arrived(&mut peer).len(), LARGE_BYTES);
        send(&mut socket, b"before");
        send(&mut socket, &vec![7; PIECE_BYTES_MAX]);
        assert_eq!(arrived(&mut peer).len(), 6 + PIECE_BYTES_MAX);
    }

    #[tokio::test]
    async fn nothing_is_lost_over_a_socket_that_takes_little_at_a_time() {
        let (socket, mut peer) = duplex(7);
        let mut socket = Socket::new(socket);
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let large = vec![7; 3 * PIECE_BYTES_MAX];
        let write = async {
            for part in sent.chunks(9_001).chain([large.as_slice()]) {
                socket.write_all(part).await.unwrap();
                poll_fn(|context| socket.end_turn(context)).await.unwrap();
            }
            socket.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(write, peer.read_to_end(&mut received));
        read.unwrap();
        assert!(received == [sent, large].concat());
    }
}
