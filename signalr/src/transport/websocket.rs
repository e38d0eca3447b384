//! Hub messages over a WebSocket.
//!
//! Incoming opcodes are ignored, since clients send the handshake as text with every protocol.
//! Outgoing frames hold whole hub messages, as the JavaScript client requires.

use std::future;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio_tungstenite::tungstenite;

use super::{Incoming, Input, Outgoing};
use crate::{
    disconnect::{Disconnect, TransportError},
    options::Options,
    protocol::ProtocolError,
};

/// Sets the buffers and limits of a new WebSocket.
pub(crate) fn configure(upgrade: WebSocketUpgrade, options: &Options) -> WebSocketUpgrade {
    // A WebSocket message may hold several hub messages that a client has queued. Each of them has
    // its own limit.
    let frame_bytes_max = options.frame_bytes_max.max(options.message_bytes_max);
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(frame_bytes_max)
        .max_message_size(frame_bytes_max)
        // ASP.NET Core accepts frames without a mask, too.
        .accept_unmasked_frames(true)
}

/// Returns the two halves of an open WebSocket.
pub(crate) fn halves(socket: WebSocket, options: &Options) -> (Reader, Writer) {
    split(socket, options.message_bytes_max)
}

/// Returns the two halves of an open WebSocket. Errors name the limit.
pub(crate) fn split(socket: WebSocket, message_bytes_max: usize) -> (Reader, Writer) {
    let (sink, stream) = socket.split();
    let reader = Reader { stream, is_readable: true, message_bytes_max };
    (reader, Writer { sink, is_binary: false })
}

/// The half that receives from the client.
pub(crate) struct Reader {
    stream: SplitStream<WebSocket>,
    /// False after an invalid frame or a frame over the limit: its content follows in the stream.
    is_readable: bool,
    message_bytes_max: usize,
}

impl Incoming for Reader {
    async fn read(&mut self) -> Result<Input, Disconnect> {
        // Returns nothing until the close timeout. A close with unread bytes makes the network drop
        // the Close message, which names the error.
        if !self.is_readable {
            future::pending().await
        }
        loop {
            match self.stream.next().await {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    return Ok(Input::Bytes(message.into_data()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // With any code, since browsers close without one.
                Some(Ok(Message::Close(_))) => return Err(Disconnect::TransportClosed),
                Some(Err(error)) => return Err(self.disconnect(error)),
                None => return Err(Disconnect::Lost("no close frame from the client".to_owned())),
            }
        }
    }
}

impl Reader {
    fn disconnect(&mut self, error: axum::Error) -> Disconnect {
        use tungstenite::error::{Error, ProtocolError::ResetWithoutClosingHandshake};

        let error = error.into_inner();
        let disconnect = match error.downcast_ref() {
            Some(Error::Capacity(_)) => ProtocolError::TooLarge(self.message_bytes_max).into(),
            Some(Error::Utf8(_)) => TransportError::Text.into(),
            Some(Error::Protocol(cause)) if *cause != ResetWithoutClosingHandshake => {
                TransportError::Frame.into()
            }
            _ => return Disconnect::Lost(error.to_string()),
        };
        self.is_readable = false;
        disconnect
    }
}

/// The half that sends to the client.
pub(crate) struct Writer {
    sink: SplitSink<WebSocket, Message>,
    is_binary: bool,
}

impl Outgoing for Writer {
    fn set_binary(&mut self, is_binary: bool) {
        self.is_binary = is_binary;
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        let message = match self.is_binary {
            true => Message::Binary(messages),
            false => Message::Text(Utf8Bytes::try_from(messages).expect("JSON is UTF-8")),
        };
        self.sink.feed(message).await.map_err(lost)
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        self.sink.flush().await.map_err(lost)
    }

    async fn close(&mut self, error: Option<TransportError>) -> Result<(), Disconnect> {
        let code = match error {
            None => close_code::NORMAL,
            Some(TransportError::Frame) => close_code::PROTOCOL,
            Some(TransportError::Text) => close_code::INVALID,
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        if self.sink.send(Message::Close(Some(frame))).await.is_ok() {
            return Ok(());
        }
        // The client closed first: the flush sends the reply to its close frame.
        self.flush().await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature for map_err")]
fn lost(error: axum::Error) -> Disconnect {
    Disconnect::Lost(error.to_string())
}

/// Read buffer of an idle connection. It grows while a larger frame arrives.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that are gathered before a write without a flush.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
