//! The recent messages, for reconnecting connections, and the classes of ids.
//!
//! Rings by signal, limited by messages and bytes (`rings.rs`). The store classifies each id: next,
//! after a gap, duplicate, implausible, or after a counter reset. Gaps and evicted messages are
//! tracked, so every loss is reported.
//!
//! Cursors stay valid after a counter reset, since the counter is restored to the old value.
//! Messages in between get the last id of the old count as their cursor.

mod rings;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

use self::rings::Rings;
pub(crate) use self::rings::Selection;
use crate::delivered_mark::DeliveredMark;
use crate::dialect::Envelope;
use crate::event::Gap;
use crate::invocation::Kept;
use crate::options::History;

#[derive(Debug)]
pub(crate) struct Store {
    rings: Rings,
    last: Option<u64>,
    /// All messages after this id should arrive, even if none has arrived yet.
    awaited_after: u64,
    /// The last id that the broker has issued for certain.
    given: u64,
    /// The last payloads, by id and hash, to distinguish a duplicate from another message with the
    /// same id.
    recent: VecDeque<(u64, u64)>,
    /// Seeded randomly, so that a publisher cannot construct collisions.
    hashing: RandomState,
    reset: Option<CounterReset>,
    /// Whether the next message is the first one of another run of the broker. The number is the
    /// last id that the last run has issued to this server.
    next_run: Option<u64>,
    /// The ids at the end of the broker's last run.
    tail: Option<Tail>,
    /// Whether the subscription has not been interrupted since the last message.
    is_unbroken: bool,
}

/// The ids of a counter after a reset.
#[derive(Debug)]
struct CounterReset {
    /// The last id before the reset: the cursor of all messages since.
    at: u64,
    first: u64,
    last: u64,
    recent: VecDeque<(u64, u64)>,
    /// Whether the counter is still below the old value.
    is_on: bool,
}

/// The ids between the last known one of a run of the broker and the first one of the next run. The
/// broker reserves ids ahead, so these may never have been issued.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// The last id that was issued for certain.
    known: u64,
    end: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A message, the cursor after it, and the connections that received it locally before it had
    /// an id.
    Message(u64, Envelope<Kept>, DeliveredMark),
    /// A gap, and the cursor after it.
    Gap(Gap, u64),
}

/// The class of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Next,
    After(Gap),
    /// A duplicate.
    Duplicate,
    /// Too far ahead for a counter: a foreign publisher chose the id.
    Implausible,
    /// The counter was reset below the last id. The gap has the ids since the reset that were
    /// missed while the subscription was interrupted.
    Restarted {
        last: u64,
        gap: Option<Gap>,
    },
}

/// Half of the ids that our broker reserves: it reserves more once it has used the other half.
const RESERVE_MIN: u64 = 500_000;
/// More messages than an app sends between two probes.
pub(crate) const LEAP_MAX: u64 = 1 << 32;
/// Maximum messages that replay and subscription may both deliver.
const RECENT_MAX: usize = 16_384;

impl Store {
    pub(crate) fn new(limits: History) -> Self {
        Self {
            rings: Rings::new(limits),
            last: None,
            awaited_after: u64::MAX,
            given: 0,
            recent: VecDeque::new(),
            hashing: RandomState::default(),
            reset: None,
            next_run: None,
            tail: None,
            is_unbroken: false,
        }
    }

    /// Returns the id that arrived last.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Records the id of a message that was sent while subscribed. It and all later messages should
    /// arrive.
    pub(crate) fn await_from(&mut self, id: u64) {
        self.awaited_after = self.awaited_after.min(id.saturating_sub(1));
        self.given = self.given.max(id);
    }

    /// Records that the subscription was interrupted.
    pub(crate) fn resubscribed(&mut self) {
        self.is_unbroken = false;
    }

    /// Records that the next message is the first one of another run of the broker, and that the last
    /// run has issued `issued`. Returns the last id that is known of that run.
    pub(crate) fn run_began(&mut self, issued: u64) -> u64 {
        let Some(last) = self.last else { return 0 };
        let known = issued.max(last).max(self.given);
        self.next_run = Some(known);
        known
    }

