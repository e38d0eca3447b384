//! One RESP2 connection that we read and write ourselves.
//!
//! Subscriptions use only these connections. Connections for commands start as one, and pass their
//! stream on after the login.

use std::time::Duration;

use bytes::BytesMut;
use resp::request;
use resp::value::{Decoder, Limits, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::failure::Failure;
use super::stream::Stream;
use super::timeouts::bounded;
use crate::address::{Address, Host, Login};

#[derive(Debug)]
pub(super) struct RespConnection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    decoder: Decoder,
    /// The master that the Sentinels reported, if they did.
    pub(super) master: Option<Host>,
}

/// Replies to our requests are flat or nested a few times.
const LIMITS: Limits = Limits {
    depth_max: 8,
    items_max: 1024 * 1024,
    bulk_bytes_max: 512 * 1024 * 1024,
    line_bytes_max: 64 * 1024,
};
const INVALID: &str = "the server does not use Redis' protocol";
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

impl RespConnection {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: BytesMut::new(), decoder: Decoder::new(LIMITS), master: None }
    }

    /// Authenticates, if there is a password or a user.
    pub(super) async fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        let reply = match (&login.user, &login.password) {
            (None, None) => return Ok(()),
            (None, Some(password)) => self.ask(&[b"AUTH", password.as_bytes()]).await,
            (Some(user), password) => {
                let password = password.as_deref().unwrap_or_default();
                self.ask(&[b"AUTH", user.as_bytes(), password.as_bytes()]).await
            }
        };
        reply.map(drop)
    }

    /// Sets the client's name and selects the database.
    pub(super) async fn introduce(&mut self, address: &Address) -> Result<(), Failure> {
        if let Some(name) = &address.client_name {
            self.ask(&[b"CLIENT", b"SETNAME", name.as_bytes()]).await?;
        }
        if address.database != 0 {
            self.ask(&[b"SELECT", address.database.to_string().as_bytes()]).await?;
        }
        Ok(())
    }

    /// Sends a request and returns its reply. Only for connections without a subscription.
    pub(super) async fn ask(&mut self, words: &[&[u8]]) -> Result<Value, Failure> {
        self.write(&[words]).await?;
        match self.read().await? {
            Value::Error(text) => Err(Failure::of_reply(&String::from_utf8_lossy(&text))),
            value => Ok(value),
        }
    }

    /// Writes several requests at once.
    pub(super) async fn write(&mut self, requests: &[&[&[u8]]]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        requests.iter().for_each(|words| request::encode(&mut bytes, words));
        self.write_bytes(&bytes).await
    }

    /// Writes encoded requests.
    pub(super) async fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads the next value. Cancel safe.
    pub(super) async fn read(&mut self) -> Result<Value, Failure> {
        loop {
            if let Some(value) = self.take()? {
                return Ok(value);
            }
            self.fill().await?;
        }
    }

    /// Reads the next value, or only a part of it, which shows that the server is alive. Calls
    /// `before_waiting` if no value is ready. Cancel safe.
    pub(super) async fn read_some(
        &mut self,
        before_waiting: impl FnOnce(),
    ) -> Result<Option<Value>, Failure> {
        match self.take()? {
            Some(value) => Ok(Some(value)),
            None => {
                before_waiting();
                self.fill().await.map(|()| None)
            }
        }
    }

    /// Reads a value that may be large. The timeout applies to each part of it.
    pub(super) async fn read_while_it_comes(&mut self, within: Duration) -> Result<Value, Failure> {
        loop {
            if let Some(value) = self.take()? {
                return Ok(value);
            }
            bounded(within, self.fill()).await?;
        }
    }

    /// Reads values of the server into the buffer, up to a size, until the connection fails. Cancel
    /// safe.
    pub(super) async fn read_ahead(&mut self, bytes_max: usize) -> Failure {
        while self.buffer.len() < bytes_max {
            if let Err(failure) = self.fill().await {
                return failure;
            }
        }
        std::future::pending().await
    }

    /// Reads available bytes, or waits for some. Cancel safe.
    async fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.reserve(CHUNK_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Failure::closed()),
            _ => Ok(()),
        }
    }

    /// Returns the next value, if it is complete.
    pub(super) fn take(&mut self) -> Result<Option<Value>, Failure> {
        self.decoder.decode(&mut self.buffer).map_err(|_| Failure::Lost(INVALID.to_owned()))
    }

    /// Returns the stream. All requests have replies, so the buffer is empty.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        debug_assert!(self.buffer.is_empty(), "a reply without a request");
        self.stream
    }
}
