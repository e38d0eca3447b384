//! The connection of a replica to its master: login, the request for the stream, the copy of the keys.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsConnector;

use crate::commands::replica::COUNTERS_CAPABILITY;
use crate::config::Config;
use crate::config::replication::{MasterAddress, ReplicationSettings};
use crate::keyspace::LoadError;
use crate::protocol::request::encode;
use crate::tls::TlsError;
use crate::tls::link::link_config;

/// A connection to a master.
pub(super) struct MasterSocket {
    pub(super) stream: Box<dyn Duplex>,
    /// The addresses of the master and of this end.
    pub(super) addresses: (SocketAddr, SocketAddr),
    /// Bytes that were read and not used.
    pub(super) buffer: BytesMut,
    /// A master that is silent for this time is taken for lost.
    time: Duration,
}

/// A stream in both directions, plain or with TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

/// The answer to the request for the stream.
#[derive(Debug)]
pub(super) enum Answer {
    /// A copy of all keys comes first.
    Full { stream: String, offset: u64 },
    /// The stream goes on. It may have got another name.
    Continue { stream: Option<String> },
}

/// The reason why a link ends.
#[derive(Debug, Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Failed(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("the master is silent")]
    Silent,
    #[error("the master has closed the connection")]
    Closed,
    #[error("the master answers {0} with {1:?}")]
    Refused(&'static str, String),
    #[error("the copy of the master's keys cannot be used: {0}")]
    Copy(#[from] LoadError),
    #[error("the copy of the master's keys is larger than maxmemory, {0} bytes")]
    TooLarge(usize),
    #[error("this server refuses the client for the stream: {0}")]
    NoPlace(String),
    #[error("this server has closed the client for the stream")]
    Ended,
}

impl From<Elapsed> for LinkError {
    fn from(_: Elapsed) -> Self {
        Self::Silent
    }
}

const READ_BYTES: usize = 64 * 1024;
/// Maximum length of a reply of the master before the stream.
const LINE_BYTES_MAX: usize = 4096;
/// Before a copy whose end is a mark in place of a length.
const MARKED: &[u8] = b"EOF:";
const MARK_BYTES: usize = 40;

impl MasterSocket {
    pub(super) async fn connect(
        master: &MasterAddress,
        config: &Config,
    ) -> Result<Self, LinkError> {
        let time = config.replication.timeout;
        let address = (master.host.as_str(), master.port);
        let stream = timeout(time, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let addresses = (stream.peer_addr()?, stream.local_addr()?);
        let stream: Box<dyn Duplex> = match config.replication.tls {
            false => Box::new(stream),
            true => {
                let settings = config.tls.clone();
                let tls = spawn_blocking(move || link_config(&settings)).await;
                let tls = tls.map_err(io::Error::other)??;
                let name = ServerName::try_from(master.host.clone()).map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::new(tls));
                Box::new(timeout(time, connector.connect(name, stream)).await??)
            }
        };
        Ok(Self { stream, addresses, buffer: BytesMut::new(), time })
    }

    /// Logs in, and says what this server is.
    pub(super) async fn introduce(
        &mut self,
        settings: &ReplicationSettings,
        port: u16,
    ) -> Result<(), LinkError> {
        let reply = self.ask(&[b"PING"]).await?;
        let needs_login = [&b"-NOAUTH"[..], b"-NOPERM", b"-ERR operation not permitted"];
        if !reply.starts_with(b"+") && !needs_login.iter().any(|start| reply.starts_with(start)) {
            return Err(refused("PING", &reply));
        }
        if let Some(password) = &settings.password {
            let reply = match &settings.user {
                Some(user) => self.ask(&[b"AUTH", user, password]).await?,
                None => self.ask(&[b"AUTH", password]).await?,
            };
            if !reply.starts_with(b"+") {
                return Err(refused("AUTH", &reply));
            }
        }
        let port = port.to_string();
        // A master that does not know one of these is no obstacle, as in Redis.
        self.ask(&[b"REPLCONF", b"listening-port", port.as_bytes()]).await?;
        if let Some(ip) = &settings.announced_ip {
            self.ask(&[b"REPLCONF", b"ip-address", ip.as_bytes()]).await?;
        }
        let capabilities: [&[u8]; 7] =
            [b"REPLCONF", b"capa", b"eof", b"capa", b"psync2", b"capa", COUNTERS_CAPABILITY];
        self.ask(&capabilities).await?;
        Ok(())
    }

    /// Asks for the stream behind the first `offset` bytes of `known`, or for a copy of all keys.
    pub(super) async fn ask_for_stream(
        &mut self,
        known: Option<(&str, u64)>,
    ) -> Result<Answer, LinkError> {
        let next = known.map(|(_, offset)| (offset + 1).to_string());
        let reply = match (known, &next) {
            (Some((stream, _)), Some(next)) => {
                self.ask(&[b"PSYNC", stream.as_bytes(), next.as_bytes()]).await?
            }
            _ => self.ask(&[b"PSYNC", b"?", b"-1"]).await?,
        };
        let text = String::from_utf8_lossy(&reply).into_owned();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["+FULLRESYNC", stream, offset] if let Some(offset) = offset_of(offset) => {
                Ok(Answer::Full { stream: stream.to_owned(), offset })
            }
            ["+CONTINUE"] => Ok(Answer::Continue { stream: None }),
            ["+CONTINUE", stream] => Ok(Answer::Continue { stream: Some(stream.to_owned()) }),
            _ => Err(refused("PSYNC", &reply)),
        }
    }

    /// Reads the copy of all keys, which is kept in memory: at most `bytes_max`.
    pub(super) async fn read_copy(&mut self, bytes_max: usize) -> Result<BytesMut, LinkError> {
        let line = self.line().await?;
        let length = line.strip_prefix(b"$").ok_or_else(|| refused("PSYNC", &line))?;
        if let Some(mark) = length.strip_prefix(MARKED).filter(|mark| mark.len() == MARK_BYTES) {
            // The mark stands behind the copy as well. Nothing follows it until it is acknowledged.
            while !self.buffer.ends_with(mark) {
                if self.buffer.len() > bytes_max.saturating_add(MARK_BYTES) {
                    return Err(LinkError::TooLarge(bytes_max));
                }
                self.read().await?;
            }
            let mut copy = std::mem::take(&mut self.buffer);
            copy.truncate(copy.len() - MARK_BYTES);
            return Ok(copy);
        }
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
        let length: usize = length.ok_or_else(|| refused("PSYNC", &line))?;
        if length > bytes_max {
            return Err(LinkError::TooLarge(bytes_max));
        }
        while self.buffer.len() < length {
            self.read().await?;
        }
        Ok(self.buffer.split_to(length))
    }

    /// Shows the master that this server is still busy with the copy, as Redis does.
    pub(super) async fn show_life(&mut self) -> Result<(), LinkError> {
        self.send(b"\n").await
    }

    /// Sends a request and returns the line of its reply.
    async fn ask(&mut self, words: &[&[u8]]) -> Result<Vec<u8>, LinkError> {
        let mut request = Vec::new();
        encode(&mut request, words);
        self.send(&request).await?;
        self.line().await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        timeout(self.time, self.stream.write_all(bytes)).await??;
        timeout(self.time, self.stream.flush()).await??;
        Ok(())
    }

    /// Reads a line. Empty ones keep the connection alive while the master prepares a copy.
    async fn line(&mut self) -> Result<Vec<u8>, LinkError> {
        loop {
            match self.buffer.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    let line = self.buffer.split_to(end + 1);
                    let line = line.trim_ascii_end();
                    if !line.is_empty() {
                        return Ok(line.to_vec());
                    }
                }
                None if self.buffer.len() > LINE_BYTES_MAX => {
                    return Err(refused("a request", self.buffer.chunk()));
                }
                None => self.read().await?,
            }
        }
    }

    /// Reads more bytes into the buffer.
    async fn read(&mut self) -> Result<(), LinkError> {
        self.buffer.reserve(READ_BYTES);
        match timeout(self.time, self.stream.read_buf(&mut self.buffer)).await?? {
            0 => Err(LinkError::Closed),
            _ => Ok(()),
        }
    }
}

/// Reads an offset of Redis, which has 63 bits. Half of them leave room to count on.
fn offset_of(text: &str) -> Option<u64> {
    let offset = text.parse::<u64>().ok()?;
    (offset <= u64::MAX >> 2).then_some(offset)
}

fn refused(request: &'static str, reply: &[u8]) -> LinkError {
    const SHOWN_BYTES_MAX: usize = 200;
    let shown = &reply[..reply.len().min(SHOWN_BYTES_MAX)];
    LinkError::Refused(request, String::from_utf8_lossy(shown).into_owned())
}
