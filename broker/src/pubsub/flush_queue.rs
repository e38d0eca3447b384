//! The outputs of one worker that the flush at the end of its turn will write.
//!
//! Outputs with a reply come first, the others in the order of their first unwritten message. So a
//! publisher gets its reply before subscribers get the message, and its next request is under way
//! while those are written.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use bytes::{Bytes, BytesMut};

use super::batch::Batch;
use super::client_output::ClientOutput;
use super::outbox::Pool;
use super::reply_blocks::BUFFER_BYTES;
use super::slow_subscriber::make_room;
use crate::config::{OutputLimit, OutputLimits, SlowRule};
use crate::keyspace::{Dump, Part};
use crate::observe::disconnect::Disconnect;
use crate::protocol::reply::Reply;
use crate::protocol::{Protocol, reply};

/// Outputs to write at the end of the turn.
#[derive(Debug, Default)]
pub(crate) struct FlushQueue {
    ///
    /// An output with messages that then gets a reply has two entries. The one that is taken first
    /// counts.
    dirty: VecDeque<Rc<ClientOutput>>,
    pub(super) pool: Pool,
    pub(super) batch: Batch,
    /// The limit of a client with subscriptions.
    pub(crate) subscriber_limit: OutputLimit,
    /// The limit of a replica.
    replica_limit: OutputLimit,
    /// The limit of other clients, such as those in MONITOR.
    pub(crate) normal_limit: OutputLimit,
    /// What happens to messages of a subscriber at its limit.
    slow_rules: Vec<SlowRule>,
    /// Wakes the worker's flush task.
    pub(super) flush: Option<Waker>,
}

impl FlushQueue {
    pub(super) fn new(limits: &OutputLimits) -> Self {
        let mut queue = Self::default();
        queue.set_limits(limits);
        queue
    }

    /// Puts changed rules for slow subscribers in force.
    pub(crate) fn set_slow_rules(&mut self, rules: &[SlowRule]) {
        self.slow_rules = rules.to_vec();
    }

    /// Puts changed limits in force.
    pub(crate) fn set_limits(&mut self, limits: &OutputLimits) {
        self.subscriber_limit = limits.pubsub;
        self.replica_limit = limits.replica;
        self.normal_limit = limits.normal;
    }

    /// Returns whether a subscriber is far from its limit.
    pub(crate) fn has_room_for_notices(&self, output: &ClientOutput) -> bool {
        let limit = self.subscriber_limit.hard_bytes;
        limit == 0 || output.outbox.borrow().counted_bytes() < limit / 4
    }

    /// Queues a notice for a client, as a push, unless its protocol has none.
    pub(crate) fn push_notice(&mut self, output: &Rc<ClientOutput>, parts: &[Reply]) {
        if output.protocol.get() == Protocol::Resp3 {
            self.end_batch();
            let mut encoded = BytesMut::new();
            parts.iter().for_each(|part| part.encode(Protocol::Resp3, &mut encoded));
            self.deliver_with(output, |out| {
                let count = u8::try_from(parts.len()).unwrap_or(u8::MAX);
                reply::push_header(out, Protocol::Resp3, count);
                out.extend_from_slice(&encoded);
            });
        }
    }

    /// Queues a message for a client. Closes the client if the message exceeds its limit.
    pub(super) fn deliver_with(
        &mut self,
        output: &Rc<ClientOutput>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if output.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *output.deferred.borrow_mut() {
            write(deferred);
            return self.deferred(output, deferred);
        }
        let counted = output.outbox.borrow_mut().push_with(&mut self.pool, write);
        self.queued(output, counted, self.limit_of(output));
    }

    /// Queues a message as a shared frame.
    pub(super) fn deliver_shared(&mut self, output: &Rc<ClientOutput>, frame: Bytes) {
        if output.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *output.deferred.borrow_mut() {
            deferred.extend_from_slice(&frame);
            return self.deferred(output, deferred);
        }
        let counted = output.outbox.borrow_mut().push_shared(frame);
        self.queued(output, counted, self.limit_of(output));
    }

    /// Queues a large message, encoded once for each protocol version and shared.
    pub(super) fn deliver_large(
        &mut self,
        outputs: &[Rc<ClientOutput>],
        write: impl Fn(&mut Vec<u8>, Protocol),
    ) {
        let mut frames: [Option<Bytes>; 2] = [None, None];
        for output in outputs {
            let protocol = output.protocol.get();
            let frame = frames[protocol as usize].get_or_insert_with(|| {
                let mut frame = Vec::new();
                write(&mut frame, protocol);
                frame.into()
            });
            output.count_messages(1);
            self.deliver_shared(output, frame.clone());
        }
    }

    /// Queues a reply, which `write` appends directly to the outbox.
    pub(crate) fn reply(
        &mut self,
        output: &Rc<ClientOutput>,
        limit: OutputLimit,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if !output.silent.get() {
            self.push(output, limit, write);
        }
    }

