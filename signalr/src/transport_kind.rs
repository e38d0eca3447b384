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

/// Returns whether a request asks for Server-Sent Events. As in ASP.NET Core, the case of the type
/// is ignored.
pub(crate) fn accepts_events(parts: &Parts) -> bool {
    let accept = parts.headers.get_all(header::ACCEPT);
    let texts = accept.iter().filter_map(|accept| accept.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|accepted| {
        let kind = accepted.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_request_asks_for_events_by_their_type() {
        check(&["text/event-stream"], true);
        check(&["Text/EVENT-Stream"], true);
        check(&["application/json, text/event-stream;q=0.9, */*"], true);
        check(&["application/json", "text/event-stream"], true);
        check(&["text/event-streams"], false);
        check(&["*/*"], false);
        check(&[], false);
    }

    #[test]
    fn a_request_opens_a_websocket_in_any_case() {
        let upgrade = |to| parts(Request::get("/hub").header("upgrade", to));
        assert!(is_websocket(&upgrade("websocket")));
        assert!(is_websocket(&upgrade("WebSocket")));
        assert!(!is_websocket(&upgrade("h2c")));
        assert!(is_websocket(&parts(Request::connect("/hub"))));
        assert!(!is_websocket(&parts(Request::get("/hub"))));
    }

    fn check(accept: &[&str], expected: bool) {
        let request = Request::get("/hub");
        let request = accept.iter().fold(request, |request, text| request.header("accept", *text));
        assert_eq!(accepts_events(&parts(request)), expected, "{accept:?}");
    }

    fn parts(request: axum::http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }
}
