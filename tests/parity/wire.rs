//! A socket of one client in a conversation, and what came over it.
//!
//! Unlike the client of other tests it never panics: silence, a close and bytes that are no RESP are
//! outcomes like any reply, since they are compared as well.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frame::Frame;

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came when something was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A reply or a push.
    Frame(Frame),
    /// The end of the connection, after these bytes.
    Close(Vec<u8>),
    /// Bytes that are no RESP, and why.
    Noise(String),
    /// Nothing, within the deadline, beyond these bytes.
    Silence(Vec<u8>),
}

impl Wire {
    /// Connects to a server on the loopback interface.
    ///
    /// # Errors
    ///
    /// When nobody accepts.
    pub(crate) async fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Returns the address that the server sees.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Sends these bytes. A server that has closed shows that when it is read from.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// Returns the next reply or push.
    pub(crate) async fn read(&mut self) -> Came {
        loop {
            match Frame::parse(&self.received) {
                Ok(Some((frame, length))) => {
                    self.received.drain(..length);
                    return Came::Frame(frame);
                }
                Ok(None) => {}
                Err(why) => return Came::Noise(why),
            }
            if let Err(end) = self.read_more().await {
                return end;
            }
        }
    }

    /// Returns all that comes up to the end of the connection.
    pub(crate) async fn read_to_close(&mut self) -> Came {
        loop {
            if let Err(end) = self.read_more().await {
                return end;
            }
        }
    }

    /// Says that nothing more will be sent, and returns what comes up to the end of the connection.
    pub(crate) async fn leave(&mut self) -> Came {
        // It fails when the connection is over already, which is what was asked for.
        let _ = self.stream.shutdown().await;
        self.read_to_close().await
    }

    /// A reset is an end, too: a server that closes with unread input causes one.
    async fn read_more(&mut self) -> Result<(), Came> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
        match read {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(Came::Close(std::mem::take(&mut self.received))),
            Err(_) => Err(Came::Silence(std::mem::take(&mut self.received))),
        }
    }
}

/// How long an answer may take that normally comes within a millisecond, on a machine that is busy.
const PATIENCE: Duration = harness::DEADLINE;
