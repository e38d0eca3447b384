//! The four transports of SignalR 2, as a connection sees them.
//!
//! A connection passes texts to the open transport through a short queue. The task of the transport
//! writes them. Either side ends the transport: the connection drops its end of the queue, or the
//! task does.

use std::future;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{protocol::classic::KEEP_ALIVE, transport_kind::TransportKind};

/// The open transport of a connection.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) form: Form,
    pub(super) frames: mpsc::Sender<Bytes>,
    /// Sizes of the last texts, which are in the queue if it is full.
    sizes: [usize; FRAMES_MAX],
}

/// What surrounds the frames of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    WebSocket,
    /// Server-Sent Events.
    Events,
    /// A page in a hidden frame, for browsers without Server-Sent Events.
    ForeverFrame {
        id: u32,
    },
    /// Long polling: one frame, then the transport ends.
    Poll {
        callback: Option<String>,
    },
}

/// The name of a transport in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    WebSockets,
    ServerSentEvents,
    ForeverFrame,
    LongPolling,
}

impl Kind {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let kinds = [
            ("webSockets", Self::WebSockets),
            ("serverSentEvents", Self::ServerSentEvents),
            ("foreverFrame", Self::ForeverFrame),
            ("longPolling", Self::LongPolling),
        ];
        let known = kinds.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, kind)| kind)
    }

    /// Returns the transport as methods see it. A forever frame is one response without an end, too.
    pub(super) fn transport_kind(self) -> TransportKind {
        match self {
            Self::WebSockets => TransportKind::WebSockets,
            Self::ServerSentEvents | Self::ForeverFrame => TransportKind::ServerSentEvents,
            Self::LongPolling => TransportKind::LongPolling,
        }
    }
}

impl Transport {
    /// Returns a transport and the queue of its task.
    pub(super) fn new(form: Form) -> (Self, mpsc::Receiver<Bytes>) {
        let (frames, to_write) = mpsc::channel(FRAMES_MAX);
        (Self { form, frames, sizes: Default::default() }, to_write)
    }

    /// Records a text that was queued.
    pub(super) fn queued(&mut self, bytes: usize) {
        self.sizes.rotate_right(1);
        self.sizes[0] = bytes;
    }

    /// Returns the size of the texts that wait for the client, if the queue is full.
    pub(super) fn waiting_bytes(&self) -> Option<usize> {
        (self.frames.capacity() == 0).then(|| self.sizes.iter().sum())
    }

    /// Returns whether it ends after one frame.
    pub(super) fn is_poll(&self) -> bool {
        matches!(self.form, Form::Poll { .. })
    }
}

impl Form {
    /// Returns the name in metrics, which is OpenTelemetry's if it has one.
    pub(super) fn metric_name(&self) -> &'static str {
        match self {
            Self::WebSocket => "web_sockets",
            Self::Events => "server_sent_events",
            Self::ForeverFrame { .. } => "forever_frame",
            Self::Poll { .. } => "long_polling",
        }
    }

    /// Returns the text before all frames.
    pub(super) fn preamble(&self) -> Option<Bytes> {
        match self {
            Self::WebSocket | Self::Poll { .. } => None,
            Self::Events => Some(Bytes::from_static(b"data: initialized\n\n")),
            Self::ForeverFrame { id } => Some(FRAME_PAGE.replace("ID", &id.to_string()).into()),
        }
    }

    /// Returns a frame, which is one line of JSON, for this transport.
    pub(super) fn frame(&self, json: Bytes) -> Bytes {
        match self {
            Self::WebSocket | Self::Poll { callback: None } => json,
            Self::Events => [b"data: ", &json[..], b"\n\n"].concat().into(),
            Self::Poll { callback: Some(callback) } => {
                [callback.as_bytes(), b"(", &json, b");"].concat().into()
            }
            Self::ForeverFrame { .. } => {
                let json = String::from_utf8_lossy(&json).replace('<', "\\u003c");
                let json = json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
                format!("<script>receive(connection, {json});</script>\r\n").into()
            }
        }
    }

    /// Returns the text that keeps an idle transport open.
    pub(super) fn keep_alive(&self) -> Bytes {
        match self {
            // White space before the only frame.
            Self::Poll { .. } => Bytes::from_static(b" "),
            _ => self.frame(KEEP_ALIVE),
        }
    }
}

/// Waits for room in the queue of a transport. Returns `None` if the transport has ended.
pub(super) async fn room(frames: Option<&mpsc::Sender<Bytes>>) -> Option<mpsc::Permit<'_, Bytes>> {
    match frames {
        Some(frames) => frames.reserve().await.ok(),
        None => future::pending().await,
    }
}

/// Waits until the task of a transport has ended.
pub(super) async fn closed(frames: Option<&mpsc::Sender<Bytes>>) {
    match frames {
        Some(frames) => frames.closed().await,
        None => future::pending().await,
    }
}

/// Maximum frames between a connection and the task of its transport.
const FRAMES_MAX: usize = 4;

/// The start of the page in a forever frame. The client of the page around it receives the frames.
const FRAME_PAGE: &str = "<!DOCTYPE html><html><head><title>SignalR</title>\r\n<script>\r\n\
    var frames = window.parent.jQuery && window.parent.jQuery.signalR.transports.foreverFrame;\r\n\
    var connection = frames && frames.getConnection(\"ID\");\r\n\
    var receive = frames ? frames.receive : function () {};\r\n\
    if (frames) { frames.started(connection); }\r\n\
    </script></head><body>\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transport_has_its_form() {
        let json = Bytes::from_static(b"{\"A\":\"</script>\"}");
        let poll = |callback: Option<&str>| Form::Poll { callback: callback.map(str::to_owned) };
        for (form, preamble, frame, keep_alive) in [
            (Form::WebSocket, None, "{\"A\":\"</script>\"}", "{}"),
            (
                Form::Events,
                Some("data: initialized\n\n"),
                "data: {\"A\":\"</script>\"}\n\n",
                "data: {}\n\n",
            ),
            (poll(None), None, "{\"A\":\"</script>\"}", " "),
            (poll(Some("f")), None, "f({\"A\":\"</script>\"});", " "),
        ] {
            assert_eq!(form.preamble().as_deref(), preamble.map(str::as_bytes), "{form:?}");
            assert_eq!(form.frame(json.clone()), frame, "{form:?}");
            assert_eq!(form.keep_alive(), keep_alive, "{form:?}");
        }
        let form = Form::ForeverFrame { id: 7 };
        let page = String::from_utf8(form.preamble().unwrap().to_vec()).unwrap();
        assert!(page.contains("getConnection(\"7\")"), "{page}");
        let frame = "<script>receive(connection, {\"A\":\"\\u003c/script>\"});</script>\r\n";
        assert_eq!(form.frame(json), frame);
    }

    #[test]
    fn the_name_of_a_transport_ignores_case() {
        assert_eq!(Kind::parse("webSockets"), Some(Kind::WebSockets));
        assert_eq!(Kind::parse("LONGPOLLING"), Some(Kind::LongPolling));
        assert_eq!(Kind::parse("pigeon"), None);
    }
}
