//! The subscribers of one worker, and the delivery of messages to them.
//!
//! This state belongs to one thread and needs no lock. Nothing is written to a socket here. An
//! output with new bytes joins the flush queue once. The worker writes each queued output at the
//! end of its turn.
//!
//! Invariant: clients join and leave through [`OrderGuard`](super::order::OrderGuard) only, which
//! keeps the registry equal to these tables.

use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::client_output::ClientOutput;
use super::flush_queue::FlushQueue;
use super::id_set::IdSet;
use super::message::{ChannelKind, Content, Name, SHARED_BYTES_MIN};
use super::taps::Taps;
use crate::config::OutputLimits;
use crate::ids::WorkerId;
use crate::keyspace::Invalidation;
use crate::protocol::{self, Protocol, reply};

/// The clients of one worker and their subscriptions.
pub(crate) struct Subscribers {
    worker: WorkerId,
    /// Indexed by [`ChannelKind`].
    channels: [Subscriptions; ChannelKind::COUNT],
    patterns: Subscriptions,
    pub(super) taps: Taps,
    /// All clients of the worker, by slot.
    outputs: Vec<Option<Rc<ClientOutput>>>,
    frames: Frames,
    pub(super) flush_queue: FlushQueue,
}

type Subscriptions = HashMap<Name, IdSet<Rc<ClientOutput>>, RandomState>;

/// The groups of a worker's clients that get a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    /// Subscribers of the channel itself.
    pub(crate) channel: bool,
    /// Subscribers of these patterns.
    pub(crate) patterns: SmallVec<[Name; 2]>,
}

/// The kind of a subscription to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    Channel,
    Shard,
    Pattern(Name),
}

/// Buffers for the frames of one message, one per protocol version.
#[derive(Debug, Default)]
struct Frames([Vec<u8>; 2]);

