//! The state behind one lock: attached connections, the index by signal, and the recent messages.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::disconnect::Disconnect;
use super::effects::Effects;
use super::index::{Index, shrink};
use super::mailbox::{Capacity, Full, Look, Mailbox, Pushed, Stored};
use super::queued::{INVOCATIONS_MAX, Queued};
use super::run::Run;
use crate::cursor::Cursor;
use crate::delivered_mark::DeliveredMark;
use crate::dialect::{Attached as Place, Envelope};
use crate::event::Gap;
use crate::interest::Interest;
use crate::membership::Membership;
use crate::signals::Signals;
use crate::store::{Arrival, Entry, Selection, Store};

#[derive(Debug)]
pub(super) struct Table {
    store: Store,
    /// In boxes, since a map has many free places.
    attached: HashMap<Arc<str>, Box<Attached>>,
    listeners: Index,
    /// Set if the app wants to know the members of some signals.
    membership: Option<Arc<Membership>>,
    /// Connections with a later cursor than this server's last id, by that cursor. A client may claim
    /// any cursor, so a message visits only those that it overtakes.
    ahead: BTreeSet<(u64, Arc<str>)>,
    /// The mailboxes that wait for a mark, by an id that has not arrived.
    marks: BTreeMap<u64, Vec<Arc<Mailbox>>>,
    last_number: u64,
    /// The connections with more unread messages than half of the limit, by number. A look at them
    /// visits no other connection.
    crowded: HashMap<u64, Arc<Mailbox>>,
    /// Messages that are stored and not handed out yet, since more may follow.
    run: Option<OpenRun>,
    effects: Effects,
    /// The reason for the end of the backplane.
    closed: Option<Disconnect>,
}

/// Maximum items fetched from the store at once, under the lock.
const REFILL_MAX: usize = INVOCATIONS_MAX / 2;

/// A run that more messages may join.
#[derive(Debug)]
struct OpenRun {
    signal: String,
    /// Index in the store of its first message.
    place: u64,
    run: Run,
}

/// The connections with more unread messages than half of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// The greatest capacity of them.
    pub(crate) capacity: Capacity,
    /// The greatest number of items that one of them has taken since the last look.
    pub(crate) taken: usize,
    /// Whether one of them would be closed soon.
    pub(crate) is_near_limit: bool,
    /// Whether most connections are among them.
    pub(crate) is_most: bool,
}

/// The arguments to attach a connection.
#[derive(Debug)]
pub(crate) struct Attachment<'a> {
    pub(crate) id: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) signals: Vec<String>,
    /// The position to continue from. `None` receives only later messages.
    pub(crate) cursor: Option<Cursor>,
}

/// The origin of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Live,
    /// Replayed by the broker, as one of many.
    Replay,
}

/// The state that a connection keeps outside the table.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// The last id that was taken, or the initial one.
    pub(crate) position: Option<u64>,
}

impl ConnectionState {
    /// Returns the id up to which the connection has received all of its messages. No item is queued
    /// while the table is locked.
    pub(super) fn position_in(&self, table: &Table) -> Option<u64> {
        match self.mailbox.is_empty() {
            true => table.position(&self.mailbox).or(self.position),
            false => self.mailbox.position_before_next(self.position),
        }
    }
}

/// An attached connection, as an operator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: Arc<str>,
    pub(crate) number: u64,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) signals: Vec<Arc<str>>,
    pub(crate) since: Instant,
}

#[derive(Debug)]
struct Attached {
    user: Option<Arc<str>>,
    signals: Signals,
    mailbox: Arc<Mailbox>,
    since: Instant,
    announcement: Announcement,
}

/// Whether the other servers have been informed that a connection is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announcement {
    /// Announced at this instant. Until our announcement completes its round trip, announcements
    /// from other servers predate it.
    Sent(Instant),
    /// The announcement has completed its round trip, or none is needed.
    Confirmed,
}

