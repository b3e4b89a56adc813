//! A socket that writes the frames of one poll of its connection with one system call.
//!
//! HTTP/2 writes one frame at a time and flushes after each: every stream of a connection that
//! wakes for the same alert would cost a system call, and so would every 16 KiB of one stream. This
//! socket buffers frames until the end of the poll, called a turn here. Large frames are written
//! then, while they are in the processor's cache, and so is a small frame after a pause. A small
//! frame that follows the last write closely waits for the connection's next turn, before which its
//! other streams have theirs.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A small frame sooner than this after the last write waits for the next turn.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// At least this much is written at the end of the turn.
const LARGE_BYTES: usize = 16 * 1024;
/// Limit of the buffer; more is written at once. HTTP/2's default window of 64 KiB fits, with the
/// headers of its frames.
const BUFFER_BYTES_MAX: usize = 72 * 1024;
/// A write of at least this size is not copied into the buffer but written at once.
const COPY_BYTES_MAX: usize = 32 * 1024;

thread_local! {
    /// The buffer of the last turn on this thread, for reuse by the next one.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A socket that buffers writes until [`CorkedSocket::end_turn`]. Clones share it.
#[derive(Debug)]
pub(super) struct CorkedSocket<S>(Arc<Mutex<Cork<S>>>);

impl<S> Clone for CorkedSocket<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> CorkedSocket<S> {
    /// Wraps a socket that has written nothing yet.
    pub(super) fn new(socket: S) -> Self {
        Self(Arc::new(Mutex::new(Cork {
            socket,
            buffer: Vec::new(),
            written: 0,
            has_waited: false,
            needs_flush: false,
            last_write: None,
            bytes_read: 0,
        })))
    }

    /// Bytes read from the socket so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.cork().bytes_read
    }

    fn cork(&self) -> MutexGuard<'_, Cork<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> CorkedSocket<S> {
    /// Must be called after every poll of the connection, with its context: writes the buffer, or
    /// wakes the connection for another turn.
    pub(super) fn end_turn(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cork().end_turn(context)
    }
}