    /// Queues a bulk string as a reply, and shares its bytes.
    pub(crate) fn reply_shared(
        &mut self,
        output: &Rc<ClientOutput>,
        limit: OutputLimit,
        bytes: &Bytes,
    ) {
        if output.silent.get() || output.disconnect.get().is_some() {
            return;
        }
        self.push(output, limit, |out| reply::bulk_header(out, bytes.len()));
        let counted = output.outbox.borrow_mut().push_part(bytes.clone());
        self.limit(output, counted, limit);
        self.push(output, limit, |out| out.extend_from_slice(b"\r\n"));
    }

    /// Queues a dump as a bulk string without its end, as replicas expect it. No limit holds for it.
    pub(crate) fn push_dump(&mut self, output: &Rc<ClientOutput>, dump: Dump) {
        let (parts, limit) = (dump.into_parts(), OutputLimit::default());
        let length = parts.iter().map(Part::len).sum();
        self.push(output, limit, |out| reply::bulk_header(out, length));
        for part in parts {
            match part {
                Part::Copied(bytes) => {
                    self.push(output, limit, |out| out.extend_from_slice(&bytes));
                }
                Part::Shared(bytes) => {
                    output.outbox.borrow_mut().push_part(bytes);
                }
            }
        }
        // Nor does it count when the stream follows.
        output.outbox.borrow_mut().exempt();
    }

    /// Queues a frame that the client gets even with `CLIENT REPLY OFF`.
    pub(crate) fn push(
        &mut self,
        output: &Rc<ClientOutput>,
        limit: OutputLimit,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if output.waits_for_batch.get() {
            self.end_batch();
        }
        if output.disconnect.get().is_none() {
            let counted = output.outbox.borrow_mut().push_with(&mut self.pool, write);
            self.limit(output, counted, limit);
            self.mark_first(output);
        }
    }

    /// Defers further messages to a client until [`end_deferring`](Self::end_deferring). Returns
    /// false if they are deferred already.
    pub(crate) fn begin_deferring(&mut self, output: &ClientOutput) -> bool {
        if output.waits_for_batch.get() {
            // Its messages came before.
            self.end_batch();
        }
        let mut deferred = output.deferred.borrow_mut();
        let is_first = deferred.is_none();
        deferred.get_or_insert_default();
        is_first
    }

    /// Queues the messages deferred since [`begin_deferring`](Self::begin_deferring).
    pub(crate) fn end_deferring(&mut self, output: &Rc<ClientOutput>) {
        let deferred = output.deferred.borrow_mut().take();
        if let Some(frames) = deferred.filter(|frames| !frames.is_empty()) {
            self.deliver_shared(output, frames.into());
        }
    }

    /// Marks a client for disconnection, which its connection performs after the flush.
    pub(crate) fn disconnect(&mut self, output: &Rc<ClientOutput>, reason: Disconnect) {
        if output.waits_for_batch.get() {
            self.end_batch();
        }
        if output.disconnect.get().is_none() {
            output.disconnect.set(Some(reason));
            if !reason.sends_what_is_queued() {
                output.outbox.borrow_mut().clear(&mut self.pool);
            }
            self.mark(output);
        }
    }

    /// Moves outputs with unwritten bytes to `dirty`: all that have a reply, and at most
    /// `others_max` others.
    pub(crate) fn take_dirty(&mut self, dirty: &mut Vec<Rc<ClientOutput>>, others_max: usize) {
        self.end_batch();
        dirty.clear();
        let mut left = others_max;
        while let Some(output) = self.dirty.front() {
            if !output.has_reply.replace(false) {
                let Some(less) = left.checked_sub(1) else { break };
                left = less;
            }
            if let Some(output) = self.dirty.pop_front()
                && output.dirty.replace(false)
            {
                dirty.push(output);
            }
        }
    }

