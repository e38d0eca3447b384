//! One message, shared by its receivers.
//!
//! A large message is encoded at most once per protocol version, by the worker that needs it first.
//! Each worker encodes small messages for itself, since a copy is cheaper than a shared frame.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::protocol::Protocol;
use crate::protocol::reply::{self, MessageStart};

/// The name of a channel or pattern, shared by all tables that hold it.
pub(crate) type Name = Arc<[u8]>;

/// The kind of a channel. Equal names of different kinds are different channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    /// `PUBLISH`, `SUBSCRIBE`, and patterns.
    Channels,
    /// `SPUBLISH` and `SSUBSCRIBE`.
    Shards,
    /// The requests that `MONITOR` shows, on a channel without a name.
    Monitor,
    /// The commands for replicas, on a channel without a name.
    Replicas,
}

impl ChannelKind {
    /// Returns whether clients publish on channels of this kind.
    pub(crate) fn is_public(self) -> bool {
        matches!(self, Self::Channels | Self::Shards)
    }

    /// The number of kinds.
    pub(crate) const COUNT: usize = 4;

    /// Writes the frame for a subscriber of the channel.
    pub(crate) fn write(
        self,
        out: &mut Vec<u8>,
        protocol: Protocol,
        channel: &[u8],
        payload: &[u8],
    ) {
        let starts = match self {
            Self::Channels => MessageStart::MESSAGE,
            Self::Shards => MessageStart::SMESSAGE,
            Self::Monitor | Self::Replicas => return self.write_line(out, payload),
        };
        reply::message(out, starts[protocol as usize], channel, payload);
    }

    /// Writes the frame of a kind on which clients do not publish.
    #[cold]
    fn write_line(self, out: &mut Vec<u8>, payload: &[u8]) {
        match self {
            Self::Replicas => out.extend_from_slice(payload),
            _ => reply::status(out, payload),
        }
    }
}

/// Frames of this size or more are shared, smaller ones are copied. Copying 1 KB costs about as
/// much as a reference count that two threads write.
pub(crate) const SHARED_BYTES_MIN: usize = 1024;

/// A message to deliver, borrowed from a request or shared with other workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) kind: ChannelKind,
    pub(crate) channel: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) shared: Option<&'a Published>,
}

impl Content<'_> {
    /// Returns whether its frame is shared rather than copied.
    pub(crate) fn is_large(&self) -> bool {
        self.channel.len() + self.payload.len() >= SHARED_BYTES_MIN
    }
}

/// A message in the form that threads share.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) kind: ChannelKind,
    pub(crate) channel: Name,
    pub(crate) payload: Bytes,
    frames: [OnceLock<Bytes>; 2],
}

impl Published {
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            kind: self.kind,
            channel: &self.channel,
            payload: &self.payload,
            shared: Some(self),
        }
    }
}

impl Published {
    pub(crate) fn new(kind: ChannelKind, channel: Name, payload: Bytes) -> Self {
        Self { kind, channel, payload, frames: [OnceLock::new(), OnceLock::new()] }
    }

    /// Returns the frame for a subscriber of the channel, which is encoded on first use.
    pub(crate) fn frame(&self, protocol: Protocol) -> &Bytes {
        self.frames[protocol as usize].get_or_init(|| {
            let mut frame = Vec::new();
            self.kind.write(&mut frame, protocol, &self.channel, &self.payload);
            Bytes::from(frame)
        })
    }
}

/// One message, as an in-process subscriber receives it.
///
/// Cheap to clone: the payload is shared.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), broker::Disconnect> {
/// let broker = broker::Broker::new();
/// let mut news = broker.subscribe("news");
/// broker.publish("news", "hello");
/// let message = news.recv().await?;
/// assert_eq!(message.channel(), b"news");
/// assert_eq!(message.payload(), "hello");
/// assert_eq!(message.pattern(), None);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Message {
    published: Arc<Published>,
    pattern: Option<Name>,
}

impl Message {
    pub(crate) fn new(published: Arc<Published>, pattern: Option<Name>) -> Self {
        Self { published, pattern }
    }

    /// Returns the channel that the message was published to.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// broker.publish("news", "hello");
    /// assert_eq!(news.try_recv().unwrap().channel(), b"news");
    /// ```
    pub fn channel(&self) -> &[u8] {
        &self.published.channel
    }

    /// Returns the payload, byte for byte as it was published.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// broker.publish("news", &b"\x00\xff"[..]);
    /// assert_eq!(news.try_recv().unwrap().payload(), &b"\x00\xff"[..]);
    /// ```
    pub fn payload(&self) -> &Bytes {
        &self.published.payload
    }

    /// Returns the pattern that matched, if the message came by a pattern subscription.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut all = broker.psubscribe("n*");
    /// broker.publish("news", "hello");
    /// assert_eq!(all.try_recv().unwrap().pattern(), Some(&b"n*"[..]));
    /// ```
    pub fn pattern(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// Returns the bytes that count for the limit of a mailbox: channel, payload and pattern.
    pub(crate) fn bytes(&self) -> usize {
        self.channel().len() + self.payload().len() + self.pattern().map_or(0, <[u8]>::len)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("channel", &self.channel().escape_ascii().to_string())
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}
