//! The subprotocols of WebSocket clients: the texts that the load sends and expects.
//!
//! Payloads end in a tag of `frames`. The load compares every message with the expected text, so it
//! parses no JSON. The floors and `ws` relay the messages of SignalR, which gives all of them the
//! same number of bytes.

use memchr::memchr;

use crate::Failure;
use crate::frames::{self, TAG_BYTES};

/// The texts between a server and its WebSocket clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subprotocol {
    /// A server that relays each message as it is.
    Relay,
    /// SignalR's hub protocol in JSON.
    SignalR,
    /// Socket.IO's over Engine.IO, version 4.
    SocketIo,
}

/// The kind of the messages of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Goes to all clients.
    Send,
    /// Returns to its sender.
    Echo,
}

/// The messages that the clients of a load exchange.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    subprotocol: Subprotocol,
    /// A request with any tag, and the place of the tag.
    request: Vec<u8>,
    request_tag_at: usize,
    /// A message before and behind its tag.
    message: Vec<u8>,
    message_end: &'static [u8],
}

/// The end of a message of SignalR.
const SEPARATOR: u8 = 0x1e;
/// SignalR's ping, without its separator.
const PING: &[u8] = br#"{"type":6}"#;

impl Subprotocol {
    /// Returns the path of the WebSocket. A relay has a path for each kind.
    pub(crate) fn path(self, call: Call) -> &'static str {
        match (self, call) {
            (Self::Relay, Call::Send) => "/",
            (Self::Relay, Call::Echo) => ECHO_PATH,
            (Self::SignalR, _) => "/hub",
            (Self::SocketIo, _) => "/socket.io/?EIO=4&transport=websocket",
        }
    }

    /// Returns the first messages of a connection. Each is preceded or followed by one of the
    /// server.
    pub(crate) fn start(self) -> &'static [Step] {
        match self {
            Self::Relay => &[],
            Self::SignalR => &[
                Step::Send("{\"protocol\":\"json\",\"version\":1}\u{1e}"),
                Step::Expect("{}\u{1e}"),
            ],
            Self::SocketIo => &[Step::Expect("0{"), Step::Send("40"), Step::Expect("40{")],
        }
    }

    /// Returns a request of a client and the message that it causes, with the same payload.
    fn texts(self, call: Call, payload: &str) -> (String, String) {
        match (self, call) {
            (Self::SocketIo, Call::Send) => {
                (format!(r#"42["send","{payload}"]"#), format!(r#"42["said","{payload}"]"#))
            }
            (Self::SocketIo, Call::Echo) => {
                (format!(r#"42["echo","{payload}"]"#), format!(r#"42["echoed","{payload}"]"#))
            }
            (Self::SignalR, Call::Send) => {
                (invocation("", "Send", payload), invocation("", "said", payload))
            }
            (Self::SignalR, Call::Echo) => {
                (invocation(r#""invocationId":"0","#, "Echo", payload), completion(payload))
            }
            (Self::Relay, Call::Send) => {
                let text = invocation("", "said", payload);
                (text.clone(), text)
            }
            (Self::Relay, Call::Echo) => (completion(payload), completion(payload)),
        }
    }

    fn message_end(self, call: Call) -> &'static [u8] {
        match (self, call) {
            (Self::SocketIo, _) => br#""]"#,
            (_, Call::Send) => b"\"]}\x1e",
            (_, Call::Echo) => b"\"}\x1e",
        }
    }
}

/// The path on which a relay returns each message to its sender.
pub(crate) const ECHO_PATH: &str = "/echo";

/// A step of the start of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The client sends this message.
    Send(&'static str),
    /// The server sends a message that begins with this text.
    Expect(&'static str),
}

fn invocation(id: &str, target: &str, payload: &str) -> String {
    format!("{{\"type\":1,{id}\"target\":\"{target}\",\"arguments\":[\"{payload}\"]}}\u{1e}")
}

fn completion(payload: &str) -> String {
    format!("{{\"type\":3,\"invocationId\":\"0\",\"result\":\"{payload}\"}}\u{1e}")
}

impl Texts {
    pub(crate) fn new(subprotocol: Subprotocol, call: Call, payload_bytes: usize) -> Self {
        let filler = "x".repeat(payload_bytes.saturating_sub(TAG_BYTES));
        let tag = String::from_utf8_lossy(&frames::tag(0, 0)).into_owned();
        let (request, message) = subprotocol.texts(call, &[filler, tag].concat());
        let message_end = subprotocol.message_end(call);
        // Every request ends like the message except for the one to a method of SignalR.
        let request_end = match (subprotocol, call) {
            (Subprotocol::SignalR, Call::Echo) => subprotocol.message_end(Call::Send),
            _ => message_end,
        };
        let request_tag_at = request.len() - request_end.len() - TAG_BYTES;
        let mut message = message.into_bytes();
        message.truncate(message.len() - message_end.len() - TAG_BYTES);
        Self { subprotocol, request: request.into_bytes(), request_tag_at, message, message_end }
    }

    pub(crate) fn subprotocol(&self) -> Subprotocol {
        self.subprotocol
    }

    /// Returns the text of a request with this tag.
    pub(crate) fn request(&mut self, tag: [u8; TAG_BYTES]) -> &[u8] {
        self.request[self.request_tag_at..][..TAG_BYTES].copy_from_slice(&tag);
        &self.request
    }

    /// Calls `each` with the tag of every message in the payload of a frame.
    ///
    /// # Errors
    ///
    /// Another text than the expected one, except for a ping, is [`Failure::Wrong`].
    pub(crate) fn read(
        &self,
        payload: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.subprotocol == Subprotocol::SocketIo {
            return each(self.tag(payload)?);
        }
        let mut rest = payload;
        while let Some(end) = memchr(SEPARATOR, rest) {
            let (message, after) = rest.split_at(end + 1);
            rest = after;
            if &message[..end] != PING {
                each(self.tag(message)?)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(self.wrong(rest)) }
    }

    /// Returns the tag of a message.
    fn tag<'a>(&self, message: &'a [u8]) -> Result<&'a [u8], Failure> {
        let tag = message.strip_prefix(&*self.message);
        let tag = tag.and_then(|rest| rest.strip_suffix(self.message_end));
        tag.filter(|tag| tag.len() == TAG_BYTES).ok_or_else(|| self.wrong(message))
    }

    fn wrong(&self, found: &[u8]) -> Failure {
        Failure::Wrong { expected: self.message.clone(), found: found.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(texts: &Texts, payload: &str) -> Option<Vec<String>> {
        let mut tags = Vec::new();
        let read = texts.read(payload.as_bytes(), |tag| {
            tags.push(String::from_utf8_lossy(tag).into_owned());
            Ok(())
        });
        read.is_ok().then_some(tags)
    }

    #[test]
    fn requests_and_messages_have_the_texts_of_their_subprotocols() {
        for (subprotocol, call, request, message) in [
            (
                Subprotocol::SignalR,
                Call::Send,
                "{\"type\":1,\"target\":\"Send\",\"arguments\":[\"xx03000007\"]}\u{1e}",
                "{\"type\":1,\"target\":\"said\",\"arguments\":[\"xx03000007\"]}\u{1e}",
            ),
            (
                Subprotocol::SignalR,
                Call::Echo,
                "{\"type\":1,\"invocationId\":\"0\",\"target\":\"Echo\",\"arguments\":[\"xx03000007\"]}\u{1e}",
                "{\"type\":3,\"invocationId\":\"0\",\"result\":\"xx03000007\"}\u{1e}",
            ),
            (
                Subprotocol::SocketIo,
                Call::Send,
                r#"42["send","xx03000007"]"#,
                r#"42["said","xx03000007"]"#,
            ),
            (
                Subprotocol::SocketIo,
                Call::Echo,
                r#"42["echo","xx03000007"]"#,
                r#"42["echoed","xx03000007"]"#,
            ),
        ] {
            let mut texts = Texts::new(subprotocol, call, 10);
            let found = texts.request(frames::tag(3, 7)).to_vec();
            assert_eq!(String::from_utf8_lossy(&found), request);
            assert_eq!(tags(&texts, message), Some(vec!["03000007".to_owned()]), "{message}");
        }
    }

    #[test]
    fn a_relay_returns_its_requests() {
        for call in [Call::Send, Call::Echo] {
            let mut texts = Texts::new(Subprotocol::Relay, call, 64);
            let request = String::from_utf8(texts.request(frames::tag(1, 2)).to_vec());
            let request = request.expect("text");
            assert_eq!(tags(&texts, &request), Some(vec!["01000002".to_owned()]));
        }
    }

    #[test]
    fn a_frame_may_hold_many_messages_and_pings() {
        let mut texts = Texts::new(Subprotocol::Relay, Call::Send, 64);
        let mut frame = String::new();
        for number in 0..3 {
            frame += &String::from_utf8_lossy(texts.request(frames::tag(0, number)));
            frame += "{\"type\":6}\u{1e}";
        }
        assert_eq!(tags(&texts, &frame).map(|tags| tags.len()), Some(3));
        assert_eq!(tags(&texts, &frame[..frame.len() - 1]), None, "no separator at the end");
        assert_eq!(tags(&texts, &frame.replace("xxxx", "xyxx")), None, "a changed byte");
        assert_eq!(tags(&texts, "{\"type\":7}\u{1e}"), None, "a close");
    }
}
