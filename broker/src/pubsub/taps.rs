//! Taps: clients that see the messages of other channels, decoded, on `__tap__:` and a pattern.
//!
//! A tap is no subscription of the tapped channel: it is in no registry, and no publisher counts it.
//! While the order is held, a tapped message is only copied into the inbox for taps of each worker
//! with a matching tap. A task of that worker decodes it later, in small pieces.
//!
//! Publishers never wait for a tap: a message that does not fit its inbox, and a line that does not
//! fit the outbox of its client, is dropped and counted. The next line has the count.
//!
//! Invariant: without taps, a publish costs one comparison ([`OrderGuard::is_observed`]).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::client_output::ClientOutput;
use super::id_set::{IdSet, Identified};
use super::interest::Place;
use super::local::Local;
use super::message::{Content, Name};
use super::order::{AfterRelease, OrderGuard};
use super::subscribers::Subscribers;
use super::tapped::{Publisher, Tapped};
use crate::config::OutputLimit;
use crate::decode::DECODED_BYTES_MAX;
use crate::ids::WorkerId;
use crate::protocol::Protocol;
use crate::protocol::reply::{self, MessageStart};

/// The start of the name of a tap, before the pattern of its channels.
pub(crate) const TAP_PREFIX: &[u8] = b"__tap__:";

/// The command that a tap began with, and so the form of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TapForm {
    /// `SUBSCRIBE`: the channel of each message is the name of the tap.
    Channel,
    /// `PSUBSCRIBE`: the pattern is the name of the tap, and the channel is the tapped one.
    Pattern,
}

/// Messages for the taps of one worker, as part of its inbox.
#[derive(Default)]
pub(super) struct TapInbox {
    queue: TapQueue,
    /// The task that decodes.
    task: Option<Waker>,
}

/// Messages for taps, and the numbers of those that found no room, by pattern.
#[derive(Debug, Default)]
pub(crate) struct TapQueue {
    messages: Vec<TappedFor>,
    bytes: usize,
    lost: HashMap<Name, u64, RandomState>,
}

/// A message, and the patterns of the taps that it matches.
#[derive(Debug)]
pub(crate) struct TappedFor {
    message: Arc<Tapped>,
    patterns: SmallVec<[Name; 2]>,
}

/// The taps of one worker, by form and pattern.
#[derive(Default)]
pub(super) struct Taps([HashMap<Name, IdSet<Tap>, RandomState>; 2]);

/// A tap of one client.
#[derive(Debug)]
struct Tap {
    output: Rc<ClientOutput>,
    /// Messages that were dropped since the last line.
    lost: Cell<u64>,
}

/// Unread bytes of a client beyond which its taps lose lines.
const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of messages that wait to be decoded, for one worker.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The approximate size of a message without its channel and payload.
const MESSAGE_BYTES: usize = 256;
/// The limits of a client count blocks of this size.
const BLOCK_BYTES: usize = 16 * 1024;
/// A channel is shown up to this length, in bytes.
const CHANNEL_BYTES_MAX: usize = 1024;