impl Table {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            attached: HashMap::new(),
            listeners: Index::default(),
            membership: None,
            ahead: BTreeSet::new(),
            marks: BTreeMap::new(),
            last_number: 0,
            crowded: HashMap::new(),
            run: None,
            effects: Effects::default(),
            closed: None,
        }
    }

    pub(super) fn follow(&mut self, interest: Arc<Interest>) {
        self.listeners.interest = Some(interest);
    }

    pub(super) fn report_members(&mut self, membership: Arc<Membership>) {
        self.membership = Some(membership);
    }

    pub(super) fn interest(&self) -> Option<Arc<Interest>> {
        self.listeners.interest.clone()
    }

    pub(super) fn attach(&mut self, attachment: Attachment<'_>) -> ConnectionState {
        let Attachment { id, user, signals, cursor } = attachment;
        self.remove(id, Disconnect::Replaced);
        self.last_number += 1;
        let id: Arc<str> = id.into();
        let signals: Signals =
            signals.into_iter().map(|signal| self.listeners.shared(signal)).collect();
        let missed = self.missed(&signals, &id, self.last_number, cursor);
        let mailbox = Arc::new(Mailbox::new(id.clone(), self.last_number, missed));
        let state = ConnectionState {
            user: user.map(Into::into),
            mailbox: mailbox.clone(),
            position: cursor.map_or(self.store.last(), Cursor::id),
        };
        if let Some(reason) = self.closed {
            mailbox.close(reason);
            return state;
        }
        let seen = cursor
            .and_then(Cursor::id)
            .filter(|id| self.store.last().is_none_or(|last| *id > last));
        if let Some(seen) = seen {
            mailbox.set_seen(Some(seen));
            self.ahead.insert((seen, id.clone()));
        }
        signals.iter().for_each(|signal| self.listeners.add(signal, &mailbox));
        if let Some(membership) = &self.membership {
            signals.iter().for_each(|signal| membership.joined(signal, &id, state.user.as_ref()));
            self.effects.has_members = true;
        }
        let since = Instant::now();
        let announcement = match cursor {
            Some(_) => Announcement::Sent(since),
            None => Announcement::Confirmed,
        };
        let user = state.user.clone();
        let attached = Attached { user, signals, mailbox, since, announcement };
        self.attached.insert(id, Box::new(attached));
        state
    }

    /// Returns the messages for a connection since its cursor.
    fn missed(
        &self,
        signals: &Signals,
        id: &str,
        number: u64,
        cursor: Option<Cursor>,
    ) -> VecDeque<Queued> {
        let queued = |entry: Cow<'_, Entry>| queued(&entry, signals, id, number);
        match cursor.map(Cursor::id) {
            None => VecDeque::new(),
            // No message has arrived yet, so the connection cannot be behind.
            Some(Some(_)) if self.store.last().is_none() => VecDeque::new(),
            Some(Some(id)) => self.store.since(id, signals.iter()).filter_map(queued).collect(),
            Some(None) => self.store.all(signals.iter()).filter_map(queued).collect(),
        }
    }

    /// Queues the next deferred messages. Closes the connection if the store has evicted some of
    /// them.
    pub(super) fn refill(&mut self, mailbox: &Mailbox) {
        self.refill_with(mailbox, REFILL_MAX);
    }

    fn refill_with(&mut self, mailbox: &Mailbox, items_max: usize) {
        let Some((attached, place)) = self.of(mailbox).zip(mailbox.rest()) else { return };
        let Attached { signals, .. } = attached;
        let Some(selection) = self.store.from(place, signals.iter(), items_max) else {
            self.close_slow(vec![Full { id: mailbox.id.clone() }]);
            return;
        };
        let Selection { entries, next } = selection;
        let queued = |entry| queued(entry, signals, &mailbox.id, mailbox.number);
        mailbox.refill(entries.into_iter().filter_map(queued).collect(), next);
    }

    /// Queues all deferred messages of a connection. Call it before its signals change: the store
    /// is filtered by the current signals.
    fn settle(&mut self, id: &str) {
        if let Some(attached) = self.attached.get(id) {
            let mailbox = attached.mailbox.clone();
            self.refill_with(&mailbox, usize::MAX);
        }
    }

    /// Queues a mark behind all messages up to an id, once that id or a later one has arrived.
    pub(super) fn mark(&mut self, mailbox: &Arc<Mailbox>, at: Option<u64>) {
        if self.of(mailbox).is_none() {
            return;
        }
        match at {
            Some(id) if self.store.last().is_none_or(|last| id > last) => {
                self.marks.entry(id).or_default().push(mailbox.clone());
            }
            _ => self.effects.readers.extend(mailbox.push_mark(at)),
        }
    }

    /// Queues the marks whose ids have arrived. An id that is lost counts as arrived with the next
    /// one, so no mark waits for good.
    pub(super) fn release_marks(&mut self) {
        let Some(last) = self.store.last() else { return };
        if self.marks.first_key_value().is_some_and(|(id, _)| *id <= last) {
            self.end_run();
        }
        while self.marks.first_key_value().is_some_and(|(id, _)| *id <= last)
            && let Some((id, mailboxes)) = self.marks.pop_first()
        {
            let readers = mailboxes.iter().filter_map(|mailbox| mailbox.push_mark(Some(id)));
            self.effects.readers.extend(readers);
        }
    }

    pub(super) fn join(&mut self, id: &str, signal: &str) -> bool {
        self.settle(id);
        let Some(attached) = self.attached.get_mut(id) else { return false };
        let signal = self.listeners.shared(signal);
        self.listeners.add(&signal, &attached.mailbox);
        if attached.signals.insert(signal.clone()) {
            self.effects.readers.extend(attached.mailbox.groups_changed());
            if let Some(membership) = &self.membership {
                membership.joined(&signal, &attached.mailbox.id, attached.user.as_ref());
                self.effects.has_members = true;
            }
        }
        true
    }

    pub(super) fn leave(&mut self, id: &str, signal: &str) -> bool {
        self.settle(id);
        let Some(attached) = self.attached.get_mut(id) else { return false };
        let was_joined = attached.signals.remove(signal);
        self.listeners.remove(signal, &attached.mailbox);
        if was_joined {
            self.effects.readers.extend(attached.mailbox.groups_changed());
            if let Some(membership) = &self.membership {
                membership.left(signal, id);
                self.effects.has_members = true;
            }
        }
        true
    }

    /// Returns the signals of a connection, in no order.
    pub(super) fn signals(&self, mailbox: &Mailbox) -> Vec<Arc<str>> {
        self.of(mailbox)
            .map_or_else(Vec::new, |attached| attached.signals.iter().cloned().collect())
    }

    /// Returns the connections with one of these signals, each once, except some ids.
    pub(super) fn find(&self, signals: &[String], except: &[String]) -> Vec<Found> {
        let except: HashSet<&str> = except.iter().map(String::as_str).collect();
        let mailboxes = signals.iter().flat_map(|signal| self.listeners.of(signal));
        let ids: HashSet<&Arc<str>> = mailboxes.map(|mailbox| &mailbox.id).collect();
        let ids = ids.into_iter().filter(|id| !except.contains(&***id));
        let found = ids.filter_map(|id| {
            let attached = self.attached.get(id)?;
            Some(Found {
                id: id.clone(),
                number: attached.mailbox.number,
                user: attached.user.clone(),
                signals: attached.signals.iter().cloned().collect(),
                since: attached.since,
            })
        });
        found.collect()
    }

    /// Classifies the id of a payload. Its messages are stored and delivered afterwards.
    pub(super) fn arrive(&mut self, id: u64, payload: &[u8], source: Source) -> Arrival {
        let before = self.store.last().unwrap_or_default();
        let arrival = self.store.arrive(id, payload);
        // All messages of a run are before a cursor ahead, or all are after it.
        let overtakes = self.ahead.first().is_some_and(|(seen, _)| *seen < id);
        if arrival != Arrival::Next || overtakes || source == Source::Replay {
            self.end_run();
        }
        match arrival {
            Arrival::Implausible => return arrival,
            Arrival::Duplicate | Arrival::Next => {}
            Arrival::After(gap) => self.report_gap(gap, gap.to.max(before), source),
            Arrival::Restarted { gap, .. } => {
                for (_, id) in std::mem::take(&mut self.ahead) {
                    if let Some(attached) = self.attached.get(&id) {
                        attached.mailbox.set_seen(None);
                    }
                }
                gap.into_iter().for_each(|gap| self.report_gap(gap, before, source));
            }
        }
        self.catch_up(id);
        arrival
    }

    pub(super) fn await_from(&mut self, id: u64) {
        self.store.await_from(id);
    }

    pub(super) fn resubscribed(&mut self) {
        self.store.resubscribed();
    }

    /// See [`Connections::run_began`](super::Connections::run_began).
    pub(super) fn run_began(&mut self, issued: u64) -> u64 {
        self.store.run_began(issued)
    }

    /// See [`Connections::reached_elsewhere`](super::Connections::reached_elsewhere).
    pub(super) fn reached_elsewhere(&mut self, id: u64) -> Option<Gap> {
        let (gap, at) = self.store.reached_elsewhere(id)?;
        self.report_gap(gap, at, Source::Live);
        Some(gap)
    }

    /// See [`Connections::missed_after_reset`](super::Connections::missed_after_reset).
    pub(super) fn missed_after_reset(&mut self, to: u64) -> Option<Gap> {
        let (gap, at) = self.store.missed_after_reset(to)?;
        self.report_gap(gap, at, Source::Live);
        Some(gap)
    }

    /// Delivers a message with an id, except to connections that received it locally, and stores
    /// it.
    ///
    /// A small message may join a run, which is delivered at its end.
    pub(super) fn take(&mut self, message: Envelope, delivered_to: DeliveredMark, source: Source) {
        // The cursor after this message: its id, unless the counter was reset.
        let id = self.store.last();
        let place = self.store.end();
        let is_for_all = message.except.is_empty() && delivered_to.is_empty();
        if is_for_all && source == Source::Live && Run::takes(&message.invocation) {
            self.join_run(id, place, &message);
        } else {
            self.end_run();
            let stored = Stored { place, is_late: source == Source::Replay };
            let receivers = self.hand_out(id, &message, delivered_to, Some(stored));
            self.effects.receivers += receivers;
        }
        self.store.keep(message, delivered_to);
    }

    fn join_run(&mut self, id: Option<u64>, place: u64, message: &Envelope) {
        let invocation = &message.invocation;
        let fits = |open: &OpenRun| open.signal == message.signal && open.run.has_room(invocation);
        if !self.run.as_ref().is_some_and(fits) {
            self.end_run();
        }
        let open = self.run.get_or_insert_with(|| OpenRun {
            signal: message.signal.clone(),
            place,
            run: Run::default(),
        });
        open.run.push(id, invocation.clone());
    }

    /// Delivers the messages of the open run, if there is one. Call it before anything else happens
    /// to a connection.
    pub(super) fn end_run(&mut self) {
        let Some(OpenRun { signal, place, run }) = self.run.take() else { return };
        let (messages, last_id) = (run.len(), run.last_id());
        let item = run.into_item();
        let stored = Some(Stored { place, is_late: false });
        let mut slow = Vec::new();
        for mailbox in self.listeners.of(&signal) {
            if mailbox.has_seen(last_id) {
                continue;
            }
            self.effects.receivers += messages;
            match mailbox.push(item.clone(), stored) {
                Ok(pushed) => note(pushed, mailbox, &mut self.effects.readers, &mut self.crowded),
                Err(full) => slow.push(full),
            }
        }
        self.close_slow(slow);
    }

    /// Delivers a message without an id, and returns the number of receivers.
    pub(super) fn give(&mut self, message: &Envelope) -> usize {
        self.hand_out(None, message, DeliveredMark::default(), None)
    }

    fn hand_out(
        &mut self,
        id: Option<u64>,
        message: &Envelope,
        delivered_to: DeliveredMark,
        stored: Option<Stored>,
    ) -> usize {
        // Fast path: most messages exclude no connection, and need no look-ups.
        let is_for_all = message.except.is_empty();
        let excluded = self.excluded(message);
        let mut slow = Vec::new();
        let mut receivers = 0;
        for mailbox in self.listeners.of(&message.signal) {
            if delivered_to.has(mailbox.number)
                || mailbox.has_seen(id)
                || (!is_for_all && is_excluded(mailbox, message, &excluded))
            {
                continue;
            }
            receivers += 1;
            match mailbox.push(Queued::Invocation(id, message.invocation.clone()), stored) {
                Ok(pushed) => note(pushed, mailbox, &mut self.effects.readers, &mut self.crowded),
                Err(full) => slow.push(full),
            }
        }
        self.close_slow(slow);
        receivers
    }

    /// Returns the numbers of the mailboxes that a message excludes by a signal.
    fn excluded(&self, message: &Envelope) -> HashSet<u64, RandomState> {
        let signals = message.except.signals();
        signals.flat_map(|signal| self.listeners.of(signal)).map(|mailbox| mailbox.number).collect()
    }

    /// See [`Connections::probe_returned`](super::Connections::probe_returned). A connection that
    /// claims a later id has a cursor from before the reset.
    pub(super) fn probe_returned(&mut self, sent: Instant, id: u64) {
        let (attached, at) = (&self.attached, self.store.last().unwrap_or(id));
        let mut stale = Vec::new();
        self.ahead.retain(|(seen, connection_id)| {
            let Some(attached) = attached.get(connection_id) else { return false };
            let is_stale = *seen > id && attached.since < sent;
            if is_stale {
                stale.push(attached.mailbox.clone());
            }
            !is_stale
        });
        for mailbox in stale {
            mailbox.set_seen(None);
            self.push_gap(&mailbox, Gap { from: 1, to: id }, at);
        }
    }

    /// Queues a gap that is not in the store, for one connection.
    fn push_gap(&mut self, mailbox: &Arc<Mailbox>, gap: Gap, at: u64) {
        match mailbox.push(Queued::Gap(gap, at), None) {
            Ok(pushed) => note(pushed, mailbox, &mut self.effects.readers, &mut self.crowded),
            Err(full) => self.close_slow(vec![full]),
        }
    }

    /// Returns the effects since the last call.
    pub(super) fn take_effects(&mut self) -> Effects {
        let mut effects = std::mem::take(&mut self.effects);
        effects.interest = self.listeners.take_changed();
        effects.membership = self.membership.clone().filter(|_| effects.has_members);
        effects
    }

    /// Returns a mark that includes all current connections.
    pub(super) fn all(&self) -> DeliveredMark {
        DeliveredMark(self.last_number)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.store.last()
    }

    /// See [`Connections::crowd`](super::Connections::crowd).
    pub(super) fn crowd(&mut self) -> Crowd {
        let mut crowd =
            Crowd { capacity: Capacity::Enough, taken: 0, is_near_limit: false, is_most: false };
        self.crowded.retain(|_, mailbox| {
            let Look { capacity, taken, is_near_limit } = mailbox.look();
            crowd.capacity = crowd.capacity.max(capacity);
            crowd.taken = crowd.taken.max(taken);
            crowd.is_near_limit |= is_near_limit;
            capacity != Capacity::Enough
        });
        crowd.is_most = 2 * self.crowded.len() > self.attached.len();
        crowd
    }

    /// Returns whether any connection was crowded at the last look, or since.
    pub(super) fn has_crowded(&self) -> bool {
        !self.crowded.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.attached.len()
    }

    pub(super) fn announced(&mut self, place: &Place) {
        if let Some(attached) = self.attached.get_mut(place.connection_id.as_str())
            && attached.mailbox.number == place.number
        {
            attached.announcement = Announcement::Confirmed;
        }
    }

    /// See [`Connections::attached_elsewhere`](super::Connections::attached_elsewhere).
    pub(super) fn attached_elsewhere(&mut self, elsewhere: &Place) -> Option<Place> {
        let attached = self.attached.get(elsewhere.connection_id.as_str())?;
        if attached.announcement != Announcement::Confirmed {
            return None;
        }
        // Compare ages, not ids: an announcement may be delayed by an outage.
        if attached.since.elapsed() < elsewhere.age {
            return Some(attached.place());
        }
        self.remove(&elsewhere.connection_id, Disconnect::Replaced);
        None
    }

    /// Returns the connections that were announced before `before` without a round trip since. The
    /// caller announces them again.
    pub(super) fn unannounced(&mut self, before: Instant) -> Vec<Place> {
        let is_unconfirmed = |attached: &&mut Box<Attached>| match attached.announcement {
            Announcement::Sent(when) => when < before,
            Announcement::Confirmed => false,
        };
        let unconfirmed = self.attached.values_mut().filter(is_unconfirmed).map(|attached| {
            attached.announcement = Announcement::Sent(Instant::now());
            attached.place()
        });
        unconfirmed.collect()
    }

    pub(super) fn is_attached(&self, id: &str) -> bool {
        self.attached.contains_key(id)
    }

    /// Returns the cursor of a connection that has taken all of its messages.
    pub(super) fn position(&self, mailbox: &Mailbox) -> Option<u64> {
        let attached = self.of(mailbox)?;
        attached.mailbox.seen().or(self.store.last())
    }

    pub(super) fn close(&mut self, reason: Disconnect) {
        for (_, attached) in self.attached.drain() {
            attached.mailbox.close(reason);
            self.effects.ended.push(attached.mailbox);
        }
        self.ahead.clear();
        self.crowded.clear();
        self.marks.clear();
        self.listeners = Index::default();
        self.closed = Some(reason);
    }

    pub(super) fn detach(&mut self, mailbox: &Mailbox) {
        if self.of(mailbox).is_some() {
            self.remove(&mailbox.id, Disconnect::Shutdown);
        }
    }

    /// Returns whether a connection is attached, and no other one has taken its id.
    pub(super) fn has(&self, mailbox: &Mailbox) -> bool {
        self.of(mailbox).is_some()
    }

    /// Returns the entry of a connection, unless another one has taken its id.
    fn of(&self, mailbox: &Mailbox) -> Option<&Attached> {
        let attached = self.attached.get(&mailbox.id)?;
        (attached.mailbox.number == mailbox.number).then_some(attached)
    }

    /// Removes a connection, and reports the reason to it.
    pub(super) fn remove(&mut self, id: &str, reason: Disconnect) -> bool {
        let Some(attached) = self.attached.remove(id) else { return false };
        shrink(&mut self.attached);
        attached.mailbox.close(reason);
        self.crowded.remove(&attached.mailbox.number);
        if let Some(seen) = attached.mailbox.seen() {
            self.ahead.remove(&(seen, attached.mailbox.id.clone()));
        }
        for signal in attached.signals.iter() {
            self.listeners.remove(signal, &attached.mailbox);
            if let Some(membership) = &self.membership {
                membership.left(signal, id);
                self.effects.has_members = true;
            }
        }
        self.effects.ended.push(attached.mailbox);
        true
    }

    /// Reports the gap that was stored last to all connections, except those ahead of this server.
    fn report_gap(&mut self, gap: Gap, at: u64, source: Source) {
        let place = self.store.end().saturating_sub(1);
        let stored = Some(Stored { place, is_late: source == Source::Replay });
        let all = self.attached.values().filter(|attached| attached.mailbox.seen().is_none());
        let mut slow = Vec::new();
        for Attached { mailbox, .. } in all.map(Box::as_ref) {
            match mailbox.push(Queued::Gap(gap, at), stored) {
                Ok(pushed) => note(pushed, mailbox, &mut self.effects.readers, &mut self.crowded),
                Err(full) => slow.push(full),
            }
        }
        self.close_slow(slow);
    }

    fn close_slow(&mut self, slow: Vec<Full>) {
        for Full { id } in slow {
            if self.remove(&id, Disconnect::SlowConnection) {
                self.effects.slow.push(id);
            }
        }
    }

    /// Clears the claims that this id overtakes, and reports the gaps after them.
    fn catch_up(&mut self, id: u64) {
        while self.ahead.first().is_some_and(|(seen, _)| *seen < id)
            && let Some((seen, connection_id)) = self.ahead.pop_first()
        {
            let Some(attached) = self.attached.get(&connection_id) else { continue };
            let mailbox = attached.mailbox.clone();
            mailbox.set_seen(None);
            if let Some(gap) = self.store.missing_between(seen, id) {
                self.push_gap(&mailbox, gap, gap.to);
            }
        }
    }
}

