//! Who on one worker listens to what, and how messages reach them.
//!
//! Everything here belongs to one thread and needs no lock. Nothing is written to a socket: a
//! member that got something joins the dirty list once, and the worker writes each dirty outbox
//! at the end of its turn.
//!
//! Members enter and leave only through [`crate::pubsub::Broker`], which keeps the registry equal
//! to what stands here.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::batch::Batch;
pub(crate) use super::delivery::Deliveries;
use super::delivery::Item;
use crate::commands::Recent;
use crate::config::{Config, OutputLimit};
use crate::keyspace::Invalidation;
use crate::observe::disconnect::Disconnect;
use crate::observe::stats::Tally;
use crate::protocol::{Protocol, invalidation, reply};
use crate::pubsub::id_set::{IdSet, Identified};
use crate::pubsub::message::{ChannelKind, Name, Published, SHARED_BYTES_MIN};
use crate::pubsub::outbox::{Outbox, Pool};
use crate::pubsub::registry::WorkerId;
use crate::pubsub::{Entrance, HeldOrder};
#[cfg(feature = "lua")]
use crate::script::engine::Engine;
use crate::server::listen::Move;

/// One worker's members and their subscriptions.
pub(crate) struct Context {
    pub(super) worker: WorkerId,
    /// By space.
    pub(super) channels: [Subscriptions; ChannelKind::COUNT],
    pub(super) patterns: Subscriptions,
    /// All clients of the worker, by their places.
    pub(super) outputs: Vec<Option<Rc<ClientOutput>>>,
    frames: Frames,
    pub(super) flush_queue: FlushQueue,
    /// The settings in force, as of the beginning of the turn.
    pub(crate) config: Arc<Config>,
    /// What a session wants done that it cannot do itself.
    pub(crate) effects: Vec<Effect>,
    /// The order, while a transaction holds it.
    pub(crate) held: Option<HeldOrder>,
    /// Those to wake when it is let go and the requests of a read are done.
    pub(crate) to_wake: Vec<Waker>,
    /// What the worker took from its inbox; empty but for the moment between that and
    /// [`Context::take_in`].
    pub(crate) taken: Deliveries,
    pub(crate) tally: Tally,
    pub(crate) recent: Recent,
    /// A worker that is behind with what the request of the moment has published.
    pub(crate) behind: Option<WorkerId>,
    /// The worker's gate, which a script may shut.
    pub(crate) entrance: Entrance,
    #[cfg(feature = "lua")]
    pub(crate) engine: Rc<Engine>,
}

/// What a session wants of its worker or of the server.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Close these clients at once.
    Close(Vec<u64>),
    /// Let those go on that are held back.
    Resume,
    /// Look again whether clients may listen to what they listen to.
    CheckRights,
    /// Close those that hold most, if all hold too much.
    Evict,
    /// Listen elsewhere.
    Move(Arc<Move>),
    /// Go on with a script that was put aside, until it ends.
    #[cfg(feature = "lua")]
    ResumeScript,
    /// Stop the server.
    ShutDown,
}

type Subscriptions = HashMap<Name, IdSet<Rc<ClientOutput>>, RandomState>;

/// One client, as messages and replies see it.
#[derive(Debug)]
pub(crate) struct ClientOutput {
    pub(super) id: u64,
    /// Where the worker keeps its connection.
    pub(crate) place: usize,
    pub(crate) protocol: Cell<Protocol>,
    /// Set once; from then on nothing is queued.
    pub(super) disconnect: Cell<Option<Disconnect>>,
    pub(super) dirty: Cell<bool>,
    /// Whether it has a subscription.
    pub(crate) listens: Cell<bool>,
    /// Whether messages for it are in the run.
    pub(super) waits_for_batch: Cell<bool>,
    /// Replies are dropped, messages are not (`CLIENT REPLY`).
    pub(crate) silent: Cell<bool>,
    /// What the member publishes to itself waits here until its reply is written.
    pub(super) deferred: RefCell<Option<Vec<u8>>>,
    pub(super) outbox: RefCell<Outbox>,
}

/// What is to be written at the end of the turn.
#[derive(Debug)]
pub(crate) struct FlushQueue {
    pub(super) dirty: Vec<Rc<ClientOutput>>,
    pub(super) pool: Pool,
    pub(super) batch: Batch,
    /// How often something was queued.
    pub(super) queued: u64,
    /// The limit of a client with subscriptions.
    pub(crate) subscriber_limit: OutputLimit,
    /// Wakes the worker's flush.
    pub(super) flush: Option<Waker>,
}

/// Which of a worker's members get a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listeners {
    /// Those of the channel itself.
    pub(crate) channel: bool,
    /// Those of these patterns.
    pub(crate) patterns: SmallVec<[Name; 2]>,
}

/// What is delivered: borrowed from a request, or shared with other workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) kind: ChannelKind,
    pub(crate) channel: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) shared: Option<&'a Published>,
}

/// Room for the frames of one message, one per protocol version.
#[derive(Debug, Default)]
struct Frames([Vec<u8>; 2]);

