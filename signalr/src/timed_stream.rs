//! A stream whose writes fail if the other side does not read.
//!
//! A server of HTTP waits for its client without a limit once its buffer is full. A client that
//! reads a byte a second does not prolong the wait: its system announces room for more than a few
//! bytes only. Reads have no limit here, since the protocol above knows when it expects some.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream with a limit for the time in which it takes no bytes.
#[derive(Debug)]
pub(crate) struct TimedStream<S> {
    stream: S,
    limit: Duration,
    /// Set while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedStream<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Returns the outcome of a write, or an error if it has waited for too long.
    fn limited<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.limited(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.limited(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.limited(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_after_a_time_without_a_reader() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = TimedStream::new(ours, LIMIT);
        let start = Instant::now();
        let reads = async {
            sleep(LIMIT / 2).await;
            theirs.read_u8().await.unwrap();
        };
        let (written, ()) = tokio::join!(stream.write_all(b"123456"), reads);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // The time begins anew with each byte.
        assert_eq!(start.elapsed(), LIMIT * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_has_no_limit() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = TimedStream::new(ours, LIMIT);
        let writes = async {
            sleep(LIMIT * 10).await;
            theirs.write_u8(7).await.unwrap();
        };
        let (read, ()) = tokio::join!(stream.read_u8(), writes);
        assert_eq!(read.unwrap(), 7);
    }
}
