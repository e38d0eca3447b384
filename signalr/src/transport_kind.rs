//! The transports that clients can choose after the negotiation.

use axum::http::{Method, header, request::Parts};

/// A transport between a client and its server.
///
/// # Examples
///
/// ```
/// use signalr::{Options, TransportKind};
///
/// let mut options = Options::default();
/// options.transports = vec![TransportKind::WebSockets, TransportKind::LongPolling];
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// One WebSocket carries both directions.
    WebSockets,
    /// One response without an end carries messages to the client, as Server-Sent Events. Each
    /// POST carries messages to the server. Text only.
    ServerSentEvents,
    /// Each poll carries messages to the client, and each POST carries messages to the server.
    LongPolling,
}

impl TransportKind {
    pub(crate) const ALL: [Self; 3] = [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];

    /// Returns the name in negotiations and refusals.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }

    /// Returns the name in metrics, which is OpenTelemetry's.
    pub(crate) fn metric_name(self) -> &'static str {
        match self {
            Self::WebSockets => "web_sockets",
            Self::ServerSentEvents => "server_sent_events",
            Self::LongPolling => "long_polling",
        }
    }

    /// Returns the formats of hub protocols that the transport carries.
    pub(crate) fn formats(self) -> &'static [&'static str] {
        match self {
            Self::WebSockets | Self::LongPolling => &["Text", "Binary"],
            Self::ServerSentEvents => &["Text"],
        }
    }
}

/// Returns whether a request opens a WebSocket.
pub(crate) fn is_websocket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE);
    parts.method == Method::CONNECT
        || upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Returns whether a request can be answered with Server-Sent Events.
pub(crate) fn accepts_events(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/event-stream"))
}
