//! Hub messages to a client over long polling.
//!
//! Messages wait for a poll, which takes all of them. If they fill the queue, the session waits,
//! and its write timeout applies. The polls show that the client is there, so the server sends no
//! pings.

use std::{mem, sync::Arc};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};

use super::Outgoing;
use crate::{
    disconnect::{Disconnect, TransportError},
    http_connection::{HttpConnection, Polled, QUEUE_BYTES_MAX},
};

/// Returns the response to the poll that opens a connection.
pub(crate) fn opened() -> Response {
    messages(Bytes::new())
}

/// Returns the response to a later poll.
pub(crate) fn response(polled: Polled) -> Response {
    match polled {
        Polled::Messages(bytes) => messages(bytes),
        Polled::TimedOut => (TEXT, ()).into_response(),
        Polled::Replaced | Polled::Ended => (StatusCode::NO_CONTENT, TEXT).into_response(),
    }
}

/// Adds the headers that all responses to polls have, refusals included.
pub(crate) fn uncached(response: Response) -> Response {
    (NO_CACHE, response).into_response()
}

fn messages(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

/// The half that sends to the client.
pub(crate) struct Writer {
    connection: Arc<HttpConnection>,
    /// The messages of the next flush.
    gathered: BytesMut,
}

impl Writer {
    pub(crate) fn new(connection: Arc<HttpConnection>) -> Self {
        Self { connection, gathered: BytesMut::new() }
    }
}

impl Outgoing for Writer {
    fn needs_pings(&self) -> bool {
        false
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        self.gathered.extend_from_slice(&messages);
        if self.gathered.len() >= QUEUE_BYTES_MAX {
            return self.flush().await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.connection.push_output(mem::take(&mut self.gathered).freeze()).await
    }

    async fn close(&mut self, _: Option<TransportError>) -> Result<(), Disconnect> {
        self.flush().await?;
        self.connection.close_output();
        Ok(())
    }
}

const TEXT: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain")];
/// ASP.NET Core's headers.
const NO_CACHE: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
    (header::EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT")),
];