    /// Returns the number of outputs with unwritten bytes.
    pub(crate) fn dirty_count(&self) -> usize {
        self.dirty.len()
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    pub(crate) fn wake_flush_by(&mut self, waker: &Waker) {
        self.flush = Some(waker.clone());
    }

    pub(crate) fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Marks an output with a message, and closes its client if the `counted` bytes exceed the limit.
    fn queued(&mut self, output: &Rc<ClientOutput>, counted: usize, limit: OutputLimit) {
        self.limit(output, counted, limit);
        self.mark(output);
    }

    /// Closes a client if the `counted` bytes exceed its limit.
    fn limit(&mut self, output: &Rc<ClientOutput>, counted: usize, limit: OutputLimit) {
        if limit.is_hard_beyond(counted) && !self.make_room(output, limit.hard_bytes) {
            self.disconnect(output, Disconnect::SlowSubscriber);
        }
    }

    /// Drops messages of a subscriber by the rules, until it has fewer than `limit` unread bytes.
    /// Returns whether it has.
    #[cold]
    pub(crate) fn make_room(&mut self, output: &ClientOutput, limit: usize) -> bool {
        if self.slow_rules.is_empty() || !output.listens.get() {
            return false;
        }
        let mut losses = output.losses.borrow_mut();
        let losses = losses.get_or_insert_default();
        let protocol = output.protocol.get();
        make_room(&mut output.outbox.borrow_mut(), protocol, &self.slow_rules, limit, losses)
    }

    /// Closes a client whose deferred messages exceed its limit, and drops them.
    fn deferred(&mut self, output: &Rc<ClientOutput>, deferred: &mut Vec<u8>) {
        let bytes = output.outbox.borrow().bytes() + deferred.len();
        // Deferred messages are in no block yet.
        let counted = bytes.saturating_sub(BUFFER_BYTES);
        if self.limit_of(output).is_hard_beyond(counted) {
            *deferred = Vec::new();
            self.disconnect(output, Disconnect::SlowSubscriber);
        }
    }

    /// Returns the limit for messages to a client.
    fn limit_of(&self, output: &ClientOutput) -> OutputLimit {
        match () {
            () if output.replicates.get() => self.replica_limit,
            () if output.listens.get() => self.subscriber_limit,
            () => self.normal_limit,
        }
    }

    /// Adds an output to the end of the queue.
    pub(super) fn mark(&mut self, output: &Rc<ClientOutput>) {
        if !output.dirty.replace(true) {
            self.wake_flush();
            self.dirty.push_back(output.clone());
        }
    }

    /// Adds an output with a reply to the start of the queue.
    fn mark_first(&mut self, output: &Rc<ClientOutput>) {
        output.dirty.set(true);
        if !output.has_reply.replace(true) {
            self.wake_flush();
            self.dirty.push_front(output.clone());
        }
    }

    /// Wakes the flush task for the first output in the queue.
    fn wake_flush(&mut self) {
        if self.dirty.is_empty()
            && let Some(flush) = self.flush.take()
        {
            flush.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(id: u64) -> Rc<ClientOutput> {
        Rc::new(ClientOutput::new(id, 0))
    }

    fn message(queue: &mut FlushQueue, output: &Rc<ClientOutput>) {
        queue.deliver_with(output, |out| out.extend_from_slice(b"message"));
    }

    fn reply(queue: &mut FlushQueue, output: &Rc<ClientOutput>) {
        queue.reply(output, OutputLimit::default(), |out| out.extend_from_slice(b"+OK\r\n"));
    }

    /// Takes all outputs with a reply and some of the others, and returns their ids.
    fn take(queue: &mut FlushQueue, others_max: usize) -> Vec<u64> {
        let mut dirty = Vec::new();
        queue.take_dirty(&mut dirty, others_max);
        dirty.iter().map(|output| output.id()).collect()
    }

    #[test]
    fn replies_come_before_messages_and_the_oldest_message_first() {
        let mut queue = FlushQueue::default();
        let outputs: Vec<_> = (0..5).map(output).collect();
        outputs[..3].iter().for_each(|output| message(&mut queue, output));
        outputs[3..].iter().for_each(|output| reply(&mut queue, output));
        assert_eq!(take(&mut queue, usize::MAX), [4, 3, 0, 1, 2]);
        assert!(queue.is_clean());
    }

    #[test]
    fn messages_join_the_outputs_that_are_left() {
        let mut queue = FlushQueue::default();
        let outputs: Vec<_> = (0..4).map(output).collect();
        outputs.iter().for_each(|output| message(&mut queue, output));
        assert_eq!(take(&mut queue, 2), [0, 1]);
        outputs.iter().for_each(|output| message(&mut queue, output));
        reply(&mut queue, &output(4));
        assert_eq!(take(&mut queue, 2), [4, 2, 3]);
        assert_eq!(outputs[3].outbox().bytes(), 2 * b"message".len());
        assert_eq!(take(&mut queue, 2), [0, 1]);
        assert!(queue.is_clean());
    }

    #[test]
    fn a_reply_moves_an_output_forward_once() {
        let mut queue = FlushQueue::default();
        let (ann, bob) = (output(1), output(2));
        for _ in 0..3 {
            message(&mut queue, &bob);
            message(&mut queue, &ann);
            reply(&mut queue, &ann);
            reply(&mut queue, &ann);
            assert_eq!(take(&mut queue, 0), [1]);
            message(&mut queue, &ann);
            assert_eq!(take(&mut queue, usize::MAX), [2, 1]);
            assert!(queue.is_clean());
        }
    }

    #[test]
    fn the_first_output_wakes_the_flush() {
        let mut queue = FlushQueue::default();
        for mark in [message, reply] {
            queue.wake_flush_by(Waker::noop());
            mark(&mut queue, &output(1));
            assert!(queue.flush.is_none(), "the flush is woken");
            take(&mut queue, usize::MAX);
        }
    }
}