    /// Records that another server knows an id of the broker's last run. Returns the gap that this
    /// reveals, and its cursor.
    pub(crate) fn reached_elsewhere(&mut self, id: u64) -> Option<(Gap, u64)> {
        let (at, tail) = (self.last?, self.tail.as_mut()?);
        let gap = Gap::between(tail.known, id.min(tail.end).saturating_add(1).max(tail.known))?;
        tail.known = gap.to;
        self.rings.push(Entry::Gap(gap, at));
        Some((gap, at))
    }

    /// Returns the ids between two messages that are missing for certain.
    pub(crate) fn missing_between(&self, before: u64, id: u64) -> Option<Gap> {
        match self.tail {
            Some(Tail { known, end }) if end + 1 == id => {
                Gap::between(before, known.max(before) + 1)
            }
            _ => Gap::between(before, id),
        }
    }

    /// Classifies the id of the next payload, and prepares to store its messages.
    pub(crate) fn arrive(&mut self, id: u64, payload: &[u8]) -> Arrival {
        let known = self.given.max(self.last.unwrap_or_default());
        if known > 0 && id > known.saturating_add(LEAP_MAX) {
            return Arrival::Implausible;
        }
        let hash = self.hashing.hash_one(payload);
        let arrival = match self.last {
            None => self.begin(id),
            Some(last) if id > last => self.go_on(last, id),
            Some(_) if self.is_duplicate(id, hash) => return Arrival::Duplicate,
            Some(last) => self.go_back(last, id),
        };
        self.is_unbroken = true;
        match &mut self.reset {
            Some(reset) if reset.is_on => record(&mut reset.recent, id, hash),
            _ => {
                self.last = Some(id);
                record(&mut self.recent, id, hash);
            }
        }
        arrival
    }

    /// The first id ever.
    fn begin(&mut self, id: u64) -> Arrival {
        self.rings.floor = id.saturating_sub(1).min(self.awaited_after);
        if id <= self.awaited_after {
            return Arrival::Next;
        }
        let Some(gap) = Gap::between(self.awaited_after, id) else { return Arrival::Next };
        self.rings.push(Entry::Gap(gap, gap.to));
        Arrival::After(gap)
    }

    /// An id after the last one.
    fn go_on(&mut self, last: u64, id: u64) -> Arrival {
        // A shorter way has no reserve in it, so all ids on it were issued.
        if let Some(known) = self.next_run.take().filter(|known| *known + RESERVE_MIN < id) {
            self.tail = Some(Tail { known, end: id - 1 });
        }
        let reset = self.reset.as_mut().filter(|reset| reset.is_on);
        let gap = match reset {
            Some(reset) => {
                reset.is_on = false;
                // If the subscription was interrupted, the last id before the restore is unknown.
                let start = if self.is_unbroken { last } else { reset.last };
                Gap::between(start, id)
            }
            None => self.missing_between(last, id),
        };
        let Some(gap) = gap else { return Arrival::Next };
        self.rings.push(Entry::Gap(gap, gap.to));
        Arrival::After(gap)
    }

    /// An id that was issued to another message before.
    fn go_back(&mut self, last: u64, id: u64) -> Arrival {
        self.next_run = None;
        let gap = match &mut self.reset {
            Some(reset) if reset.is_on && id > reset.last => {
                let gap = Gap::between(reset.last, id);
                reset.last = id;
                let Some(gap) = gap else { return Arrival::Next };
                self.rings.push(Entry::Gap(gap, last));
                return Arrival::After(gap);
            }
            before => {
                let told = match before.as_ref().filter(|reset| reset.at == last && !reset.is_on) {
                    Some(reset) => reset.last,
                    None => 0,
                };
                let first =
                    before.as_ref().filter(|reset| reset.at == last).map(|reset| reset.first);
                let first = first.unwrap_or(id).min(id);
                let recent = VecDeque::new();
                *before = Some(CounterReset { at: last, first, last: id, recent, is_on: true });
                Gap::between(told, id.max(told)).filter(|_| !self.is_unbroken)
            }
        };
        if let Some(gap) = gap {
            self.rings.push(Entry::Gap(gap, last));
        }
        Arrival::Restarted { last, gap }
    }

