//! A connection after its HTTP upgrade: a stream of bytes in both directions.
//!
//! A TCP connection is taken out of the HTTP server, so that no layer stands between a session and
//! its socket. Any other stream, such as TLS, stays inside. Reads go into a buffer of the thread, so
//! an idle connection has none.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{FromRequestParts, WebSocketUpgrade},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, tcp},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::timed_stream::TimedStream;

/// A connection after its upgrade.
pub(crate) struct Socket {
    stream: Stream,
    /// Bytes that arrived together with the request.
    early: Bytes,
}

enum Stream {
    Tcp(TcpStream),
    Other(TokioIo<Upgraded>),
}

impl Socket {
    fn new(upgraded: Upgraded) -> Self {
        // `axum::serve` wraps the stream once more than a server of HTTP/1 does.
        let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => return Self::tcp(parts.io.into_inner(), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return Self::tcp(parts.io.into_inner(), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<TimedStream<TcpStream>>>() {
            Ok(parts) => Self::tcp(parts.io.into_inner().into_inner(), parts.read_buf),
            Err(upgraded) => {
                Self { stream: Stream::Other(TokioIo::new(upgraded)), early: Bytes::new() }
            }
        }
    }

    fn tcp(stream: TcpStream, early: Bytes) -> Self {
        // Also an empty part of the HTTP server's buffer would keep all of it.
        let early = Bytes::copy_from_slice(&early);
        Self { stream: Stream::Tcp(stream), early }
    }

    /// Returns the two halves. Dropping the second closes this side of the connection.
    pub(crate) fn split(self) -> (ReadHalf, WriteHalf) {
        let (reading, writing) = match self.stream {
            Stream::Tcp(stream) => {
                let (reading, writing) = stream.into_split();
                (Reading::Tcp(reading), WriteHalf::Tcp(writing))
            }
            Stream::Other(stream) => {
                let (reading, writing) = tokio::io::split(stream);
                (Reading::Other(reading), WriteHalf::Other(writing))
            }
        };
        (ReadHalf { early: self.early, reading }, writing)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

/// The half that reads.
pub(crate) struct ReadHalf {
    early: Bytes,
    reading: Reading,
}

enum Reading {
    Tcp(tcp::OwnedReadHalf),
    Other(tokio::io::ReadHalf<TokioIo<Upgraded>>),
}

impl ReadHalf {
    /// Reads once, and passes the bytes to a function. No bytes mean the end of the stream.
    pub(crate) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut [u8]) -> T,
    ) -> Poll<io::Result<T>> {
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early).to_vec();
            return Poll::Ready(Ok(take(&mut early)));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH_BYTES, 0);
            let mut buffer = ReadBuf::new(scratch);
            ready!(match &mut self.reading {
                Reading::Tcp(half) => Pin::new(half).poll_read(cx, &mut buffer),
                Reading::Other(half) => Pin::new(half).poll_read(cx, &mut buffer),
            })?;
            Poll::Ready(Ok(take(buffer.filled_mut())))
        })
    }
}

/// The half that writes.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Other(tokio::io::WriteHalf<TokioIo<Upgraded>>),
}

impl WriteHalf {
    /// Writes at least one byte, unless there are none.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(match self {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Other(half) if half.is_write_vectored() => {
                Pin::new(half).poll_write_vectored(cx, slices)
            }
            // Otherwise it would make a record of TLS for each slice.
            Self::Other(half) => Pin::new(half).poll_write(cx, &joined(slices)),
        });
        Poll::Ready(match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            written => written,
        })
    }

    /// Writes bytes if the stream takes some at once, and registers no task.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            Self::Other(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Makes a stream with a buffer of its own send all bytes.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(half) => Pin::new(half).poll_flush(cx),
        }
    }
}

/// Returns the bytes of the first slices, as many as fit one record of TLS.
fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut joined = Vec::new();
    for slice in slices {
        let room = RECORD_BYTES - joined.len();
        joined.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    joined
}

/// The accepted upgrade of a request to a WebSocket.
pub(crate) struct Upgrade {
    response: Response,
    on_upgrade: OnUpgrade,
}

impl Upgrade {
    /// Checks a request for a WebSocket.
    ///
    /// # Errors
    ///
    /// Returns the refusal.
    pub(crate) async fn check(parts: &mut Parts) -> Result<Self, Response> {
        // The check takes it.
        let on_upgrade = parts.extensions.get::<OnUpgrade>().cloned();
        let checked = WebSocketUpgrade::from_request_parts(parts, &()).await;
        match (checked, on_upgrade) {
            (Err(rejection), _) => Err(rejection.into_response()),
            (Ok(_), None) => Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
            (Ok(_), Some(on_upgrade)) => {
                Ok(Self { response: accepted(&parts.headers), on_upgrade })
            }
        }
    }

    /// Returns the response, and serves the socket after it. A connection that is lost before has
    /// none.
    pub(crate) fn then<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { response, on_upgrade } = self;
        tokio::spawn(async move {
            if let Ok(upgraded) = on_upgrade.await {
                // A task of its own, which is smaller than one that also waits for the upgrade.
                tokio::spawn(serve(Socket::new(upgraded)));
            }
        });
        response
    }
}

fn accepted(headers: &HeaderMap) -> Response {
    // HTTP/2 has no key.
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return StatusCode::OK.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let accept = [(header::SEC_WEBSOCKET_ACCEPT, accept)];
    (StatusCode::SWITCHING_PROTOCOLS, UPGRADE, accept, Body::empty()).into_response()
}

const UPGRADE: [(HeaderName, HeaderValue); 2] = [
    (header::CONNECTION, HeaderValue::from_static("upgrade")),
    (header::UPGRADE, HeaderValue::from_static("websocket")),
];

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The largest record of TLS.
const RECORD_BYTES: usize = 16 * 1024;
/// Bytes read at once. As many as many small messages have, and few for a cache.
const SCRATCH_BYTES: usize = 32 * 1024;
