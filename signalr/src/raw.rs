//! Connections whose bytes are the application's own, without a hub protocol.
//!
//! The session moves bytes between the transport and the handler, one message to the client at a
//! time. Bytes of the client wait in a queue of 64 KiB, so the session reads on behind them and
//! notices the end of the connection. A side that is slower than that slows down the other one.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{byte_queue::ByteQueue, peer::Peer};

/// A connection of a client that exchanges bytes with the application. See
/// [`Hub::raw_router`](crate::Hub::raw_router).
///
/// Dropping it closes the connection, behind the messages that have been sent.
///
/// # Examples
///
/// See [`Hub::raw_router`](crate::Hub::raw_router).
#[derive(Debug)]
pub struct RawConnection {
    peer: Arc<Peer>,
    carries_binary: bool,
    from_client: Arc<ByteQueue>,
    to_client: mpsc::Sender<RawMessage>,
}

/// A message of the application.
#[derive(Debug)]
pub(crate) enum RawMessage {
    Text(String),
    Binary(Bytes),
}

/// The session's end of a raw connection. Dropping it lets the application take the bytes that
/// wait, and then reports the end.
#[derive(Debug)]
pub(crate) struct RawSession {
    pub(crate) to_app: Arc<ByteQueue>,
    pub(crate) from_app: mpsc::Receiver<RawMessage>,
}

/// The reason why a message cannot be sent.
///
/// # Examples
///
/// ```
/// let error = signalr::RawSendError::Closed;
/// assert_eq!(error.to_string(), "the connection has ended");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawSendError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The transport of the connection carries text only.
    #[error("the transport carries text only")]
    TextOnly,
}

impl RawConnection {
    pub(crate) fn new(peer: Arc<Peer>, carries_binary: bool) -> (Self, RawSession) {
        let to_app = Arc::new(ByteQueue::new(UNREAD_BYTES_MAX));
        let from_client = Arc::clone(&to_app);
        let (to_client, from_app) = mpsc::channel(1);
        (Self { peer, carries_binary, from_client, to_client }, RawSession { to_app, from_app })
    }

    /// Returns the id of the connection.
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.peer.connection_id
    }

    /// Returns the id of the user.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.peer.user_id.as_deref()
    }

    /// Waits for bytes of the client. Returns `None` at the end of the connection.
    ///
    /// Up to 64 KiB wait here, and the client can send no more behind them. The connection ends if
    /// that lasts longer than [`Options::write_timeout`](crate::Options::write_timeout) and the
    /// application sends nothing meanwhile. So read also from a client that is not expected to send.
    ///
    /// The bytes are a stream: a transport may divide or join messages of the client.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are lost.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.from_client.take().await
    }

    /// Sends text, and waits while the client reads too slowly. It is one message for the client.
    ///
    /// # Errors
    ///
    /// [`RawSendError::Closed`] after the end of the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the text may not be sent.
    pub async fn send_text(&self, text: impl Into<String>) -> Result<(), RawSendError> {
        self.send(RawMessage::Text(text.into())).await
    }

    /// Sends bytes, and waits while the client reads too slowly. They are one message for the
    /// client.
    ///
    /// # Errors
    ///
    /// [`RawSendError::TextOnly`] over Server-Sent Events, and [`RawSendError::Closed`] after the
    /// end of the connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the bytes may not be sent.
    pub async fn send_binary(&self, bytes: impl Into<Bytes>) -> Result<(), RawSendError> {
        if !self.carries_binary {
            return Err(RawSendError::TextOnly);
        }
        self.send(RawMessage::Binary(bytes.into())).await
    }

    async fn send(&self, message: RawMessage) -> Result<(), RawSendError> {
        self.to_client.send(message).await.map_err(|_| RawSendError::Closed)
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        // Nothing takes further bytes, so the session drops them.
        self.from_client.close();
    }
}

impl Drop for RawSession {
    fn drop(&mut self) {
        self.to_app.close();
    }
}

impl RawMessage {
    pub(crate) fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// The application's function for each raw connection.
pub(crate) type RawHandler =
    Arc<dyn Fn(RawConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Size of the client's bytes that the application has still to take. Behind them the session does
/// not read, and does not notice that the client closes.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
