//! Who on one worker listens to what, and how messages reach them.
//!
//! Everything here belongs to one thread and needs no lock. Nothing is written to a socket: a
//! member that got something joins the dirty list once, and the worker writes each dirty outbox
//! at the end of its turn.
//!
//! Members enter and leave only through [`crate::broker::Broker`], which keeps the registry equal
//! to what stands here.

mod delivery;
mod run;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

pub(crate) use self::delivery::Deliveries;
use self::delivery::Item;
use self::run::Run;
use crate::broker::{Entrance, HeldOrder};
use crate::command::Recent;
use crate::config::{Config, OutputLimit};
use crate::disconnect::Disconnect;
use crate::keyspace::Stale;
use crate::listen::Move;
use crate::members::{Identified, Members};
use crate::message::{Name, Published, SHARED_BYTES_MIN, Space};
use crate::outbox::{Outbox, Pool};
use crate::registry::WorkerId;
use crate::resp::{Protocol, reply};
#[cfg(feature = "lua")]
use crate::script::engine::Engine;
use crate::stats::Tally;

/// One worker's members and their subscriptions.
pub(crate) struct Audience {
    worker: WorkerId,
    /// By space.
    channels: [Subscriptions; Space::COUNT],
    patterns: Subscriptions,
    /// All clients of the worker, by their places.
    members: Vec<Option<Rc<Member>>>,
    frames: Frames,
    mail: Mail,
    /// The settings in force, as of the beginning of the turn.
    pub(crate) config: Arc<Config>,
    /// What a session wants done that it cannot do itself.
    pub(crate) effects: Vec<Effect>,
    /// The order, while a transaction holds it.
    pub(crate) held: Option<HeldOrder>,
    /// Those to wake when it is let go and the requests of a read are done.
    pub(crate) to_wake: Vec<Waker>,
    /// What the worker took from its inbox; empty but for the moment between that and
    /// [`Audience::take_in`].
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
    GoOnWithScript,
    /// Stop the server.
    ShutDown,
}

type Subscriptions = HashMap<Name, Members<Rc<Member>>, RandomState>;

/// One client, as messages and replies see it.
#[derive(Debug)]
pub(crate) struct Member {
    id: u64,
    /// Where the worker keeps its connection.
    pub(crate) place: usize,
    pub(crate) protocol: Cell<Protocol>,
    /// Set once; from then on nothing is queued.
    disconnect: Cell<Option<Disconnect>>,
    dirty: Cell<bool>,
    /// Whether it has a subscription.
    pub(crate) listens: Cell<bool>,
    /// Whether messages for it are in the run.
    waits_for_run: Cell<bool>,
    /// Replies are dropped, messages are not (`CLIENT REPLY`).
    pub(crate) silent: Cell<bool>,
    /// What the member publishes to itself waits here until its reply is written.
    deferred: RefCell<Option<Vec<u8>>>,
    outbox: RefCell<Outbox>,
}

/// What is to be written at the end of the turn.
#[derive(Debug)]
pub(crate) struct Mail {
    dirty: Vec<Rc<Member>>,
    pool: Pool,
    run: Run,
    /// How often something was queued.
    queued: u64,
    /// The limit of a client with subscriptions.
    pub(crate) subscriber_limit: OutputLimit,
    /// Wakes the worker's flush.
    flush: Option<Waker>,
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
    pub(crate) space: Space,
    pub(crate) channel: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) shared: Option<&'a Published>,
}

/// Room for the frames of one message, one per protocol version.
#[derive(Debug, Default)]
struct Frames([Vec<u8>; 2]);