    /// Records that a reset counter issued ids up to `to` while the subscription was interrupted.
    /// Returns the gap and its cursor, unless it was reported before.
    pub(crate) fn missed_after_reset(&mut self, to: u64) -> Option<(Gap, u64)> {
        let last = self.last.filter(|last| to < *last)?;
        if self.reset.as_ref().is_some_and(|reset| reset.at == last) {
            return None;
        }
        let recent = VecDeque::new();
        self.reset = Some(CounterReset { at: last, first: 1, last: to, recent, is_on: false });
        let gap = Gap { from: 1, to };
        self.rings.push(Entry::Gap(gap, last));
        Some((gap, last))
    }

    fn is_duplicate(&self, id: u64, hash: u64) -> bool {
        let reset = self.reset.as_ref().map(|reset| &reset.recent);
        [Some(&self.recent), reset].into_iter().flatten().any(|recent| {
            // Ids increase from front to back.
            let found = recent.binary_search_by_key(&id, |(id, _)| *id);
            found.is_ok_and(|index| recent[index].1 == hash)
        })
    }

    /// Stores a message of the payload that was classified last.
    pub(crate) fn keep(&mut self, message: Envelope, delivered_to: DeliveredMark) {
        let Envelope { signal, except, source, invocation, bytes } = message;
        let invocation = Kept::new(&invocation);
        let message = Envelope { signal, except, source, invocation, bytes };
        let at = self.last.unwrap_or_default();
        self.rings.push(Entry::Message(at, message, delivered_to));
    }

    /// Returns the place after the last entry. Places count from the first entry ever stored.
    pub(crate) fn end(&self) -> u64 {
        self.rings.end()
    }

    /// Returns at most `entries_max` entries of these signals from a place on, or `None` if some of
    /// them are evicted.
    pub(crate) fn from<'a>(
        &self,
        place: u64,
        signals: impl Iterator<Item = &'a Arc<str>>,
        entries_max: usize,
    ) -> Option<Selection<'_>> {
        self.rings.from(place, signals, entries_max)
    }

    /// Returns all entries of these signals after an id, starting with a gap if some are evicted.
    pub(crate) fn since<'a>(
        &self,
        id: u64,
        signals: impl Iterator<Item = &'a Arc<str>>,
    ) -> impl Iterator<Item = Cow<'_, Entry>> {
        let (floor, kept) = self.rings.since(id, signals);
        // A cursor must not pass messages that follow.
        let is_passed = kept.first().is_some_and(|entry| entry.at() <= floor);
        let evicted = Gap { from: id.saturating_add(1), to: floor };
        let evicted =
            (id < floor).then_some(Entry::Gap(evicted, if is_passed { id } else { floor }));
        // A connection with this cursor may have received any of the messages since the reset.
        let reset = self.reset.as_ref().filter(|reset| reset.at == id);
        let reset =
            reset.map(|reset| Entry::Gap(Gap { from: reset.first, to: reset.last }, reset.at));
        let kept = kept.into_iter().map(move |entry| match entry {
            Entry::Gap(gap, at) if gap.to == *at => {
                Cow::Owned(Entry::Gap(Gap { from: gap.from.max(id + 1), to: gap.to }, *at))
            }
            entry => Cow::Borrowed(entry),
        });
        reset.into_iter().chain(evicted).map(Cow::Owned).chain(kept)
    }

    /// Returns all entries of these signals.
    pub(crate) fn all<'a>(
        &self,
        signals: impl Iterator<Item = &'a Arc<str>>,
    ) -> impl Iterator<Item = Cow<'_, Entry>> {
        let (_, kept) = self.rings.since(0, signals);
        kept.into_iter().map(Cow::Borrowed)
    }
}