#[derive(Debug)]
struct Cork<S> {
    socket: S,
    buffer: Vec<u8>,
    /// How much of the buffer is written.
    written: usize,
    /// Whether the buffer has waited for a turn.
    has_waited: bool,
    /// Whether the socket below may hold bytes that it has not sent, as an encrypting one does.
    needs_flush: bool,
    last_write: Option<Instant>,
    bytes_read: u64,
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    fn end_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return self.flush_socket(context);
        }
        let is_pause = self.last_write.is_none_or(|written| written.elapsed() >= PAUSE_MIN);
        if self.buffer.len() >= LARGE_BYTES || self.has_waited || is_pause {
            return self.write_buffer(context);
        }
        self.has_waited = true;
        context.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }

    fn write_buffer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.buffer.get(self.written..) {
            let written = ready!(Pin::new(&mut self.socket).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written = self.written.saturating_add(written);
        }
        self.buffer_is_written();
        self.flush_socket(context)
    }

    /// Flushes the socket below. An unencrypted one has nothing to flush.
    fn flush_socket(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.needs_flush {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the buffer and, after it, as much of `slices` as the socket accepts; returns how much
    /// of `slices` that was, at least one byte.
    fn write_after_buffer(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let rest = self.buffer.get(self.written..).unwrap_or_default();
            let mut all = Vec::with_capacity(slices.len().saturating_add(1));
            all.push(IoSlice::new(rest));
            all.extend_from_slice(slices);
            let left = rest.len();
            let written = Pin::new(&mut self.socket).poll_write_vectored(context, &all);
            let written = ready!(written)?;
            if written > left || written == 0 {
                self.buffer_is_written();
                return Poll::Ready(Ok(written.saturating_sub(left)));
            }
            self.written = self.written.saturating_add(written);
        }
    }

    fn copy(&mut self, slices: &[IoSlice<'_>]) {
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.take();
        }
        for slice in slices {
            self.buffer.extend_from_slice(slice);
        }
    }

    fn buffer_is_written(&mut self) {
        // Returned to the thread, since most connections are idle most of the time.
        let mut space = std::mem::take(&mut self.buffer);
        if space.capacity() > 0 {
            space.clear();
            SPARE.set(space);
        }
        self.written = 0;
        self.has_waited = false;
        self.needs_flush = true;
        self.last_write = Some(Instant::now());
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).fold(0, usize::saturating_add);
        if size >= COPY_BYTES_MAX {
            return self.write_after_buffer(context, slices);
        }
        if self.buffer.len().saturating_add(size) > BUFFER_BYTES_MAX {
            ready!(self.write_buffer(context))?;
        }
        self.copy(slices);
        Poll::Ready(Ok(size))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CorkedSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut cork = self.cork();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut cork.socket).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        cork.bytes_read = cork.bytes_read.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CorkedSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cork().write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.cork().write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The buffer is written at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut cork = self.cork();
        ready!(cork.write_buffer(context))?;
        Pin::new(&mut cork.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::{Wake, Waker};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    struct NoopWaker;

    impl Wake for NoopWaker {
        fn wake(self: Arc<Self>) {}
    }

    /// Writes and flushes within a turn, as HTTP/2 does for a frame.
    fn send(socket: &mut CorkedSocket<DuplexStream>, bytes: &[u8]) {
        let waker = Waker::from(Arc::new(NoopWaker));
        let mut context = Context::from_waker(&waker);
        let mut socket = Pin::new(socket);
        assert!(matches!(socket.as_mut().poll_write(&mut context, bytes), Poll::Ready(Ok(_))));
        assert!(matches!(socket.as_mut().poll_flush(&mut context), Poll::Ready(Ok(()))));
    }

    fn end_turn(socket: &CorkedSocket<DuplexStream>) {
        let waker = Waker::from(Arc::new(NoopWaker));
        let ended = socket.end_turn(&mut Context::from_waker(&waker));
        assert!(matches!(ended, Poll::Ready(Ok(()))));
    }

    /// The bytes that have arrived.
    fn received(peer: &mut DuplexStream) -> Vec<u8> {
        let waker = Waker::from(Arc::new(NoopWaker));
        let mut context = Context::from_waker(&waker);
        let mut space = vec![0; 1024 * 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let _ = Pin::new(peer).poll_read(&mut context, &mut buffer);
        buffer.filled().to_vec()
    }

    /// Sets the last write to just now, or to long ago.
    fn set_last_write(socket: &CorkedSocket<DuplexStream>, is_just_now: bool) {
        // In the future, so that a slow test changes nothing.
        let soon = Instant::now() + Duration::from_hours(1);
        socket.cork().last_write = is_just_now.then_some(soon);
    }

    #[tokio::test]
    async fn a_small_frame_is_written_with_its_turn_and_later_ones_together() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut socket = CorkedSocket::new(socket);
        send(&mut socket, b"one");
        end_turn(&socket);
        assert_eq!(received(&mut peer), b"one");
        set_last_write(&socket, true);
        send(&mut socket, b"two");
        end_turn(&socket);
        assert_eq!(received(&mut peer), b"");
        send(&mut socket, b"three");
        end_turn(&socket);
        assert_eq!(received(&mut peer), b"twothree");
        set_last_write(&socket, false);
        send(&mut socket, b"four");
        end_turn(&socket);
        assert_eq!(received(&mut peer), b"four");
    }

    #[tokio::test]
    async fn large_frames_are_written_together_and_the_buffer_is_limited() {
        let (socket, mut peer) = duplex(1024 * 1024);
        let mut socket = CorkedSocket::new(socket);
        let frame = vec![7; LARGE_BYTES];
        for _ in 0..4 {
            send(&mut socket, &frame);
        }
        assert_eq!(received(&mut peer).len(), 0);
        send(&mut socket, &frame);
        assert_eq!(received(&mut peer).len(), 4 * LARGE_BYTES);
        end_turn(&socket);
        assert_eq!(received(&mut peer).len(), LARGE_BYTES);
        send(&mut socket, b"before");
        send(&mut socket, &vec![7; COPY_BYTES_MAX]);
        assert_eq!(received(&mut peer).len(), 6 + COPY_BYTES_MAX);
    }

    #[tokio::test]
    async fn no_byte_is_lost_on_a_socket_that_accepts_few_bytes_at_a_time() {
        let (socket, mut peer) = duplex(7);
        let mut socket = CorkedSocket::new(socket);
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let large = vec![7; 3 * COPY_BYTES_MAX];
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