impl Context {
    pub(crate) fn new(worker: WorkerId, config: Arc<Config>, entrance: Entrance) -> Self {
        let subscriptions = || HashMap::with_hasher(RandomState::default());
        let subscriber_limit = config.client_output_buffer_limit.pubsub;
        Self {
            worker,
            channels: std::array::from_fn(|_| subscriptions()),
            patterns: subscriptions(),
            outputs: Vec::new(),
            frames: Frames::default(),
            flush_queue: FlushQueue {
                dirty: Vec::new(),
                pool: Pool::default(),
                batch: Batch::default(),
                queued: 0,
                subscriber_limit,
                flush: None,
            },
            config,
            effects: Vec::new(),
            held: None,
            to_wake: Vec::new(),
            taken: Deliveries::default(),
            tally: Tally::default(),
            recent: Recent::default(),
            behind: None,
            entrance,
            #[cfg(feature = "lua")]
            engine: Rc::default(),
        }
    }

    /// Puts changed settings in force here.
    pub(crate) fn set_config(&mut self, config: Arc<Config>) {
        self.flush_queue.subscriber_limit = config.client_output_buffer_limit.pubsub;
        self.config = config;
    }

    pub(crate) fn wake(&mut self) {
        self.to_wake.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(crate) fn flush_queue(&mut self) -> &mut FlushQueue {
        &mut self.flush_queue
    }

    pub(crate) fn join(&mut self, kind: ChannelKind, channel: Name, output: &Rc<ClientOutput>) {
        self.flush_queue.end_batch();
        join(&mut self.channels[kind as usize], channel, output);
    }

    pub(crate) fn join_pattern(&mut self, pattern: Name, output: &Rc<ClientOutput>) {
        self.flush_queue.end_batch();
        join(&mut self.patterns, pattern, output);
    }

    pub(crate) fn leave(&mut self, kind: ChannelKind, channel: &Name, output: &ClientOutput) {
        self.flush_queue.end_batch();
        leave(&mut self.channels[kind as usize], channel, output);
    }

    pub(crate) fn leave_pattern(&mut self, pattern: &Name, output: &ClientOutput) {
        self.flush_queue.end_batch();
        leave(&mut self.patterns, pattern, output);
    }

    /// Queues a message for everyone on this worker who listens.
    pub(crate) fn deliver(&mut self, content: Content<'_>, to: &Listeners) {
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

    /// Queues what was taken from the inbox, which most often is nothing.
    pub(crate) fn take_in(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let mut taken = std::mem::take(&mut self.taken);
        taken.drain(|item| match item {
            Item::Message(content, to) => self.deliver(content, to),
            Item::Invalidation(stale) => self.tell_stale(stale),
        });
        self.taken = taken;
    }

    /// Tells a client of this worker that a copy of its is stale, if it is there and can be told.
    pub(crate) fn tell_stale(&mut self, stale: &Invalidation) {
        let found = self.outputs.get(stale.to.place).and_then(Option::as_ref);
        let Some(output) = found.filter(|output| output.id == stale.to.client) else { return };
        let protocol = output.protocol.get();
        // RESP2 has no pushes, but a subscriber expects messages.
        let is_told = match protocol {
            Protocol::Resp3 => true,
            Protocol::Resp2 => stale.is_redirected && output.listens.get(),
        };
        if is_told {
            self.flush_queue.end_batch();
            self.flush_queue
                .deliver_with(output, |out| invalidation::append(out, protocol, &stale.keys));
        }
    }

    /// Takes a client in, so that it can be told of what concerns it alone.
    pub(crate) fn enter(&mut self, output: &Rc<ClientOutput>) {
        if self.outputs.len() <= output.place {
            self.outputs.resize(output.place + 1, None);
        }
        self.outputs[output.place] = Some(output.clone());
    }

    pub(crate) fn exit(&mut self, output: &ClientOutput) {
        self.outputs[output.place] = None;
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
    /// Encodes a message for those protocol versions that are needed, and queues a copy of it for
    /// each of `outputs`.
    fn each(
        &mut self,
        outputs: &[Rc<ClientOutput>],
        flush_queue: &mut FlushQueue,
        write: impl Fn(&mut Vec<u8>, Protocol),
    ) {
        if let [output] = outputs {
            return flush_queue.deliver_with(output, |out| write(out, output.protocol.get()));
        }
        self.0.iter_mut().for_each(Vec::clear);
        for output in outputs {
            let protocol = output.protocol.get();
            let frame = &mut self.0[protocol as usize];
            if frame.is_empty() {
                write(frame, protocol);
            }
            flush_queue.deliver_with(output, |out| out.extend_from_slice(frame));
        }
    }
}

impl FlushQueue {
    /// Queues a message for a subscriber, which may be its last.
    pub(super) fn deliver_with(
        &mut self,
        output: &Rc<ClientOutput>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if output.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *output.deferred.borrow_mut() {
            return write(deferred);
        }
        let bytes = output.outbox.borrow_mut().push_with(&mut self.pool, write);
        self.queued(output, bytes, self.subscriber_limit);
    }

    pub(super) fn deliver_shared(&mut self, output: &Rc<ClientOutput>, frame: Bytes) {
        if output.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *output.deferred.borrow_mut() {
            return deferred.extend_from_slice(&frame);
        }
        let bytes = output.outbox.borrow_mut().push_shared(frame);
        self.queued(output, bytes, self.subscriber_limit);
    }

    /// Queues a message that is encoded once for each protocol version and shared.
    fn deliver_large(
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
            self.deliver_shared(output, frame.clone());
        }
    }

    /// Queues a reply, which `write` writes at its final place.
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
        let queued = output.outbox.borrow_mut().push_shared(bytes.clone());
        self.queued(output, queued, limit);
        self.push(output, limit, |out| out.extend_from_slice(b"\r\n"));
    }

    /// Queues what a client gets even if it wants no replies.
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
            let bytes = output.outbox.borrow_mut().push_with(&mut self.pool, write);
            self.queued(output, bytes, limit);
        }
    }

    /// Queues what the member has published to itself since [`ClientOutput::begin_deferring`].
    pub(crate) fn end_deferring(&mut self, output: &Rc<ClientOutput>) {
        let deferred = output.deferred.borrow_mut().take();
        if let Some(frames) = deferred.filter(|frames| !frames.is_empty()) {
            self.deliver_shared(output, frames.into());
        }
    }

    /// Ends a member. The worker sees to it at the end of the turn.
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

    /// Returns those with something to write, last in first out: who published is answered before
    /// those who listen get the message, so its next command is under way while these are written.
    pub(crate) fn take_dirty(&mut self, dirty: &mut Vec<Rc<ClientOutput>>) {
        self.end_batch();
        dirty.clear();
        std::mem::swap(&mut self.dirty, dirty);
        dirty.reverse();
        dirty.iter().for_each(|output| output.dirty.set(false));
    }

    /// Returns those with something to write that have no subscription, in the same order.
    pub(crate) fn take_dirty_without_subscription(&mut self, dirty: &mut Vec<Rc<ClientOutput>>) {
        dirty.clear();
        dirty.extend(self.dirty.extract_if(.., |output| !output.listens.get()));
        dirty.reverse();
        dirty.iter().for_each(|output| output.dirty.set(false));
    }

    /// Returns how many have something to write.
    pub(crate) fn dirty_count(&self) -> usize {
        self.dirty.len()
    }

    /// Returns a number that changes with everything that is queued.
    pub(crate) fn queued_count(&self) -> u64 {
        self.queued
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

    /// Sees to a member whose outbox holds so many bytes now.
    fn queued(&mut self, output: &Rc<ClientOutput>, bytes: usize, limit: OutputLimit) {
        if limit.is_hard_beyond(bytes) {
            self.disconnect(output, Disconnect::SlowSubscriber);
        }
        self.mark(output);
    }

    pub(super) fn mark(&mut self, output: &Rc<ClientOutput>) {
        self.queued = self.queued.wrapping_add(1);
        if !output.dirty.replace(true) {
            if self.dirty.is_empty()
                && let Some(flush) = self.flush.take()
            {
                flush.wake();
            }
            self.dirty.push(output.clone());
        }
    }
}

