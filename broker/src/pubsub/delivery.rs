//! The content of an inbox: messages and invalidations from other threads, in order.
//!
//! The payloads of small messages lie one after the other in one buffer, and consecutive messages
//! on one channel name it once. So a small message that crosses threads costs a copy of its
//! payload. It needs neither an allocation nor a reference count that two threads write.

use std::sync::Arc;

use super::message::Content;
use super::subscribers::Listeners;
use crate::keyspace::Invalidation;
use crate::pubsub::message::{ChannelKind, Name, Published};

/// Deliveries for one worker. One thread at a time uses them.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    list: Vec<Delivery>,
    /// Payloads of the small messages.
    payloads: Vec<u8>,
    /// Bytes of all payloads and invalidated keys.
    bytes: usize,
    /// The index of the small message that named the channel; `None` after another delivery.
    named: Option<usize>,
}

#[derive(Debug)]
enum Delivery {
    /// A message for subscribers of the channel itself.
    Small { kind: ChannelKind, channel: Name, payload_bytes: usize },
    /// Another small message on the channel of the one before.
    Next { payload_bytes: usize },
    /// A message that other threads have as well.
    Shared { published: Arc<Published>, to: Listeners },
    /// A client's copy of a key is stale.
    Invalidation(Invalidation),
}

/// One delivery, as it is read.
pub(super) enum Item<'a> {
    Message(Content<'a>, &'a Listeners),
    Invalidation(&'a Invalidation),
}

/// Capacity of the payload buffer that is kept for the next deliveries.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Capacity of the list that is kept for the next deliveries.
const KEPT_MAX: usize = 1024;

impl Deliveries {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the bytes of all payloads and invalidated keys.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message for subscribers of the channel itself.
    pub(crate) fn push_small(&mut self, kind: ChannelKind, channel: &Name, payload: &[u8]) {
        let payload_bytes = payload.len();
        self.bytes += payload_bytes;
        self.payloads.extend_from_slice(payload);
        let follows = self.named.and_then(|index| self.list.get(index)).is_some_and(|named| {
            matches!(named, Delivery::Small { kind: s, channel: c, .. } if *s == kind && c == channel)
        });
        if follows {
            self.list.push(Delivery::Next { payload_bytes });
        } else {
            self.named = Some(self.list.len());
            self.list.push(Delivery::Small { kind, channel: channel.clone(), payload_bytes });
        }
    }

    /// Adds a message that other threads have as well.
    pub(crate) fn push_shared(&mut self, published: Arc<Published>, to: Listeners) {
        self.bytes += published.payload.len();
        self.named = None;
        self.list.push(Delivery::Shared { published, to });
    }

    pub(crate) fn push_invalidation(&mut self, invalidation: Invalidation) {
        self.bytes += invalidation.keys.bytes();
        self.named = None;
        self.list.push(Delivery::Invalidation(invalidation));
    }

    /// Calls `see` with each delivery in order, and moves shared messages to `used`. Some capacity
    /// is kept for the next deliveries.
    pub(super) fn drain(&mut self, used: &mut Vec<Arc<Published>>, mut see: impl FnMut(Item<'_>)) {
        let mut payloads = self.payloads.as_slice();
        let mut last: Option<(ChannelKind, Name)> = None;
        let channel_only = Listeners { channel: true, ..Listeners::default() };
        for delivery in self.list.drain(..) {
            match delivery {
                Delivery::Invalidation(invalidation) => see(Item::Invalidation(&invalidation)),
                Delivery::Shared { published, to } => {
                    see(Item::Message(published.content(), &to));
                    // Dropping its payload may run code of the program around the broker.
                    used.push(published);
                }
                Delivery::Small { kind, channel, payload_bytes } => {
                    let (payload, rest) = payloads.split_at(payload_bytes);
                    payloads = rest;
                    let (_, channel) = last.insert((kind, channel));
                    let content = Content { kind, channel, payload, shared: None };
                    see(Item::Message(content, &channel_only));
                }
                Delivery::Next { payload_bytes } => {
                    let (payload, rest) = payloads.split_at(payload_bytes);
                    payloads = rest;
                    if let Some((kind, channel)) = &last {
                        let content = Content { kind: *kind, channel, payload, shared: None };
                        see(Item::Message(content, &channel_only));
                    }
                }
            }
        }
        self.payloads.clear();
        self.payloads.shrink_to(KEPT_BYTES_MAX);
        self.list.shrink_to(KEPT_MAX);
        self.bytes = 0;
        self.named = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(deliveries: &mut Deliveries) -> Vec<String> {
        let mut all = Vec::new();
        deliveries.drain(&mut Vec::new(), |item| {
            all.push(match item {
                Item::Invalidation(_) => "stale".to_owned(),
                Item::Message(Content { channel, payload, .. }, to) => format!(
                    "{} {}{}",
                    channel.escape_ascii(),
                    payload.escape_ascii(),
                    if to.channel { "" } else { " elsewhere" }
                ),
            });
        });
        all
    }

    #[test]
    fn deliveries_are_drained_in_the_order_of_their_pushes() {
        let mut deliveries = Deliveries::default();
        let (a, b) = (Name::from(&b"a"[..]), Name::from(&b"b"[..]));
        for _ in 0..2 {
            deliveries.push_small(ChannelKind::Channels, &a, b"1");
            deliveries.push_small(ChannelKind::Channels, &a, b"");
            deliveries.push_small(ChannelKind::Shards, &a, b"3");
            let published =
                Published::new(ChannelKind::Channels, b.clone(), b"four".as_slice().into());
            deliveries.push_shared(Arc::new(published), Listeners::default());
            deliveries.push_small(ChannelKind::Shards, &a, b"5");
            deliveries.push_small(ChannelKind::Shards, &b, b"6");
            assert_eq!(deliveries.bytes(), 8);
            let expected = ["a 1", "a ", "a 3", "b four elsewhere", "a 5", "b 6"];
            assert_eq!(read(&mut deliveries), expected);
            assert!(deliveries.is_empty());
            assert_eq!(deliveries.bytes(), 0);
        }
    }
}