impl Attached {
    fn place(&self) -> Place {
        let Mailbox { id, number, .. } = &*self.mailbox;
        Place { connection_id: id.to_string(), number: *number, age: self.since.elapsed() }
    }
}

/// Adds the consequences of a queued item.
fn note(
    pushed: Pushed,
    mailbox: &Arc<Mailbox>,
    readers: &mut Vec<Waker>,
    crowded: &mut HashMap<u64, Arc<Mailbox>>,
) {
    readers.extend(pushed.reader);
    if pushed.is_crowded {
        crowded.insert(mailbox.number, mailbox.clone());
    }
}

/// Returns whether a message excludes a connection, by its id or by one of its signals.
fn is_excluded(
    mailbox: &Mailbox,
    message: &Envelope,
    excluded: &HashSet<u64, RandomState>,
) -> bool {
    excluded.contains(&mailbox.number) || message.except.has_id(&mailbox.id)
}

/// Returns the queue item for an entry of the store, if the entry is for this connection.
fn queued(entry: &Entry, signals: &Signals, id: &str, number: u64) -> Option<Queued> {
    match entry {
        Entry::Message(at, message, delivered_to) => {
            let is_for = signals.contains(message.signal.as_str())
                && !delivered_to.has(number)
                && !message.except.has(id, signals);
            is_for.then(|| Queued::Invocation(Some(*at), message.invocation.invocation()))
        }
        Entry::Gap(gap, at) => Some(Queued::Gap(*gap, *at)),
    }
}

#[cfg(test)]
impl Table {
    /// Returns the larger capacity of the maps.
    pub(super) fn map_capacity(&self) -> usize {
        self.attached.capacity().max(self.listeners.capacity())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
            && self.listeners.is_empty()
            && self.ahead.is_empty()
            && self.marks.is_empty()
    }
}
