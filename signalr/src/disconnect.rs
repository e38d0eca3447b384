//! The reason for the end of a connection, and the Close message for it.
//!
//! Clients with automatic reconnect come back if the Close message allows it. As with a real hub,
//! the application's own decisions (abort, refusal) forbid it; a shutdown, a timeout, a gap or a
//! protocol error allows it.

use backplane::{Connection, Gap};
use bytes::Bytes;

use crate::{
    handshake::HandshakeError,
    metrics::Status,
    protocol::{Encoding, ProtocolError},
};

/// The reason for the end of a connection.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Disconnect {
    #[error("the client sent a Close message")]
    Client,
    #[error("the client closed its transport")]
    TransportClosed,
    #[error("transport error: {0}")]
    Transport(#[from] TransportError),
    #[error("transport lost: {0}")]
    Lost(String),
    #[error("client timeout")]
    ClientTimeout,
    #[error("write timeout")]
    WriteTimeout,
    #[error("the client reads too slowly")]
    SlowConnection,
    #[error("messages for the client may be lost: {0}")]
    Gap(Gap),
    #[error("the user has expired")]
    Expired,
    #[error("the application has closed a raw connection")]
    Finished,
    #[error("the application does not read a raw connection")]
    Unread,
    #[error("server shutdown")]
    Shutdown,
    #[error("another server goes on with the client")]
    Moved,
    /// With the encoding of the client.
    #[error("the client continues a connection that no server has")]
    Unresumable(Encoding),
    #[error("the client skipped messages")]
    Sequence,
    #[error("aborted by the application")]
    Aborted,
    /// The reason is for the client.
    #[error("aborted by the application: {0}")]
    AbortedWith(String),
    #[error("refused by the application: {0}")]
    Refused(String),
    #[error("protocol error: {0}")]
    Protocol(#[from] ProtocolError),
    #[error("handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
}

impl Disconnect {
    /// Returns the last hub message to the client, or `None` if the transport cannot carry it.
    ///
    /// The message includes the cause of an error if `detailed` is set.
    pub(crate) fn close_message(&self, encoding: Encoding, detailed: bool) -> Option<Bytes> {
        let failed = |details: &str, allow_reconnect| {
            let text = match detailed {
                true => &format!("{CLOSED_WITH_ERROR} {details}"),
                false => CLOSED_WITH_ERROR,
            };
            Some(encoding.close(Some(text), allow_reconnect))
        };
        match self {
            Self::Shutdown | Self::Expired => Some(encoding.close(None, true)),
            Self::Client | Self::Aborted => Some(encoding.close(None, false)),
            Self::AbortedWith(reason) => Some(encoding.close(Some(reason), false)),
            Self::ClientTimeout => failed(CLIENT_TIMEOUT, true),
            Self::Gap(_) => failed(MESSAGES_LOST, true),
            Self::Protocol(error) => failed(&format!("{}: {error}", error.exception()), true),
            Self::Refused(error) => failed(error, false),
            Self::Handshake(error) => Some(error.reply(detailed)),
            // The client takes no other message before the number of the first one.
            Self::Unresumable(encoding) => {
                Some([encoding.sequence(1), encoding.close(None, true)].concat().into())
            }
            Self::TransportClosed
            | Self::Moved
            | Self::Finished
            | Self::Unread
            | Self::Transport(_)
            | Self::Sequence
            | Self::Lost(_)
            | Self::WriteTimeout
            | Self::SlowConnection => None,
        }
    }

    /// Returns the reason for the log. It has no text of the client, which may contain a secret.
    pub(crate) fn log_text(&self) -> String {
        match self {
            Self::Handshake(
                HandshakeError::Missing { .. }
                | HandshakeError::InvalidStart(_)
                | HandshakeError::UnknownProtocol(_)
                | HandshakeError::UnknownVersion { .. },
            ) => "handshake failed: invalid request".to_owned(),
            other => other.to_string(),
        }
    }

    /// Returns the kind of end for the metrics.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Shutdown => Status::AppShutdown,
            Self::ClientTimeout
            | Self::WriteTimeout
            | Self::Unread
            | Self::Handshake(HandshakeError::TimedOut) => Status::Timeout,
            _ => Status::NormalClosure,
        }
    }

    /// Returns the error that the close of the transport names.
    pub(crate) fn transport_error(&self) -> Option<TransportError> {
        match self {
            Self::Transport(error) => Some(*error),
            _ => None,
        }
    }

    /// Returns whether the client can still receive a close.
    pub(crate) fn is_reachable(&self) -> bool {
        !matches!(self, Self::Lost(_) | Self::WriteTimeout | Self::SlowConnection)
    }
}

/// A violation of the transport's own protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("invalid frame")]
    Frame,
    #[error("text that is not UTF-8")]
    Text,
}

impl Disconnect {
    /// Returns the reason for which the backplane has ended a connection.
    pub(crate) fn of(disconnect: backplane::Disconnect, connection: &Connection) -> Self {
        match disconnect {
            backplane::Disconnect::SlowConnection => Self::SlowConnection,
            backplane::Disconnect::Aborted => {
                connection.abort_reason().map_or(Self::Aborted, Self::AbortedWith)
            }
            _ => Self::Shutdown,
        }
    }
}

const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";
const CLIENT_TIMEOUT: &str = "OperationCanceledException: Client hasn't sent a message/ping within \
                              the configured ClientTimeoutInterval.";
const MESSAGES_LOST: &str = "Messages for this client may be lost.";