impl OrderGuard<'_> {
    /// Returns whether a client has a tap or requests rates.
    #[inline]
    pub(super) fn is_observed(&self) -> bool {
        self.order.is_observed
    }

    pub(super) fn update_observed(&mut self) {
        self.order.is_observed = self.order.taps.len() != 0
            || self.order.rates.is_some()
            || self.order.keyspace.feed.is_some();
    }

    /// Shows a message of a worker, and adds it to the feed of replicas.
    #[cold]
    pub(super) fn observe_here(
        &mut self,
        content: Content<'_>,
        receivers: usize,
        publisher: Option<Arc<dyn Publisher>>,
        after: &mut AfterRelease,
    ) {
        // Replicas publish notifications of their own.
        if let Some(publisher) = &publisher {
            self.feed_message(content, publisher.is_master());
        }
        self.observe(content, receivers, publisher, after);
    }

    /// Shows a published message to taps, and counts it for the rates of its channel.
    #[cold]
    pub(super) fn observe(
        &mut self,
        content: Content<'_>,
        receivers: usize,
        publisher: Option<Arc<dyn Publisher>>,
        after: &mut AfterRelease,
    ) {
        if content.kind.is_public() {
            self.count_rate(content, receivers);
            self.tap(content, receivers, publisher, after);
        }
    }

    /// Copies a published message for the taps that match its channel.
    fn tap(
        &mut self,
        content: Content<'_>,
        receivers: usize,
        publisher: Option<Arc<dyn Publisher>>,
        after: &mut AfterRelease,
    ) {
        if is_untappable(content.channel) {
            return;
        }
        let mut workers: SmallVec<[(WorkerId, SmallVec<[Name; 2]>); 4]> = SmallVec::new();
        self.order.taps.each_matching(content.channel, |pattern, interest| {
            for (worker, _) in interest.workers() {
                match workers.iter_mut().find(|(known, _)| *known == worker) {
                    Some((_, patterns)) => patterns.push(pattern.clone()),
                    None => workers.push((worker, SmallVec::from_iter([pattern.clone()]))),
                }
            }
        });
        if workers.is_empty() {
            return;
        }
        let time = self.time();
        let message = Arc::new(Tapped {
            time,
            kind: content.kind,
            channel: start(content.channel, CHANNEL_BYTES_MAX),
            payload: start(content.payload, DECODED_BYTES_MAX),
            whole_bytes: content.payload.len(),
            receivers,
            publisher,
        });
        for (worker, patterns) in workers {
            let inbox = &mut self.order.inboxes[worker.index()].taps;
            inbox.queue.push(TappedFor { message: message.clone(), patterns });
            after.workers.extend(inbox.task.take());
        }
    }

    /// Begins a tap of a client of this worker, on the channels of a pattern.
    pub(crate) fn join_tap(
        &mut self,
        local: &mut Local,
        form: TapForm,
        output: &Rc<ClientOutput>,
        pattern: &[u8],
    ) {
        self.catch_up(local);
        let name = self.order.taps.add(pattern, Place::Worker(local.worker()));
        local.subscribers.join_tap(form, name, output);
        self.shared.stats.taps.add(1);
        self.update_observed();
    }

    /// Ends a tap of a client.
    pub(crate) fn leave_tap(
        &mut self,
        local: &mut Local,
        form: TapForm,
        output: &ClientOutput,
        pattern: &[u8],
    ) {
        self.catch_up(local);
        let name = Name::from(pattern);
        self.order.taps.remove(&name, &Place::Worker(local.worker()));
        local.subscribers.leave_tap(form, &name, output);
        self.shared.stats.taps.subtract(1);
        self.update_observed();
    }

    /// Takes the messages for the taps of a worker; pending while there are none.
    pub(crate) fn poll_tapped(
        &mut self,
        worker: WorkerId,
        cx: &task::Context<'_>,
    ) -> Poll<TapQueue> {
        let inbox = &mut self.order.inboxes[worker.index()].taps;
        if inbox.queue.messages.is_empty() {
            inbox.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut inbox.queue))
    }
}

/// Returns whether a channel belongs to this server itself, so that no tap shows it.
pub(crate) fn is_untappable(channel: &[u8]) -> bool {
    [b"__tap__".as_slice(), b"__broker__"].iter().any(|start| channel.starts_with(start))
}

impl TapQueue {
    /// Adds a message, or counts it if there is no room.
    fn push(&mut self, message: TappedFor) {
        let bytes = message.bytes();
        // The first lost message ends the queue, so that lines and losses keep their order.
        if self.bytes + bytes > QUEUE_BYTES_MAX || !self.lost.is_empty() {
            for pattern in message.patterns {
                *self.lost.entry(pattern).or_default() += 1;
            }
            return;
        }
        self.bytes += bytes;
        self.messages.push(message);
    }

    /// Returns the messages, and the numbers of those that were lost after them.
    pub(crate) fn into_parts(
        self,
    ) -> (impl Iterator<Item = TappedFor>, impl Iterator<Item = (Name, u64)>) {
        (self.messages.into_iter(), self.lost.into_iter())
    }
}

