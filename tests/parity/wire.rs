//! The socket of one client in a conversation.
//!
//! Unlike the client of other tests it never panics. Silence, a close and invalid RESP are outcomes
//! that are compared like a reply.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::frame::Frame;

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The outcome of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A reply or a push.
    Frame(Frame),
    /// The end of the connection, after these bytes.
    Close(Vec<u8>),
    /// Bytes that are not RESP, with the reason.
    Noise(String),
    /// No complete reply within the deadline, only these bytes.
    Silence(Vec<u8>),
}

impl Wire {
    /// Connects to a server on the loopback interface.
    ///
    /// # Errors
    ///
    /// When the connection is refused.
    pub(crate) async fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Returns the address that the server sees.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Sends these bytes. If the server has closed, the next read returns that.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// Returns the next reply or push.
    pub(crate) async fn read(&mut self) -> Came {
        self.read_by(Instant::now() + PATIENCE).await
    }

    /// Returns the next reply or push, unless it comes later than this.
    pub(crate) async fn read_by(&mut self, deadline: Instant) -> Came {
        loop {
            match Frame::parse(&self.received) {
                Ok(Some((frame, length))) => {
                    self.received.drain(..length);
                    return Came::Frame(frame);
                }
                Ok(None) => {}
                Err(why) => return Came::Noise(why),
            }
            if let Err(end) = self.read_more(deadline).await {
                return end;
            }
        }
    }

    /// Returns all bytes up to the end of the connection.
    pub(crate) async fn read_to_close(&mut self) -> Came {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Err(end) = self.read_more(deadline).await {
                return end;
            }
        }
    }

    /// Shuts the write half down, and returns all bytes up to the end of the connection.
    pub(crate) async fn leave(&mut self) -> Came {
        // This fails when the connection has already ended, which is fine.
        let _ = self.stream.shutdown().await;
        self.read_to_close().await
    }

    /// Reads more bytes. A reset counts as a close: a server that closes with unread input causes
    /// one.
    async fn read_more(&mut self, deadline: Instant) -> Result<(), Came> {
        let read = timeout_at(deadline, self.stream.read_buf(&mut self.received)).await;
        match read {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(Came::Close(std::mem::take(&mut self.received))),
            Err(_) => Err(Came::Silence(std::mem::take(&mut self.received))),
        }
    }
}

/// The deadline for a reply that normally takes less than a millisecond, on a busy machine.
pub(crate) const PATIENCE: Duration = harness::DEADLINE;
