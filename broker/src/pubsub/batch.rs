//! Consecutive messages on one channel, encoded into one buffer for all its subscribers.
//!
//! The first message on a channel is queued for each subscriber at once. If the next message is on
//! the same channel, a batch begins: its messages are only appended to the buffer of the batch.
//! When the batch ends, every subscriber gets all of them in one piece. So a message of a batch
//! costs the same for any number of subscribers.
//!
//! Invariant: nothing else is queued for a client while it waits for a batch. Code that queues
//! something for it, or that changes subscriptions, ends the batch first.

use std::rc::Rc;

use bytes::Bytes;

use super::client_output::ClientOutput;
use super::flush_queue::FlushQueue;
use crate::protocol::Protocol;
use crate::pubsub::message::{ChannelKind, SHARED_BYTES_MIN};

/// The channel of the last message, and the messages that followed it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    kind: Option<ChannelKind>,
    channel: Vec<u8>,
    /// Clients that wait for the batch, by protocol version. Empty until a batch begins.
    outputs: [Vec<Rc<ClientOutput>>; 2],
    frames: [Vec<u8>; 2],
    /// Messages in the frames.
    count: u64,
}

/// A batch ends at this size, so that a client exceeds its limit by no more than that.
const BATCH_BYTES_MAX: usize = 16 * 1024;

impl Batch {
    /// Returns whether the last message was on this channel.
    pub(super) fn is_on(&self, kind: ChannelKind, channel: &[u8]) -> bool {
        self.kind == Some(kind) && self.channel == channel
    }

    pub(super) fn has_begun(&self) -> bool {
        self.outputs.iter().any(|outputs| !outputs.is_empty())
    }

    fn is_full(&self) -> bool {
        self.frames.iter().any(|frame| frame.len() >= BATCH_BYTES_MAX)
    }
}

impl FlushQueue {
    /// Records the channel of the last message, which is queued for its subscribers.
    pub(super) fn record_channel(&mut self, kind: ChannelKind, channel: &[u8]) {
        self.batch.kind = Some(kind);
        self.batch.channel.clear();
        self.batch.channel.extend_from_slice(channel);
    }

    /// Begins a batch for `outputs`, unless messages to one of them are deferred.
    pub(super) fn begin_batch(&mut self, outputs: &[Rc<ClientOutput>]) {
        if outputs.iter().any(|output| output.deferred.borrow().is_some()) {
            return;
        }
        for output in outputs {
            output.waits_for_batch.set(true);
            self.batch.outputs[output.protocol.get() as usize].push(output.clone());
            self.mark(output);
        }
    }