impl Audience {
    pub(crate) fn new(worker: WorkerId, config: Arc<Config>, entrance: Entrance) -> Self {
        let subscriptions = || HashMap::with_hasher(RandomState::default());
        let subscriber_limit = config.client_output_buffer_limit.pubsub;
        Self {
            worker,
            channels: std::array::from_fn(|_| subscriptions()),
            patterns: subscriptions(),
            members: Vec::new(),
            frames: Frames::default(),
            mail: Mail {
                dirty: Vec::new(),
                pool: Pool::default(),
                run: Run::default(),
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
        self.mail.subscriber_limit = config.client_output_buffer_limit.pubsub;
        self.config = config;
    }

    pub(crate) fn wake(&mut self) {
        self.to_wake.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    pub(crate) fn mail(&mut self) -> &mut Mail {
        &mut self.mail
    }

    pub(crate) fn join(&mut self, space: Space, channel: Name, member: &Rc<Member>) {
        self.mail.end_run();
        join(&mut self.channels[space as usize], channel, member);
    }

    pub(crate) fn join_pattern(&mut self, pattern: Name, member: &Rc<Member>) {
        self.mail.end_run();
        join(&mut self.patterns, pattern, member);
    }

    pub(crate) fn leave(&mut self, space: Space, channel: &Name, member: &Member) {
        self.mail.end_run();
        leave(&mut self.channels[space as usize], channel, member);
    }

    pub(crate) fn leave_pattern(&mut self, pattern: &Name, member: &Member) {
        self.mail.end_run();
        leave(&mut self.patterns, pattern, member);
    }

    /// Queues a message for everyone on this worker who listens.
    pub(crate) fn deliver(&mut self, content: Content<'_>, to: &Listeners) {
        let Content { space, channel, payload, shared } = content;
        let write = |out: &mut Vec<u8>, protocol| space.write(out, protocol, channel, payload);
        let can_run = to.patterns.is_empty() && !content.is_large();
        let follows = can_run && self.mail.run.is_on(space, channel);
        if follows && self.mail.run.has_begun() {
            return self.mail.add_to_run(write);
        }
        self.mail.end_run();
        if to.channel
            && let Some(members) = self.channels[space as usize].get(channel)
        {
            let members = members.as_slice();
            if can_run {
                self.mail.note_channel(space, channel);
            }
            if follows {
                self.mail.begin_run(members);
                if self.mail.run.has_begun() {
                    return self.mail.add_to_run(write);
                }
            }
            match shared {
                Some(published) if content.is_large() => members.iter().for_each(|member| {
                    let frame = published.frame(member.protocol.get()).clone();
                    self.mail.deliver_shared(member, frame);
                }),
                _ if content.is_large() => self.mail.deliver_large(members, write),
                _ => self.frames.each(members, &mut self.mail, write),
            }
        }
        for pattern in &to.patterns {
            if let Some(members) = self.patterns.get(pattern) {
                let members = members.as_slice();
                let write = |out: &mut Vec<u8>, protocol| {
                    reply::pattern_message(out, protocol, pattern, channel, payload);
                };
                match content.is_large() || pattern.len() >= SHARED_BYTES_MIN {
                    true => self.mail.deliver_large(members, write),
                    false => self.frames.each(members, &mut self.mail, write),
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
            Item::Stale(stale) => self.tell_stale(stale),
        });
        self.taken = taken;
    }

    /// Tells a client of this worker that a copy of its is stale, if it is there and can be told.
    pub(crate) fn tell_stale(&mut self, stale: &Stale) {
        let found = self.members.get(stale.to.place).and_then(Option::as_ref);
        let Some(member) = found.filter(|member| member.id == stale.to.client) else { return };
        let protocol = member.protocol.get();
        // RESP2 has no pushes, but a subscriber expects messages.
        let is_told = match protocol {
            Protocol::Resp3 => true,
            Protocol::Resp2 => stale.is_redirected && member.listens.get(),
        };
        if is_told {
            self.mail.end_run();
            self.mail.deliver_with(member, |out| reply::stale(out, protocol, &stale.what));
        }
    }

    /// Takes a client in, so that it can be told of what concerns it alone.
    pub(crate) fn enter(&mut self, member: &Rc<Member>) {
        if self.members.len() <= member.place {
            self.members.resize(member.place + 1, None);
        }
        self.members[member.place] = Some(member.clone());
    }

    pub(crate) fn exit(&mut self, member: &Member) {
        self.members[member.place] = None;
    }
}

fn join(subscriptions: &mut Subscriptions, name: Name, member: &Rc<Member>) {
    match subscriptions.get_mut(&name) {
        Some(members) => members.insert(member.clone()),
        None => {
            subscriptions.insert(name, Members::One(member.clone()));
        }
    }
}

fn leave(subscriptions: &mut Subscriptions, name: &Name, member: &Member) {
    if subscriptions.get_mut(name).is_some_and(|members| members.remove(member.id)) {
        subscriptions.remove(name);
    }
}

impl Frames {
    /// Encodes a message for those protocol versions that are needed, and queues a copy of it for
    /// each of `members`.
    fn each(
        &mut self,
        members: &[Rc<Member>],
        mail: &mut Mail,
        write: impl Fn(&mut Vec<u8>, Protocol),
    ) {
        if let [member] = members {
            return mail.deliver_with(member, |out| write(out, member.protocol.get()));
        }
        self.0.iter_mut().for_each(Vec::clear);
        for member in members {
            let protocol = member.protocol.get();
            let frame = &mut self.0[protocol as usize];
            if frame.is_empty() {
                write(frame, protocol);
            }
            mail.deliver_with(member, |out| out.extend_from_slice(frame));
        }
    }
}

impl Mail {
    /// Queues a message for a subscriber, which may be its last.
    fn deliver_with(&mut self, member: &Rc<Member>, write: impl FnOnce(&mut Vec<u8>)) {
        if member.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *member.deferred.borrow_mut() {
            return write(deferred);
        }
        let bytes = member.outbox.borrow_mut().push_with(&mut self.pool, write);
        self.queued(member, bytes, self.subscriber_limit);
    }

    fn deliver_shared(&mut self, member: &Rc<Member>, frame: Bytes) {
        if member.disconnect.get().is_some() {
            return;
        }
        if let Some(deferred) = &mut *member.deferred.borrow_mut() {
            return deferred.extend_from_slice(&frame);
        }
        let bytes = member.outbox.borrow_mut().push_shared(frame);
        self.queued(member, bytes, self.subscriber_limit);
    }

    /// Queues a message that is encoded once for each protocol version and shared.
    fn deliver_large(&mut self, members: &[Rc<Member>], write: impl Fn(&mut Vec<u8>, Protocol)) {
        let mut frames: [Option<Bytes>; 2] = [None, None];
        for member in members {
            let protocol = member.protocol.get();
            let frame = frames[protocol as usize].get_or_insert_with(|| {
                let mut frame = Vec::new();
                write(&mut frame, protocol);
                frame.into()
            });
            self.deliver_shared(member, frame.clone());
        }
    }

    /// Queues a reply, which `write` writes at its final place.
    pub(crate) fn reply(
        &mut self,
        member: &Rc<Member>,
        limit: OutputLimit,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if !member.silent.get() {
            self.push(member, limit, write);
        }
    }

    /// Queues a bulk string as a reply, and shares its bytes.
    pub(crate) fn reply_shared(&mut self, member: &Rc<Member>, limit: OutputLimit, bytes: &Bytes) {
        if member.silent.get() || member.disconnect.get().is_some() {
            return;
        }
        self.push(member, limit, |out| reply::bulk_header(out, bytes.len()));
        let queued = member.outbox.borrow_mut().push_shared(bytes.clone());
        self.queued(member, queued, limit);
        self.push(member, limit, |out| out.extend_from_slice(b"\r\n"));
    }

    /// Queues what a client gets even if it wants no replies.
    pub(crate) fn push(
        &mut self,
        member: &Rc<Member>,
        limit: OutputLimit,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if member.waits_for_run.get() {
            self.end_run();
        }
        if member.disconnect.get().is_none() {
            let bytes = member.outbox.borrow_mut().push_with(&mut self.pool, write);
            self.queued(member, bytes, limit);
        }
    }

    /// Queues what the member has published to itself since [`Member::begin_deferring`].
    pub(crate) fn end_deferring(&mut self, member: &Rc<Member>) {
        let deferred = member.deferred.borrow_mut().take();
        if let Some(frames) = deferred.filter(|frames| !frames.is_empty()) {
            self.deliver_shared(member, frames.into());
        }
    }

    /// Ends a member. The worker sees to it at the end of the turn.
    pub(crate) fn disconnect(&mut self, member: &Rc<Member>, reason: Disconnect) {
        if member.waits_for_run.get() {
            self.end_run();
        }
        if member.disconnect.get().is_none() {
            member.disconnect.set(Some(reason));
            if !reason.sends_what_is_queued() {
                member.outbox.borrow_mut().clear(&mut self.pool);
            }
            self.mark(member);
        }
    }

    /// Returns those with something to write, last in first out: who published is answered before
    /// those who listen get the message, so its next command is under way while these are written.
    pub(crate) fn take_dirty(&mut self, dirty: &mut Vec<Rc<Member>>) {
        self.end_run();
        dirty.clear();
        std::mem::swap(&mut self.dirty, dirty);
        dirty.reverse();
        dirty.iter().for_each(|member| member.dirty.set(false));
    }

    /// Returns those with something to write that have no subscription, in the same order.
    pub(crate) fn take_dirty_without_subscription(&mut self, dirty: &mut Vec<Rc<Member>>) {
        dirty.clear();
        dirty.extend(self.dirty.extract_if(.., |member| !member.listens.get()));
        dirty.reverse();
        dirty.iter().for_each(|member| member.dirty.set(false));
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
    fn queued(&mut self, member: &Rc<Member>, bytes: usize, limit: OutputLimit) {
        if limit.is_hard_beyond(bytes) {
            self.disconnect(member, Disconnect::SlowSubscriber);
        }
        self.mark(member);
    }

    fn mark(&mut self, member: &Rc<Member>) {
        self.queued = self.queued.wrapping_add(1);
        if !member.dirty.replace(true) {
            if self.dirty.is_empty()
                && let Some(flush) = self.flush.take()
            {
                flush.wake();
            }
            self.dirty.push(member.clone());
        }
    }
}

impl Member {
    pub(crate) fn new(id: u64, place: usize) -> Self {
        Self {
            id,
            place,
            protocol: Cell::default(),
            disconnect: Cell::default(),
            dirty: Cell::default(),
            listens: Cell::default(),
            waits_for_run: Cell::default(),
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

    /// Makes messages to this member wait until [`Mail::end_deferring`]. Returns whether they did
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

impl Identified for Rc<Member> {
    fn id(&self) -> u64 {
        self.id
    }
}

impl Published {
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            space: self.space,
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
