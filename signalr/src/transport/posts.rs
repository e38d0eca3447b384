//! Hub messages that a client sends by POST.
//!
//! A small body reaches the session as a whole or not at all. A larger one is passed on in pieces,
//! since the session's input is bounded. If it then breaks off, the connection ends: the rest of a
//! message is missing.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::{select, sync::MutexGuard, time};

use super::{Incoming, Input};
use crate::{
    byte_queue::Closed,
    disconnect::Disconnect,
    http_connection::{HttpConnection, QUEUE_BYTES_MAX},
};

/// The half that receives from the client.
pub(crate) struct Reader {
    connection: Arc<HttpConnection>,
}

impl Reader {
    pub(crate) fn new(connection: Arc<HttpConnection>) -> Self {
        Self { connection }
    }
}

impl Incoming for Reader {
    async fn read(&mut self) -> Result<Input, Disconnect> {
        self.connection.take_input().await.map(Input::Bytes)
    }
}

/// The reason why the body of a POST did not reach the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostError {
    /// The body is over the limit.
    TooLarge,
    /// The client did not send all of it.
    Broken,
    /// The client, or the session, took too long.
    TimedOut,
    /// The connection has ended.
    Ended,
}

impl From<Closed> for PostError {
    fn from(Closed: Closed) -> Self {
        Self::Ended
    }
}

/// The limits of a POST.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// Passes the body of a POST to the session, and waits until the session has room for it.
pub(crate) async fn receive(
    connection: &HttpConnection,
    body: Body,
    limits: Limits,
) -> Result<(), PostError> {
    if body.size_hint().lower() > limits.bytes_max as u64 {
        return Err(PostError::TooLarge);
    }
    let mut post = Post { connection, turn: None, is_partial: false };
    let passed = time::timeout(limits.timeout, post.pass_on(body, limits.bytes_max));
    passed.await.unwrap_or(Err(PostError::TimedOut))
}

/// A POST on its way to the session. Dropping a partial one ends the connection.
struct Post<'a> {
    connection: &'a HttpConnection,
    turn: Option<MutexGuard<'a, ()>>,
    /// Whether the session has received a part only.
    is_partial: bool,
}

impl Post<'_> {
    async fn pass_on(&mut self, body: Body, bytes_max: usize) -> Result<(), PostError> {
        let mut pieces = body.into_data_stream();
        let mut ended = pin!(self.connection.ended());
        let mut gathered = BytesMut::new();
        let mut bytes = 0;
        loop {
            let piece = select! {
                () = &mut ended => return Err(PostError::Ended),
                piece = pieces.next() => piece,
            };
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|_| PostError::Broken)?;
            bytes += piece.len();
            if bytes > bytes_max {
                return Err(PostError::TooLarge);
            }
            if gathered.len() + piece.len() > QUEUE_BYTES_MAX {
                self.push(gathered.split().freeze()).await?;
            }
            gathered.extend_from_slice(&piece);
        }
        self.push(gathered.freeze()).await?;
        self.is_partial = false;
        Ok(())
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), PostError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.turn.is_none() {
            self.turn = Some(self.connection.posting().await);
        }
        self.connection.push_input(bytes).await?;
        self.is_partial = true;
        Ok(())
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        if self.is_partial {
            self.connection.end(Disconnect::Lost("a POST broke off".to_owned()));
        }
    }
}