    /// Adds a message to the current batch.
    pub(super) fn add_to_batch(&mut self, write: impl Fn(&mut Vec<u8>, Protocol)) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            if !self.batch.outputs[protocol as usize].is_empty() {
                write(&mut self.batch.frames[protocol as usize], protocol);
            }
        }
        self.batch.count += 1;
        if self.batch.is_full() {
            self.end_batch();
        }
    }

    /// Queues the messages of the batch for all clients that wait for it, and forgets the channel.
    pub(crate) fn end_batch(&mut self) {
        self.batch.kind = None;
        if !self.batch.has_begun() {
            return;
        }
        let count = std::mem::take(&mut self.batch.count);
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut outputs = std::mem::take(&mut self.batch.outputs[protocol as usize]);
            let mut frame = std::mem::take(&mut self.batch.frames[protocol as usize]);
            for output in &outputs {
                output.waits_for_batch.set(false);
                output.count_messages(count);
            }
            if frame.len() >= SHARED_BYTES_MIN && outputs.len() > 1 {
                let shared = Bytes::from(frame);
                outputs.iter().for_each(|output| self.deliver_shared(output, shared.clone()));
                frame = Vec::new();
            } else {
                for output in &outputs {
                    self.deliver_with(output, |out| out.extend_from_slice(&frame));
                }
                frame.clear();
            }
            // Kept for the next batch.
            outputs.clear();
            self.batch.outputs[protocol as usize] = outputs;
            self.batch.frames[protocol as usize] = frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OutputLimit, OutputLimits};
    use crate::ids::WorkerId;
    use crate::pubsub::message::Content;
    use crate::pubsub::message::Name;
    use crate::pubsub::subscribers::{Listeners, Subscribers};

    fn subscribers() -> Subscribers {
        Subscribers::new(WorkerId(0), &OutputLimits::default())
    }

    fn output(subscribers: &mut Subscribers, id: u64, channel: &str) -> Rc<ClientOutput> {
        let output = Rc::new(ClientOutput::new(id, 0));
        output.listens.set(true);
        subscribers.join(ChannelKind::Channels, Name::from(channel.as_bytes()), &output);
        output
    }

    fn publish(subscribers: &mut Subscribers, channel: &str, payload: &str) {
        let (channel, payload) = (channel.as_bytes(), payload.as_bytes());
        let content = Content { kind: ChannelKind::Channels, channel, payload, shared: None };
        subscribers.deliver(content, &Listeners { channel: true, ..Listeners::default() });
    }

    /// Returns the bytes that the client would read, with a space for each line end.
    fn read(subscribers: &mut Subscribers, output: &ClientOutput) -> String {
        subscribers.flush_queue().take_dirty(&mut Vec::new(), usize::MAX);
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let outbox = output.outbox();
        let filled = outbox.slices(&mut slices);
        let text: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        String::from_utf8(text).unwrap().replace("\r\n", " ")
    }

    fn messages(kind: char, payloads: &[&str]) -> String {
        let frame =
            |payload: &&str| format!("{kind}3 $7 message $1 a ${} {payload} ", payload.len());
        payloads.iter().map(frame).collect()
    }

    #[test]
    fn every_subscriber_gets_all_messages_in_its_protocol() {
        let mut subscribers = subscribers();
        let (ann, bob) = (output(&mut subscribers, 1, "a"), output(&mut subscribers, 2, "a"));
        bob.protocol.set(Protocol::Resp3);
        // More than a batch holds, so that it ends and begins again.
        let long = "x".repeat(SHARED_BYTES_MIN / 2);
        let payloads: Vec<&str> = (0..100).map(|_| long.as_str()).collect();
        payloads.iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        assert_eq!(read(&mut subscribers, &ann), messages('*', &payloads));
        assert_eq!(read(&mut subscribers, &bob), messages('>', &payloads));
    }

    #[test]
    fn a_reply_stays_between_two_messages() {
        let mut subscribers = subscribers();
        let (ann, bob) = (output(&mut subscribers, 1, "a"), output(&mut subscribers, 2, "a"));
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        subscribers
            .flush_queue()
            .reply(&ann, OutputLimit::default(), |out| out.extend_from_slice(b"+OK\r\n"));
        ["4", "5", "6"].iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        publish(&mut subscribers, "b", "no subscriber");
        publish(&mut subscribers, "a", "7");
        let (before, after) = (["1", "2", "3"], ["4", "5", "6", "7"]);
        let expected = [&messages('*', &before), "+OK ", &messages('*', &after)].concat();
        assert_eq!(read(&mut subscribers, &ann), expected);
        assert_eq!(read(&mut subscribers, &bob), messages('*', &[&before[..], &after].concat()));
    }

    #[test]
    fn a_subscriber_gets_the_messages_between_joining_and_leaving() {
        let mut subscribers = subscribers();
        let ann = output(&mut subscribers, 1, "a");
        let bob = output(&mut subscribers, 2, "a");
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        subscribers.leave(ChannelKind::Channels, &Name::from(&b"a"[..]), &ann);
        let cid = output(&mut subscribers, 3, "a");
        ["4", "5", "6"].iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        assert_eq!(read(&mut subscribers, &ann), messages('*', &["1", "2", "3"]));
        assert_eq!(read(&mut subscribers, &bob), messages('*', &["1", "2", "3", "4", "5", "6"]));
        assert_eq!(read(&mut subscribers, &cid), messages('*', &["4", "5", "6"]));
    }

    #[test]
    fn a_client_that_quits_gets_the_messages_before() {
        use crate::observe::disconnect::Disconnect;

        let mut subscribers = subscribers();
        let ann = output(&mut subscribers, 1, "a");
        ["1", "2", "3"].iter().for_each(|payload| publish(&mut subscribers, "a", payload));
        subscribers.flush_queue().disconnect(&ann, Disconnect::Quit);
        publish(&mut subscribers, "a", "4");
        assert_eq!(read(&mut subscribers, &ann), messages('*', &["1", "2", "3"]));
    }

    #[test]
    fn a_subscriber_that_does_not_read_is_closed_at_its_limit() {
        let mut subscribers = subscribers();
        let ann = output(&mut subscribers, 1, "a");
        let bytes_max = 4 * BATCH_BYTES_MAX;
        let limit = OutputLimit { hard_bytes: bytes_max, ..OutputLimit::default() };
        subscribers.flush_queue().subscriber_limit = limit;
        let payload = "x".repeat(SHARED_BYTES_MIN / 2);
        for _ in 0..2 * bytes_max / payload.len() {
            publish(&mut subscribers, "a", &payload);
            assert!(ann.outbox().bytes() <= bytes_max + 2 * BATCH_BYTES_MAX);
        }
        assert!(ann.disconnect().is_some());
        assert!(ann.outbox().is_empty());
    }
}
