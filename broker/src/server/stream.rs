//! A client's socket: TCP, TLS or Unix.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{self, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::tls_stream::TlsStream;

/// A connected socket, or the place of one that is closed.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// Boxed, since it is much larger than the others.
    Tls(Box<TlsStream>),
    #[cfg(unix)]
    Unix(UnixStream),
    Closed,
}

impl Stream {
    /// Reads available bytes and returns their number. Zero is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        bytes: &mut [u8],
        cx: &mut task::Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => return stream.poll_read(bytes, cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Closed => return Poll::Ready(Err(closed())),
        })?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Tls(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
            Self::Closed => Poll::Ready(Err(closed())),
        }
    }

    /// Writes as much as the socket takes. After a call that wrote less than all, the next one must
    /// begin with the rest.
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(stream), [one]) => stream.try_write(one),
            (Self::Tcp(stream), several) => stream.try_write_vectored(several),
            (Self::Tls(stream), several) => stream.try_write(several),
            #[cfg(unix)]
            (Self::Unix(stream), several) => stream.try_write_vectored(several),
            (Self::Closed, _) => Err(closed()),
        }
    }

    /// Returns the socket's number in the process.
    #[cfg(unix)]
    pub(crate) fn descriptor(&self) -> i32 {
        use std::os::fd::AsRawFd;
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.socket().as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Closed => -1,
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn descriptor(&self) -> i32 {
        0
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
