//! The stream of commands that all replicas get: changes of keys and messages, in the order of their
//! effects.
//!
//! A replica is a subscriber of the only channel of [`ChannelKind::Replicas`]. A backlog holds the end
//! of the stream, for replicas that return after a short loss of their connection.
//!
//! Invariant: without replicas, a change and a publish cost one comparison each.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use locks::Mutex;
use locks::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::client_output::ClientOutput;
use super::local::Local;
use super::message::{ChannelKind, Content, Name};
use super::order::{AfterRelease, OrderGuard};
use crate::ids::{WorkerId, random_id};

/// The end of the stream.
#[derive(Debug)]
pub(super) struct ReplicaStream {
    /// The name of the stream. It gets another one when bytes may be missing, so that no replica goes on
    /// behind a gap.
    id: String,
    /// Bytes so far.
    offset: u64,
    backlog: VecDeque<u8>,
    backlog_bytes_max: usize,
}

/// Figures of the stream, readable without the order.
#[derive(Debug, Default)]
pub(crate) struct StreamFigures {
    pub(crate) id: Mutex<String>,
    pub(crate) is_open: AtomicBool,
    pub(crate) offset: AtomicU64,
    pub(crate) backlog_bytes: AtomicUsize,
}

/// The only channel of its kind.
const CHANNEL: &[u8] = b"";

impl Default for ReplicaStream {
    fn default() -> Self {
        Self { id: random_id(), offset: 0, backlog: VecDeque::new(), backlog_bytes_max: 0 }
    }
}

impl ReplicaStream {
    /// Begins another stream.
    fn rename(&mut self) {
        self.id = random_id();
        self.backlog = VecDeque::new();
    }

    fn append(&mut self, commands: &[u8]) {
        self.offset += commands.len() as u64;
        let kept = &commands[commands.len().saturating_sub(self.backlog_bytes_max)..];
        let sum = self.backlog.len() + kept.len();
        self.backlog.drain(..sum.saturating_sub(self.backlog_bytes_max));
        self.backlog.extend(kept);
    }

    /// Returns the bytes behind the first `offset` ones of the stream `id`, if the backlog has them.
    fn since(&self, id: &[u8], offset: u64) -> Option<Vec<u8>> {
        if id != self.id.as_bytes() {
            return None;
        }
        let missing = usize::try_from(self.offset.checked_sub(offset)?).ok()?;
        let start = self.backlog.len().checked_sub(missing)?;
        Some(self.backlog.range(start..).copied().collect())
    }
}

impl OrderGuard<'_> {
    /// Opens the stream for a replica, unless it is open. A server that is a replica itself passes on what
    /// its master sends.
    pub(crate) fn open_stream(&mut self, is_relay: bool) {
        self.order.keyspace.feed.get_or_insert_default().is_relay = is_relay;
        self.update_observed();
        self.record_id();
    }

    /// Sets the size of the backlog.
    pub(crate) fn limit_backlog(&mut self, bytes_max: usize) {
        let stream = &mut self.order.replica_stream;
        stream.backlog_bytes_max = bytes_max;
        let surplus = stream.backlog.len().saturating_sub(bytes_max);
        stream.backlog.drain(..surplus);
        self.record_stream();
    }

    /// Ends the stream. The next one has another name, since changes in between are not in it.
    pub(crate) fn close_stream(&mut self) {
        self.order.keyspace.feed = None;
        self.order.replica_stream.rename();
        self.update_observed();
        self.record_id();
    }

    /// Gives the stream another name, so that replicas of a former role copy all keys again.
    pub(crate) fn rename_stream(&mut self, is_relay: bool) {
        self.order.replica_stream.rename();
        if let Some(feed) = &mut self.order.keyspace.feed {
            feed.is_relay = is_relay;
        }
        self.record_id();
    }

    /// Returns the name of the stream.
    pub(crate) fn stream_id(&self) -> &str {
        &self.order.replica_stream.id
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
            stream.rename();
        }
        self.record_id();
    }

    /// Returns the stream `id` behind `offset`, if the backlog has it.
    pub(crate) fn stream_since(&self, id: &[u8], offset: u64) -> Option<Vec<u8>> {
        self.order.replica_stream.since(id, offset)
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

    /// Adds a message of a client to the feed, or of a program in this process.
    pub(super) fn feed_message(&mut self, content: Content<'_>, is_of_master: bool) {
        let command: &[u8] = match content.kind {
            ChannelKind::Channels => b"PUBLISH",
            ChannelKind::Shards => b"SPUBLISH",
            ChannelKind::Monitor | ChannelKind::Replicas => return,
        };
        let feed = self.order.keyspace.feed.as_ref();
        if !feed.is_some_and(|feed| is_of_master || !feed.is_relay) {
            return;
        }
        self.order.keyspace.feed_message(command, content.channel, content.payload);
    }

    /// Sends the commands of the feed to the replicas, as one. Returns a worker whose inbox is full.
    #[cold]
    pub(super) fn send_feed(&mut self, after: &mut AfterRelease) -> Option<WorkerId> {
        let commands = self.order.keyspace.take_feed()?;
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

    fn record_id(&self) {
        self.shared.replica_stream.id.lock().clone_from(&self.order.replica_stream.id);
        self.record_stream();
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
        let id = stream.id.clone().into_bytes();
        stream.append(b"abc");
        assert_eq!(stream.since(&id, 0).as_deref(), Some(&b"abc"[..]));
        assert_eq!(stream.since(&id, 3).as_deref(), Some(&b""[..]));
        assert_eq!(stream.since(&id, 4), None);
        stream.append(b"defg");
        assert_eq!(stream.since(&id, 1), None);
        assert_eq!(stream.since(&id, 2).as_deref(), Some(&b"cdefg"[..]));
        stream.append(b"0123456789");
        assert_eq!(
            (stream.since(&id, 12).as_deref(), stream.since(&id, 11)),
            (Some(&b"56789"[..]), None)
        );
        assert_eq!(stream.since(b"another", 12), None);
        stream.rename();
        assert_eq!(stream.since(&id, 17), None);
    }
}
