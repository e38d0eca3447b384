//! What one client has still to read, in order.
//!
//! Messages of the backplane and results of calls share one queue, so a result does not overtake
//! the messages of its method. Messages can be dropped, since the client receives them again by its
//! cursor. Results cannot.

use std::collections::VecDeque;

use backplane::Cursor;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::disconnect::Disconnect;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum Item {
    /// An entry of a frame, and the cursor after it.
    Message(Bytes, Cursor),
    /// A frame of its own.
    Result(Bytes),
    /// An entry of a frame that reports the progress of a call. It becomes a message when it is due.
    Progress(Bytes),
    /// A request waits until all items before it are on their way.
    Request(oneshot::Sender<()>),
    /// The end of the connection.
    End(Disconnect),
}

impl Outbox {
    /// Returns whether another message has room.
    pub(super) fn has_room(&self) -> bool {
        self.messages < MESSAGES_MAX && self.bytes < BYTES_MAX
    }

    pub(super) fn push(&mut self, item: Item) {
        if let Item::Message(entry, _) = &item {
            self.messages += 1;
            self.bytes += entry.len();
        }
        self.items.push_back(item);
    }

    /// Takes the messages at the front, at most `count`. Returns them with the cursor after them.
    pub(super) fn take_messages(&mut self, count: usize) -> (Vec<Bytes>, Option<Cursor>) {
        let (mut entries, mut cursor) = (Vec::new(), None);
        while entries.len() < count {
            let is_message = |item: &mut Item| matches!(item, Item::Message(..));
            let Some(Item::Message(entry, after)) = self.items.pop_front_if(is_message) else {
                break;
            };
            self.messages -= 1;
            self.bytes -= entry.len();
            entries.push(entry);
            cursor = Some(after);
        }
        (entries, cursor)
    }

    /// Takes the item at the front, unless it is a message.
    pub(super) fn take_other(&mut self) -> Option<Item> {
        self.items.pop_front_if(|item| !matches!(item, Item::Message(..)))
    }

    /// Drops all messages. Other items stay.
    pub(super) fn drop_messages(&mut self) {
        self.items.retain(|item| !matches!(item, Item::Message(..)));
        (self.messages, self.bytes) = (0, 0);
    }

    /// Releases all requests, and drops the results for a lost WebSocket.
    pub(super) fn release_requests(&mut self) {
        self.items.retain(|item| matches!(item, Item::Message(..) | Item::End(_)));
    }

    pub(super) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    /// Returns the number of items that are no messages.
    pub(super) fn others(&self) -> usize {
        self.items.len() - self.messages
    }

    /// Returns the size of the messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has_messages(&self) -> bool {
        self.messages > 0
    }
}

/// Limits of the messages that wait for a client.
const MESSAGES_MAX: usize = 1024;
const BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_stays_behind_the_messages_before_it() {
        let cursor = |id| format!("s-0,{id}").parse::<Cursor>().unwrap();
        let mut outbox = Outbox::default();
        outbox.push(Item::Message("1".into(), cursor(1)));
        outbox.push(Item::Message("2".into(), cursor(2)));
        outbox.push(Item::Result("r".into()));
        outbox.push(Item::Message("3".into(), cursor(3)));
        assert!(outbox.take_other().is_none());
        assert_eq!(outbox.take_messages(1), (vec!["1".into()], Some(cursor(1))));
        assert_eq!(outbox.take_messages(10), (vec!["2".into()], Some(cursor(2))));
        assert_eq!(outbox.take_messages(10), (vec![], None));
        assert!(matches!(outbox.take_other(), Some(Item::Result(_))));
        outbox.push(Item::Result("s".into()));
        outbox.drop_messages();
        assert!(!outbox.has_messages());
        assert!(matches!(outbox.take_other(), Some(Item::Result(_))));
    }

    #[test]
    fn messages_are_limited_by_number_and_bytes() {
        let cursor: Cursor = "s-0,1".parse().unwrap();
        let mut outbox = Outbox::default();
        for _ in 0..MESSAGES_MAX {
            assert!(outbox.has_room());
            outbox.push(Item::Message("1".into(), cursor));
        }
        assert!(!outbox.has_room());
        outbox.take_messages(1);
        assert!(outbox.has_room());
        outbox.push(Item::Message(vec![0; BYTES_MAX].into(), cursor));
        assert!(!outbox.has_room());
    }
}
