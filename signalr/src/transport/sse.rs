//! Hub messages to a client over Server-Sent Events.
//!
//! The response has no end before the connection's. Each flush is one event. A line break inside a
//! message begins a new `data:` line, and the client puts a line feed back there. The end of the
//! response, for any reason, ends the connection.

use std::{convert::Infallible, mem, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::Outgoing;
use crate::{
    disconnect::{Disconnect, TransportError},
    http_connection::{HttpConnection, QUEUE_BYTES_MAX},
};

/// Returns the response that carries all messages of a connection.
pub(crate) fn response(connection: Arc<HttpConnection>) -> Response {
    let events = Events { connection, is_open: false };
    let body = stream::unfold(events, |mut events| async {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    (HEADERS, Body::from_stream(body)).into_response()
}

/// The body of the response. Dropping it ends the connection.
struct Events {
    connection: Arc<HttpConnection>,
    is_open: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.is_open {
            self.is_open = true;
            return Some(COMMENT);
        }
        self.connection.take_output().await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.end(Disconnect::TransportClosed);
    }
}

/// The half that sends to the client.
pub(crate) struct Writer {
    connection: Arc<HttpConnection>,
    /// The event of the next flush, without its end.
    event: BytesMut,
}

impl Writer {
    pub(crate) fn new(connection: Arc<HttpConnection>) -> Self {
        Self { connection, event: BytesMut::new() }
    }
}

impl Outgoing for Writer {
    fn carries_binary(&self) -> bool {
        false
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        append(&mut self.event, &messages);
        if self.event.len() >= QUEUE_BYTES_MAX {
            return self.flush().await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        if self.event.is_empty() {
            return Ok(());
        }
        self.event.extend_from_slice(END);
        // Without `split`, which would keep the memory of an idle connection.
        self.connection.push_output(mem::take(&mut self.event).freeze()).await
    }

    async fn close(&mut self, _: Option<TransportError>) -> Result<(), Disconnect> {
        self.flush().await?;
        self.connection.close_output();
        Ok(())
    }
}

/// Appends whole messages to an event.
fn append(event: &mut BytesMut, messages: &[u8]) {
    if event.is_empty() {
        event.extend_from_slice(DATA);
    }
    let mut rest = messages;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        event.extend_from_slice(&rest[..at]);
        event.extend_from_slice(b"\r\n");
        event.extend_from_slice(DATA);
        let line_break = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + line_break..];
    }
    event.extend_from_slice(rest);
}

/// ASP.NET Core's headers. The last one makes nginx send each event at once.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache,no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
    (header::CONTENT_ENCODING, HeaderValue::from_static("identity")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];
/// Makes browsers report the open response.
const COMMENT: Bytes = Bytes::from_static(b":\r\n");
const DATA: &[u8] = b"data: ";
/// Ends the last line and the event.
const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_begins_a_data_line() {
        check(&["a\u{1e}"], "data: a\u{1e}");
        check(&["a\u{1e}", "b\u{1e}"], "data: a\u{1e}b\u{1e}");
        check(&["[1,\n2]\u{1e}"], "data: [1,\r\ndata: 2]\u{1e}");
        check(&["[1,\r\n\r2]\u{1e}"], "data: [1,\r\ndata: \r\ndata: 2]\u{1e}");
        check(&["\n", "\n"], "data: \r\ndata: \r\ndata: ");
    }

    fn check(messages: &[&str], expected: &str) {
        let mut event = BytesMut::new();
        messages.iter().for_each(|message| append(&mut event, message.as_bytes()));
        assert_eq!(event, expected, "{messages:?}");
    }
}