impl Arrival {
    /// Returns whether to process the messages with this id.
    pub(crate) fn is_new(self) -> bool {
        !matches!(self, Self::Duplicate | Self::Implausible)
    }
}

impl Entry {
    /// Returns the approximate size in memory.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Message(_, message, _) => message.bytes,
            Self::Gap(..) => 0,
        };
        rings::ENTRY_BYTES + text
    }

    /// Returns the cursor after the entry.
    fn at(&self) -> u64 {
        match self {
            Self::Message(at, ..) | Self::Gap(_, at) => *at,
        }
    }
}

fn record(recent: &mut VecDeque<(u64, u64)>, id: u64, hash: u64) {
    if recent.len() == RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back((id, hash));
}

#[cfg(test)]
mod tests {
    use super::rings::{ENTRY_BYTES, RING_BYTES};
    use super::*;
    use crate::invocation::Invocation;

    fn store(messages: usize) -> Store {
        Store::new(History { messages, bytes: 1 << 20 })
    }

    fn message(bytes: usize) -> Envelope {
        message_for("h-Hub", bytes)
    }

    fn message_for(signal: &str, bytes: usize) -> Envelope {
        Envelope {
            signal: signal.into(),
            except: Default::default(),
            source: None,
            invocation: Arc::new(Invocation::new("m", ()).unwrap()),
            bytes,
        }
    }

