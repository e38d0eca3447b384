//! A client of the broker within its own process, which runs the commands that arrive over HTTP.
//!
//! It is a client like any other: it has an address, a user and limits, and `CLIENT LIST` shows it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use resp::value::{Decoder, InvalidReply, Limits, Value};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Sources;
use super::json::json;
use crate::protocol::request::encode;
use crate::server::within::{self, LocalStream, Origin};

/// The share of a request in the memory for requests; small ones need none.
pub(super) type Memory = Option<OwnedSemaphorePermit>;

/// A connected client that has sent one command.
pub(super) struct LocalClient {
    stream: LocalStream,
    decoder: Decoder,
    buffer: BytesMut,
}

/// The reason why there is no reply.
#[derive(Debug, Error)]
pub(super) enum NoReply {
    /// The broker refuses the client, in Redis' words.
    #[error("{0}")]
    Refused(String),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the command has no reply within {} seconds", REPLY_TIME_MAX.as_secs())]
    Late,
    #[error("the reply has more than {} MB", REPLY_BYTES_MAX / 1024 / 1024)]
    TooLong,
    #[error("the connection within the broker failed")]
    Failed(#[from] io::Error),
    #[error("{0}")]
    Invalid(#[from] InvalidReply),
}

/// Maximum wait for a reply.
const REPLY_TIME_MAX: Duration = Duration::from_secs(30);
/// Maximum bytes of a reply. As JSON it takes several times as much.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;

impl LocalClient {
    /// Connects, sends a command, and returns the client with the first reply.
    pub(super) async fn call(
        sources: &Sources,
        origin: Origin,
        words: Vec<Vec<u8>>,
        memory: Memory,
    ) -> Result<(Self, Value), NoReply> {
        let stream = within::connect(&sources.server, &sources.workers, origin)?;
        let stream = stream.map_err(|text| NoReply::Refused(within::reason(text)))?;
        let limits = Limits { bulk_bytes_max: REPLY_BYTES_MAX, ..Limits::default() };
        let decoder = Decoder::new(limits);
        let mut client = Self { stream, decoder, buffer: BytesMut::new() };
        let replied = async {
            let mut requests = Vec::new();
            // Maps and doubles have types of their own there. A client that may not say so, as one
            // without a login, gets the reply of the command nevertheless.
            encode(&mut requests, &["HELLO", "3", "SETNAME", "http"]);
            encode(&mut requests, &words);
            drop(words);
            // Without a success there may be a reply nevertheless, with the reason.
            let written = client.stream.write_all(&requests).await;
            // Others need it while the command runs.
            drop((requests, memory));
            let hello = client.next().await?;
            match client.next().await {
                // The broker has closed the client, and said why.
                Err(NoReply::Closed | NoReply::Failed(_)) if matches!(hello, Value::Error(_)) => {
                    Ok(hello)
                }
                Err(_) if written.is_err() => Err(NoReply::Closed),
                reply => reply,
            }
        };
        let reply = timeout(REPLY_TIME_MAX, replied).await.map_err(|_| NoReply::Late)??;
        Ok((client, reply))
    }

    /// Returns the next reply or message.
    ///
    /// Cancel safe: a value that has arrived in part is kept.
    pub(super) async fn next(&mut self) -> Result<Value, NoReply> {
        loop {
            if let Some(value) = self.decoder.decode(&mut self.buffer)? {
                return Ok(value);
            }
            if self.buffer.len() > REPLY_BYTES_MAX {
                return Err(NoReply::TooLong);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(NoReply::Closed);
            }
        }
    }

    /// Returns `first`, or else waits for a message, and returns it with all that have arrived, each as
    /// a line of JSON.
    pub(super) async fn lines(&mut self, first: Option<Value>) -> Result<Bytes, NoReply> {
        let mut lines = String::new();
        let mut next = first;
        if next.is_none() {
            next = Some(self.next().await?);
        }
        while let Some(value) = next {
            lines.push_str(&json(&value).to_string());
            lines.push('\n');
            next = self.decoder.decode(&mut self.buffer)?;
        }
        Ok(lines.into())
    }
}
