//! The stream of commands that all replicas get: changes of keys and messages, in the order of their
//! effects.
//!
//! A replica is a subscriber of the only channel of [`ChannelKind::Replicas`]. A backlog holds the end
//! of the stream, for replicas that return after a short loss of their connection.
//!
//! Invariant: without replicas, a change and a publish cost one comparison each.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use super::client_output::ClientOutput;
use super::local::Local;
use super::message::{ChannelKind, Content, Name};
use super::order::{AfterRelease, OrderGuard};
use crate::ids::WorkerId;

/// The end of the stream.
#[derive(Debug, Default)]
pub(super) struct ReplicaStream {
    /// Bytes so far.
    offset: u64,
    backlog: VecDeque<u8>,
    backlog_bytes_max: usize,
}

/// Figures of the stream, readable without the order.
#[derive(Debug, Default)]
pub(crate) struct StreamFigures {
    pub(crate) is_open: AtomicBool,
    pub(crate) offset: AtomicU64,
    pub(crate) backlog_bytes: AtomicUsize,
}

/// The only channel of its kind.
const CHANNEL: &[u8] = b"";

impl ReplicaStream {
    fn append(&mut self, commands: &[u8]) {
        self.offset += commands.len() as u64;
        let kept = &commands[commands.len().saturating_sub(self.backlog_bytes_max)..];
        let sum = self.backlog.len() + kept.len();
        self.backlog.drain(..sum.saturating_sub(self.backlog_bytes_max));
        self.backlog.extend(kept);
    }

    /// Returns the bytes behind the first `offset` ones, if the backlog has them.
    fn since(&self, offset: u64) -> Option<Vec<u8>> {
        let missing = usize::try_from(self.offset.checked_sub(offset)?).ok()?;
        let start = self.backlog.len().checked_sub(missing)?;
        Some(self.backlog.range(start..).copied().collect())
    }
}

impl OrderGuard<'_> {
    /// Opens the stream for a replica, or changes the size of its backlog.
    pub(crate) fn open_stream(&mut self, backlog_bytes_max: usize) {
        self.order.keyspace.feed.get_or_insert_default();
        let stream = &mut self.order.replica_stream;
        stream.backlog_bytes_max = backlog_bytes_max;
        let surplus = stream.backlog.len().saturating_sub(backlog_bytes_max);
        stream.backlog.drain(..surplus);
        self.update_observed();
        self.record_stream();
    }

    /// Ends the stream and drops its backlog. No replica may be left.
    pub(crate) fn close_stream(&mut self) {
        self.order.keyspace.feed = None;
        self.order.replica_stream.backlog = VecDeque::new();
        self.update_observed();
        self.record_stream();
    }

    /// Returns the bytes of the stream so far.
    pub(crate) fn stream_offset(&self) -> u64 {
        self.order.replica_stream.offset
    }

    /// Continues the offset of a former master, so that it never falls.
    pub(crate) fn raise_stream_offset(&mut self, offset: u64) {
        let stream = &mut self.order.replica_stream;
        if offset > stream.offset {
            stream.offset = offset;
            // Its end belongs to the former offset.
            stream.backlog.clear();
        }
        self.record_stream();
    }

    /// Returns the stream behind `offset`, if the backlog has it.
    pub(crate) fn stream_since(&self, offset: u64) -> Option<Vec<u8>> {
        self.order.replica_stream.since(offset)
    }

    /// Adds a client to the replicas. A new one has selected no database.
    pub(crate) fn join_stream(
        &mut self,
        local: &mut Local,
        output: &Rc<ClientOutput>,
        is_new: bool,
    ) {
        if let (true, Some(feed)) = (is_new, &mut self.order.keyspace.feed) {
            feed.select_again();
        }
        self.join(local, ChannelKind::Replicas, output, CHANNEL);
    }

    pub(crate) fn leave_stream(&mut self, local: &mut Local, output: &ClientOutput) {
        self.leave(local, ChannelKind::Replicas, output, &Name::from(CHANNEL));
    }

    /// Sends `PING` to replicas, so that they know their master to be there.
    pub(crate) fn ping_replicas(&mut self, local: &mut Local) {
        if let Some(feed) = &mut self.order.keyspace.feed {
            feed.add_ping();
            self.end_group(local);
        }
    }

    /// Asks replicas how far they are.
    pub(crate) fn ask_replicas(&mut self, local: &mut Local) {
        if let Some(feed) = &mut self.order.keyspace.feed {
            feed.add_question();
            self.end_group(local);
        }
    }

    /// Adds a message to the feed.
    pub(super) fn feed_message(&mut self, content: Content<'_>) {
        let command: &[u8] = match content.kind {
            ChannelKind::Channels => b"PUBLISH",
            ChannelKind::Shards => b"SPUBLISH",
            ChannelKind::Monitor | ChannelKind::Replicas => return,
        };
        if let Some(feed) = &mut self.order.keyspace.feed {
            feed.add_message(command, content.channel, content.payload);
        }
    }

    /// Sends the commands of the feed to the replicas, as one. Returns a worker whose inbox is full.
    pub(super) fn send_feed(&mut self, after: &mut AfterRelease) -> Option<WorkerId> {
        let commands = self.order.keyspace.feed.as_mut()?.take()?;
        self.order.replica_stream.append(&commands);
        self.record_stream();
        let commands = Bytes::from(commands);
        let content = Content {
            kind: ChannelKind::Replicas,
            channel: CHANNEL,
            payload: &commands,
            shared: None,
        };
        // To the own worker by its inbox as well, so that the stream has one order.
        let fanout = self.fan_out(None, content, after, || commands.clone());
        after.payloads.extend(fanout.published);
        fanout.lagging
    }

    fn record_stream(&self) {
        let stream = &self.order.replica_stream;
        let figures = &self.shared.replica_stream;
        figures.is_open.store(self.order.keyspace.feed.is_some(), Ordering::Relaxed);
        figures.offset.store(stream.offset, Ordering::Relaxed);
        figures.backlog_bytes.store(stream.backlog.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_has_the_end_of_the_stream() {
        let mut stream = ReplicaStream { backlog_bytes_max: 5, ..ReplicaStream::default() };
        stream.append(b"abc");
        assert_eq!(stream.since(0).as_deref(), Some(&b"abc"[..]));
        assert_eq!(stream.since(3).as_deref(), Some(&b""[..]));
        assert_eq!(stream.since(4), None);
        stream.append(b"defg");
        assert_eq!(stream.since(1), None);
        assert_eq!(stream.since(2).as_deref(), Some(&b"cdefg"[..]));
        stream.append(b"0123456789");
        assert_eq!((stream.since(12).as_deref(), stream.since(11)), (Some(&b"56789"[..]), None));
    }
}