    fn fill(store: &mut Store, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            store.arrive(id, &id.to_le_bytes());
            store.keep(message(10), DeliveredMark::default());
        }
    }

    /// Returns the entries after an id as text.
    fn since(store: &Store, id: u64) -> String {
        since_for(store, id, &["h-Hub"])
    }

    fn since_for(store: &Store, id: u64, signals: &[&str]) -> String {
        let signals: Vec<Arc<str>> = signals.iter().map(|signal| (*signal).into()).collect();
        let text = |entry: Cow<'_, Entry>| match &*entry {
            Entry::Message(id, ..) => id.to_string(),
            Entry::Gap(gap, _) => format!("({}-{})", gap.from, gap.to),
        };
        store.since(id, signals.iter()).map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ids_are_classified() {
        let mut store = store(10);
        assert_eq!(store.arrive(5, b"five"), Arrival::Next);
        assert_eq!(store.arrive(6, b"six"), Arrival::Next);
        assert_eq!(store.arrive(6, b"six"), Arrival::Duplicate);
        assert_eq!(store.arrive(5, b"five"), Arrival::Duplicate);
        assert_eq!(store.arrive(9, b"nine"), Arrival::After(Gap { from: 7, to: 8 }));
        assert_eq!(store.arrive(5, b"another"), Arrival::Restarted { last: 9, gap: None });
        assert_eq!(store.arrive(6, b"and another"), Arrival::Next);
        assert_eq!(store.arrive(5, b"another"), Arrival::Duplicate);
        assert_eq!(store.arrive(6, b"six"), Arrival::Duplicate);
        assert_eq!(store.arrive(8, b"eight"), Arrival::After(Gap { from: 7, to: 7 }));
        assert_eq!(store.last(), Some(9), "cursors do not go back");
        assert_eq!(store.arrive(10, b"restored"), Arrival::Next);
    }

    #[test]
    fn ids_that_a_killed_broker_has_reserved_are_no_gap() {
        let mut store = store(10);
        fill(&mut store, [5, 6]);
        assert_eq!(store.run_began(0), 6);
        fill(&mut store, [1_000_000, 1_000_001]);
        assert_eq!(since(&store, 5), "6 1000000 1000001");
        // Two servers know more, one of them no more than the other.
        assert_eq!(store.reached_elsewhere(8), Some((Gap { from: 7, to: 8 }, 1_000_001)));
        assert_eq!(store.reached_elsewhere(8), None);
        assert_eq!(store.reached_elsewhere(6), None);
        assert_eq!(
            store.reached_elsewhere(2_000_000),
            Some((Gap { from: 9, to: 999_999 }, 1_000_001))
        );
        fill(&mut store, [1_000_004]);
        assert_eq!(since(&store, 6), "1000000 1000001 (7-8) (9-999999) (1000002-1000003) 1000004");
    }

    #[test]
    fn an_id_of_an_own_message_in_the_last_run_ends_the_gap() {
        let mut store = store(10);
        fill(&mut store, [5]);
        assert_eq!(store.run_began(7), 7);
        assert_eq!(store.arrive(1_000_000, b"a"), Arrival::After(Gap { from: 6, to: 7 }));
        assert_eq!(store.missing_between(9, 1_000_000), None);
        // A broker that has not reserved any goes on at once.
        assert_eq!(store.run_began(0), 1_000_000);
        let gap = Gap { from: 1_000_001, to: 1_000_002 };
        assert_eq!(store.arrive(1_000_003, b"b"), Arrival::After(gap));
    }

    #[test]
    fn an_implausible_id_is_accepted_after_the_broker_issues_one_like_it() {
        let mut store = store(10);
        assert_eq!(store.arrive(5, b"five"), Arrival::Next);
        let far = 6 + LEAP_MAX;
        assert_eq!(store.arrive(far, b"far"), Arrival::Implausible);
        assert_eq!(store.arrive(6, b"six"), Arrival::Next);
        store.await_from(far + 1);
        assert_eq!(store.arrive(far + 2, b"far"), Arrival::After(Gap { from: 7, to: far + 1 }));
    }

    #[test]
    fn entries_after_an_id_are_found() {
        let mut store = store(10);
        fill(&mut store, [5, 6, 9, 10]);
        for (id, expected) in [
            (4, "5 6 (7-8) 9 10"),
            (5, "6 (7-8) 9 10"),
            (6, "(7-8) 9 10"),
            (7, "(8-8) 9 10"),
            (8, "9 10"),
            (10, ""),
            (11, ""),
            (2, "(3-4) 5 6 (7-8) 9 10"),
        ] {
            assert_eq!(since(&store, id), expected, "{id}");
        }
        assert_eq!(store.all([Arc::from("h-Hub")].iter()).count(), 5);
    }

    #[test]
    fn evicted_messages_are_a_gap() {
        let mut store = store(2);
        fill(&mut store, 1..=5);
        assert_eq!(since(&store, 3), "4 5");
        assert_eq!(since(&store, 1), "(2-3) 4 5");
    }

    #[test]
    fn ids_without_messages_leave_no_gap() {
        let mut store = store(2);
        fill(&mut store, [1]);
        for id in 2..=9 {
            store.arrive(id, &[]);
        }
        fill(&mut store, [10]);
        assert_eq!(since(&store, 1), "10");
        assert_eq!(since(&store, 0), "1 10");
    }

    #[test]
    fn bytes_are_limited_too() {
        let mut store =
            Store::new(History { messages: 100, bytes: RING_BYTES + 2 * (ENTRY_BYTES + 1000) });
        for id in 1..=5 {
            store.arrive(id, &[]);
            store.keep(message(1000), DeliveredMark::default());
        }
        assert_eq!(since(&store, 3), "4 5");
        store.arrive(6, &[]);
        store.keep(message(1 << 20), DeliveredMark::default());
        assert_eq!(store.rings.size(), (0, 0, 0));
        assert_eq!(since(&store, 5), "(6-6)");
    }

    #[test]
    fn evictions_do_not_change_an_index() {
        let mut store = store(3);
        fill(&mut store, [1, 2]);
        let place = store.end();
        fill(&mut store, [3, 4, 5]);
        let signals = [Arc::from("h-Hub")];
        let ids = |place| {
            let entries = store.from(place, signals.iter(), 10)?.entries;
            Some(entries.into_iter().map(Entry::at).collect::<Vec<_>>())
        };
        assert_eq!(ids(place), Some(vec![3, 4, 5]));
        assert_eq!(ids(place - 1), None, "it is evicted");
        assert_eq!(ids(store.end()), Some(vec![]));
    }

    #[test]
    fn a_loud_group_does_not_evict_the_newest_messages_of_a_quiet_one() {
        let mut store = store(640);
        let mut id = 0;
        let mut add = |store: &mut Store, signal: &str, count| {
            for _ in 0..count {
                id += 1;
                store.arrive(id, &id.to_le_bytes());
                store.keep(message_for(signal, 10), DeliveredMark::default());
            }
        };
        add(&mut store, "quiet", 12);
        add(&mut store, "loud", 10_000);
        assert_eq!(since_for(&store, 5, &["quiet"]), "6 7 8 9 10 11 12");
        assert_eq!(since_for(&store, 1, &["quiet"]), "(2-2) 3 4 5 6 7 8 9 10 11 12");
        let loud = since_for(&store, 5, &["loud"]);
        assert!(loud.starts_with("(6-9382) 9383 "), "{loud}");
        let both = since_for(&store, 10, &["quiet", "loud"]);
        assert!(both.starts_with("(11-9382) 11 12 9383 "), "{both}");
        // Messages to single users are many, and each has a signal of its own.
        for number in 0..10_000 {
            add(&mut store, &number.to_string(), 1);
        }
        let (entries, signals, _) = store.rings.size();
        assert!(entries <= 640 && signals <= 640, "{entries} {signals}");
        assert!(since_for(&store, 12, &["quiet"]).starts_with('('), "its messages are evicted");
    }

    #[test]
    fn a_return_visits_missed_messages_only() {
        let mut store = store(10_000);
        for id in 1..=10_000 {
            store.arrive(id, &id.to_le_bytes());
            let signal = if id % 1000 == 0 { "rare" } else { "h-Hub" };
            store.keep(message_for(signal, 10), DeliveredMark::default());
        }
        let rare = [Arc::from("rare")];
        assert_eq!(store.since(8_500, rare.iter()).count(), 2);
        let Selection { entries, next } = store.from(0, rare.iter(), 4).unwrap();
        assert_eq!((entries.len(), next), (4, Some(4_999)));
    }

    #[test]
    fn ids_missing_before_the_first_message_are_a_gap_after_a_send() {
        for (sent, first, expected) in [
            (None, 9, Arrival::Next),
            (Some(9), 9, Arrival::Next),
            (Some(9), 8, Arrival::Next),
            (Some(7), 9, Arrival::After(Gap { from: 7, to: 8 })),
        ] {
            let mut store = store(10);
            sent.into_iter().for_each(|id| store.await_from(id));
            assert_eq!(store.arrive(first, &[]), expected, "{sent:?}");
        }
    }

    #[test]
    fn messages_after_a_reset_have_the_old_cursor() {
        let mut store = store(10);
        fill(&mut store, [100, 101, 1, 2, 102]);
        for (id, expected) in [(99, "100 101 101 101 102"), (101, "(1-2) 102"), (102, "")] {
            assert_eq!(since(&store, id), expected, "{id}");
        }
    }

    #[test]
    fn ids_issued_before_the_resubscription_are_missing() {
        let mut store = store(10);
        fill(&mut store, [100]);
        store.resubscribed();
        let gap = Some(Gap { from: 1, to: 6 });
        assert_eq!(store.arrive(7, b"seven"), Arrival::Restarted { last: 100, gap });
        store.resubscribed();
        let gap = Gap { from: 8, to: 100 };
        assert_eq!(store.arrive(101, b"restored meanwhile"), Arrival::After(gap));
    }

    #[test]
    fn ids_missed_after_a_reset_are_reported_once() {
        let mut store = store(10);
        assert_eq!(store.missed_after_reset(3), None);
        fill(&mut store, [100]);
        store.resubscribed();
        assert_eq!(store.missed_after_reset(100), None, "the counter is where it was");
        assert_eq!(store.missed_after_reset(3), Some((Gap { from: 1, to: 3 }, 100)));
        assert_eq!(store.missed_after_reset(3), None);
        assert_eq!(since(&store, 99), "100 (1-3)");
        assert_eq!(store.arrive(4, b"four"), Arrival::Restarted { last: 100, gap: None });
        assert_eq!(store.arrive(101, b"restored"), Arrival::Next);
    }
}