impl Subscribers {
    pub(crate) fn new(worker: WorkerId, limits: &OutputLimits) -> Self {
        let subscriptions = || HashMap::with_hasher(RandomState::default());
        Self {
            worker,
            channels: std::array::from_fn(|_| subscriptions()),
            patterns: subscriptions(),
            taps: Taps::default(),
            outputs: Vec::new(),
            frames: Frames::default(),
            flush_queue: FlushQueue::new(limits),
        }
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(crate) fn flush_queue(&mut self) -> &mut FlushQueue {
        &mut self.flush_queue
    }

    pub(super) fn join(&mut self, kind: ChannelKind, channel: Name, output: &Rc<ClientOutput>) {
        self.flush_queue.end_batch();
        join(&mut self.channels[kind as usize], channel, output);
    }

    pub(super) fn join_pattern(&mut self, pattern: Name, output: &Rc<ClientOutput>) {
        self.flush_queue.end_batch();
        join(&mut self.patterns, pattern, output);
    }

    pub(super) fn leave(&mut self, kind: ChannelKind, channel: &Name, output: &ClientOutput) {
        self.flush_queue.end_batch();
        leave(&mut self.channels[kind as usize], channel, output);
    }

    pub(super) fn leave_pattern(&mut self, pattern: &Name, output: &ClientOutput) {
        self.flush_queue.end_batch();
        leave(&mut self.patterns, pattern, output);
    }

    /// Queues a message for the subscribers of this worker that `to` selects.
    pub(super) fn deliver(&mut self, content: Content<'_>, to: &Listeners) {
        let Content { kind, channel, payload, shared } = content;
        let write = |out: &mut Vec<u8>, protocol| kind.write(out, protocol, channel, payload);
        let can_batch = to.patterns.is_empty() && !content.is_large();
        let follows = can_batch && self.flush_queue.batch.is_on(kind, channel);
        if follows && self.flush_queue.batch.has_begun() {
            return self.flush_queue.add_to_batch(write);
        }
        self.flush_queue.end_batch();
        if to.channel
            && let Some(outputs) = self.channels[kind as usize].get(channel)
        {
            let outputs = outputs.as_slice();
            if can_batch {
                self.flush_queue.record_channel(kind, channel);
            }
            if follows {
                self.flush_queue.begin_batch(outputs);
                if self.flush_queue.batch.has_begun() {
                    return self.flush_queue.add_to_batch(write);
                }
            }
            match shared {
                Some(published) if content.is_large() => outputs.iter().for_each(|output| {
                    let frame = published.frame(output.protocol.get()).clone();
                    output.count_messages(1);
                    self.flush_queue.deliver_shared(output, frame);
                }),
                _ if content.is_large() => self.flush_queue.deliver_large(outputs, write),
                _ => self.frames.each(outputs, &mut self.flush_queue, write),
            }
        }
        for pattern in &to.patterns {
            if let Some(outputs) = self.patterns.get(pattern) {
                let outputs = outputs.as_slice();
                let write = |out: &mut Vec<u8>, protocol| {
                    reply::pattern_message(out, protocol, pattern, channel, payload);
                };
                match content.is_large() || pattern.len() >= SHARED_BYTES_MIN {
                    true => self.flush_queue.deliver_large(outputs, write),
                    false => self.frames.each(outputs, &mut self.flush_queue, write),
                }
            }
        }
    }

    /// Returns the subscriptions of this worker's clients to a channel, by their slots. `patterns`
    /// are those that match the channel.
    pub(crate) fn of_channel<'a>(
        &'a self,
        channel: &'a [u8],
        patterns: &'a [Name],
    ) -> impl Iterator<Item = (usize, Subscribed)> + 'a {
        let of = |table: &'a Subscriptions, name: &'a [u8]| {
            table.get(name).map_or(&[][..], IdSet::as_slice).iter()
        };
        let [channels, shards, ..] = &self.channels;
        let by_channel = of(channels, channel).map(|output| (output.slot, Subscribed::Channel));
        let by_shard = of(shards, channel).map(|output| (output.slot, Subscribed::Shard));
        let by_pattern = patterns.iter().flat_map(move |name| {
            let by =
                move |output: &Rc<ClientOutput>| (output.slot, Subscribed::Pattern(name.clone()));
            of(&self.patterns, &name[..]).map(by)
        });
        by_channel.chain(by_shard).chain(by_pattern)
    }

    /// Queues an invalidation for a client of this worker. Does nothing if the client is gone or
    /// its protocol has no such message.
    pub(super) fn invalidate(&mut self, invalidation: &Invalidation) {
        let found = self.outputs.get(invalidation.to.slot).and_then(Option::as_ref);
        let Some(output) = found.filter(|output| output.id == invalidation.to.client) else {
            return;
        };
        let protocol = output.protocol.get();
        // RESP2 has no pushes, but a subscriber expects messages.
        let is_expected = match protocol {
            Protocol::Resp3 => true,
            Protocol::Resp2 => invalidation.is_redirected && output.listens.get(),
        };
        if is_expected {
            self.flush_queue.end_batch();
            self.flush_queue.deliver_with(output, |out| {
                protocol::invalidation::append(out, protocol, &invalidation.keys);
            });
        }
    }

    /// Adds a client, so that invalidations reach it.
    pub(crate) fn enter(&mut self, output: &Rc<ClientOutput>) {
        if self.outputs.len() <= output.slot {
            self.outputs.resize(output.slot + 1, None);
        }
        self.outputs[output.slot] = Some(output.clone());
    }

    pub(crate) fn exit(&mut self, output: &ClientOutput) {
        self.outputs[output.slot] = None;
    }
}

fn join(subscriptions: &mut Subscriptions, name: Name, output: &Rc<ClientOutput>) {
    match subscriptions.get_mut(&name) {
        Some(outputs) => outputs.insert(output.clone()),
        None => {
            subscriptions.insert(name, IdSet::One(output.clone()));
        }
    }
}

fn leave(subscriptions: &mut Subscriptions, name: &Name, output: &ClientOutput) {
    if subscriptions.get_mut(name).is_some_and(|outputs| outputs.remove(output.id)) {
        subscriptions.remove(name);
    }
}

impl Frames {
    /// Encodes a message once for each protocol version in use, and queues a copy for each of
    /// `outputs`.
    fn each(
        &mut self,
        outputs: &[Rc<ClientOutput>],
        flush_queue: &mut FlushQueue,
        write: impl Fn(&mut Vec<u8>, Protocol),
    ) {
        if let [output] = outputs {
            output.count_messages(1);
            return flush_queue.deliver_with(output, |out| write(out, output.protocol.get()));
        }
        self.0.iter_mut().for_each(Vec::clear);
        for output in outputs {
            let protocol = output.protocol.get();
            let frame = &mut self.0[protocol as usize];
            if frame.is_empty() {
                write(frame, protocol);
            }
            output.count_messages(1);
            flush_queue.deliver_with(output, |out| out.extend_from_slice(frame));
        }
    }
}

impl Listeners {
    /// Adds the subscribers of the channel itself, or those of a pattern.
    pub(crate) fn add(&mut self, pattern: Option<&Name>) {
        match pattern {
            Some(pattern) => self.patterns.push(pattern.clone()),
            None => self.channel = true,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.channel && self.patterns.is_empty()
    }
}