impl ClientOutput {
    pub(crate) fn new(id: u64, place: usize) -> Self {
        Self {
            id,
            place,
            protocol: Cell::default(),
            disconnect: Cell::default(),
            dirty: Cell::default(),
            listens: Cell::default(),
            waits_for_batch: Cell::default(),
            silent: Cell::default(),
            deferred: RefCell::default(),
            outbox: RefCell::default(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn disconnect(&self) -> Option<Disconnect> {
        self.disconnect.get()
    }

    /// Makes messages to this member wait until [`FlushQueue::end_deferring`]. Returns whether they did
    /// not wait already.
    pub(crate) fn begin_deferring(&self) -> bool {
        let mut deferred = self.deferred.borrow_mut();
        let is_first = deferred.is_none();
        deferred.get_or_insert_default();
        is_first
    }

    pub(crate) fn outbox(&self) -> RefMut<'_, Outbox> {
        self.outbox.borrow_mut()
    }
}

impl Identified for Rc<ClientOutput> {
    fn id(&self) -> u64 {
        self.id
    }
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

impl Listeners {
    /// Adds those of the channel itself, or those of a pattern.
    pub(crate) fn add(&mut self, pattern: Option<&Name>) {
        match pattern {
            Some(pattern) => self.patterns.push(pattern.clone()),
            None => self.channel = true,
        }
    }

    pub(crate) fn is_nobody(&self) -> bool {
        !self.channel && self.patterns.is_empty()
    }
}

impl Content<'_> {
    /// Whether its frame is shared rather than copied.
    pub(crate) fn is_large(&self) -> bool {
        self.channel.len() + self.payload.len() >= SHARED_BYTES_MIN
    }
}