impl TappedFor {
    fn bytes(&self) -> usize {
        let Tapped { channel, payload, .. } = &*self.message;
        MESSAGE_BYTES + channel.len() + payload.len() + self.patterns.len() * size_of::<Name>()
    }
}

impl Subscribers {
    fn join_tap(&mut self, form: TapForm, pattern: Name, output: &Rc<ClientOutput>) {
        self.flush_queue().end_batch();
        let tap = Tap { output: output.clone(), lost: Cell::default() };
        match self.taps.0[form as usize].get_mut(&pattern) {
            Some(taps) => taps.insert(tap),
            None => _ = self.taps.0[form as usize].insert(pattern, IdSet::One(tap)),
        }
    }

    fn leave_tap(&mut self, form: TapForm, pattern: &Name, output: &ClientOutput) {
        self.flush_queue().end_batch();
        let of_form = &mut self.taps.0[form as usize];
        if of_form.get_mut(pattern).is_some_and(|taps| taps.remove(output.id())) {
            of_form.remove(pattern);
        }
    }

    /// Decodes a message, and queues its line for the taps that it matches.
    pub(crate) fn deliver_tapped(&mut self, TappedFor { message, patterns }: &TappedFor) {
        self.flush_queue.end_batch();
        let limit = self.flush_queue.subscriber_limit;
        let mut line = None;
        for pattern in patterns {
            for form in [TapForm::Channel, TapForm::Pattern] {
                let taps = self.taps.0[form as usize].get(pattern);
                for tap in taps.map_or(&[][..], IdSet::as_slice) {
                    let line = line.get_or_insert_with(|| message.line());
                    let payload = tap.payload(line);
                    let frame = frame(form, tap.output.protocol.get(), pattern, message, &payload);
                    match tap.has_room(frame.len(), limit) {
                        true => {
                            tap.lost.set(0);
                            tap.output.count_messages(1);
                            self.flush_queue
                                .deliver_with(&tap.output, |out| out.extend_from_slice(&frame));
                        }
                        false => tap.lose(1),
                    }
                }
            }
        }
    }

    /// Counts messages that found no room before they were decoded.
    pub(crate) fn lose_tapped(&self, pattern: &Name, count: u64) {
        for of_form in &self.taps.0 {
            let taps = of_form.get(pattern).map_or(&[][..], IdSet::as_slice);
            taps.iter().for_each(|tap| tap.lose(count));
        }
    }
}

/// Returns a message as a client expects it.
fn frame(
    form: TapForm,
    protocol: Protocol,
    pattern: &[u8],
    message: &Tapped,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::new();
    let name = [TAP_PREFIX, pattern].concat();
    match form {
        TapForm::Channel => {
            let start = MessageStart::MESSAGE[protocol as usize];
            reply::message(&mut frame, start, &name, payload);
        }
        TapForm::Pattern => {
            let channel = [TAP_PREFIX, &message.channel].concat();
            reply::pattern_message(&mut frame, protocol, &name, &channel, payload);
        }
    }
    frame
}

impl Tap {
    /// Returns a line with the number of lost messages.
    fn payload(&self, line: &str) -> Vec<u8> {
        format!("{line},\"lost\":{}}}", self.lost.get()).into_bytes()
    }

    fn lose(&self, count: u64) {
        self.lost.set(self.lost.get().saturating_add(count));
    }

    /// Returns whether the client has read enough to get a frame of this size. A tap never exceeds
    /// an output limit, so it never closes its client.
    fn has_room(&self, bytes: usize, limit: OutputLimit) -> bool {
        let unread = self.output.outbox().bytes();
        let counted = unread + bytes + BLOCK_BYTES;
        let exceeds = unread + bytes > OUTBOX_BYTES_MAX
            || limit.is_hard_beyond(counted)
            || limit.is_soft_beyond(counted);
        unread == 0 || !exceeds
    }
}

impl Identified for Tap {
    fn id(&self) -> u64 {
        self.output.id()
    }
}

fn start(bytes: &[u8], bytes_max: usize) -> Bytes {
    Bytes::copy_from_slice(&bytes[..bytes.len().min(bytes_max)])
}
