//! The protocol of a server: the requests of the load, and the replies and messages that it expects.
//!
//! Subscribers, publishers and figures are the same for all servers. Scripts and backplanes exist in
//! Redis' protocol only, so they use `wire` directly.

use crate::frames::Frames;
use crate::{nats, wire};

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP, of Redis, Valkey and our broker.
    Redis,
    /// The text protocol of NATS.
    Nats,
}

/// Requests of one write, with their replies.
pub(crate) struct Batch {
    protocol: Protocol,
    pub(crate) requests: Vec<u8>,
    pub(crate) replies: Vec<u8>,
}

/// A change of a client's subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Subscribe,
    PatternSubscribe,
    Unsubscribe,
}

impl Protocol {
    /// Returns a request that publishes to a channel.
    pub(crate) fn publish(self, channel: usize, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Redis => wire::publish(channel, payload),
            Self::Nats => nats::publish(&wire::channel(channel), payload),
        }
    }

    /// Returns the reply to this request, which is empty for NATS.
    pub(crate) fn publish_reply(self, receivers: u64) -> Vec<u8> {
        match self {
            Self::Redis => format!(":{receivers}\r\n").into_bytes(),
            Self::Nats => Vec::new(),
        }
    }

    /// Returns a message to a subscriber of a channel.
    pub(crate) fn message(self, channel: usize, payload: &[u8]) -> Vec<u8> {
        let name = wire::channel(channel);
        match self {
            Self::Redis => wire::message(channel, payload),
            Self::Nats => nats::message(&name, &name, payload),
        }
    }

    /// Returns a message to a subscriber of a pattern.
    pub(crate) fn pattern_message(self, pattern: &str, channel: usize, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Redis => wire::pattern_message(pattern, channel, payload),
            Self::Nats => nats::message(pattern, &wire::channel(channel), payload),
        }
    }

    /// Returns a check of messages that equal `template`. See [`Frames::new`].
    pub(crate) fn frames(
        self,
        template: Vec<u8>,
        payload_bytes: usize,
        publishers: usize,
    ) -> Frames {
        let frames = Frames::new(template, payload_bytes, publishers);
        match self {
            Self::Redis => frames,
            Self::Nats => frames.with_pings(),
        }
    }

    /// Returns the request behind the last one of a batch. Redis needs none.
    pub(crate) fn end(self) -> &'static [u8] {
        match self {
            Self::Redis => b"",
            Self::Nats => nats::PING,
        }
    }
}

impl Batch {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, requests: Vec::new(), replies: Vec::new() }
    }

    /// Adds a change, after which the client has `count` subscriptions.
    pub(crate) fn change(&mut self, change: Change, name: &str, count: usize) {
        match (self.protocol, change) {
            (Protocol::Redis, _) => {
                self.requests.extend(wire::request(&[change.command(), name]));
                let kind = change.command().to_ascii_lowercase();
                self.replies.extend(wire::confirmation(&kind, name, count));
            }
            (Protocol::Nats, Change::Unsubscribe) => nats::unsubscribe(&mut self.requests, name),
            (Protocol::Nats, _) => nats::subscribe(&mut self.requests, name),
        }
    }

    /// Adds the reply to a request that publishes. The caller adds the request.
    pub(crate) fn publish_reply(&mut self, receivers: u64) {
        self.replies.extend(self.protocol.publish_reply(receivers));
    }

    /// Ends the batch.
    pub(crate) fn end(&mut self) {
        self.requests.extend_from_slice(self.protocol.end());
        if self.protocol == Protocol::Nats {
            self.replies.extend_from_slice(nats::PONG);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.replies.clear();
    }
}

impl Change {
    fn command(self) -> &'static str {
        match self {
            Self::Subscribe => "SUBSCRIBE",
            Self::PatternSubscribe => "PSUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protocol: Protocol, requests: &str, replies: &str) {
        let mut batch = Batch::new(protocol);
        batch.change(Change::Subscribe, "c0001", 1);
        batch.change(Change::Unsubscribe, "c0001", 0);
        batch.publish_reply(3);
        batch.end();
        assert_eq!(String::from_utf8_lossy(&batch.requests), requests);
        assert_eq!(String::from_utf8_lossy(&batch.replies), replies);
    }

    #[test]
    fn redis_replies_to_each_request_and_nats_to_each_batch() {
        check(
            Protocol::Redis,
            "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nc0001\r\n*2\r\n$11\r\nUNSUBSCRIBE\r\n$5\r\nc0001\r\n",
            "*3\r\n$9\r\nsubscribe\r\n$5\r\nc0001\r\n:1\r\n\
             *3\r\n$11\r\nunsubscribe\r\n$5\r\nc0001\r\n:0\r\n:3\r\n",
        );
        check(Protocol::Nats, "SUB c0001 1\r\nUNSUB 1\r\nPING\r\n", "PONG\r\n");
    }
}
