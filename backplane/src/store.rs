//! The recent messages, so that a connection which comes back continues where it was.
//!
//! A ring, limited by messages and by bytes, and the one place that judges ids: whether what arrives
//! is next, comes after a gap, was here before, or shows that the counter went back. What the ring
//! has forgotten or never got is known as such, so that nobody is told less than happened.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::dialect::Addressed;
use crate::event::Gap;

/// How many recent messages a server keeps for connections that come back.
///
/// ```
/// let mut options = backplane::Options::default();
/// options.history = backplane::History { messages: 100, bytes: 1024 * 1024 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// At most so many.
    pub messages: usize,
    /// At most so many bytes of them.
    pub bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Store {
    limits: History,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything after this id is in the ring.
    floor: u64,
    last: Option<u64>,
    /// The last few payloads, by id and hash, to tell a message that comes twice from another one
    /// that got the same id.
    recent: VecDeque<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Message(u64, Arc<Addressed>),
    Gap(Gap),
}

/// What an id says about the message that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Next,
    After(Gap),
    /// It was here before.
    Known,
    /// The counter began anew below the last id.
    Restarted {
        last: u64,
    },
}

/// As many as a replay and a subscription may both bring.
const RECENT_MAX: usize = 16_384;
/// What an entry takes beside its text.
const ENTRY_BYTES: usize = 200;

impl Default for History {
    /// 10,000 messages, 16 MiB.
    fn default() -> Self {
        Self { messages: 10_000, bytes: 16 * 1024 * 1024 }
    }
}

impl Store {
    pub(crate) fn new(limits: History) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            bytes: 0,
            floor: 0,
            last: None,
            recent: VecDeque::new(),
        }
    }

    /// Returns the id that arrived last.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Judges the next payload, and makes room for what it holds.
    pub(crate) fn arrive(&mut self, id: u64, payload: &[u8]) -> Arrival {
        let hash = hash(payload);
        let arrival = match self.last {
            None => {
                self.floor = id.saturating_sub(1);
                Arrival::Next
            }
            Some(last) if id > last => match Gap::between(last, id) {
                None => Arrival::Next,
                Some(gap) => {
                    self.push(Entry::Gap(gap), 0);
                    Arrival::After(gap)
                }
            },
            Some(_) if self.was_here(id, hash) => return Arrival::Known,
            Some(last) => {
                self.entries.clear();
                self.recent.clear();
                self.bytes = 0;
                self.floor = id.saturating_sub(1);
                Arrival::Restarted { last }
            }
        };
        self.last = Some(id);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((id, hash));
        arrival
    }

    fn was_here(&self, id: u64, hash: u64) -> bool {
        // Ids rise from front to back.
        let found = self.recent.binary_search_by_key(&id, |(id, _)| *id);
        found.is_ok_and(|index| self.recent[index].1 == hash)
    }

    /// Keeps a message of the payload that has just arrived.
    pub(crate) fn keep(&mut self, id: u64, message: Arc<Addressed>) {
        let bytes = message.bytes;
        self.push(Entry::Message(id, message), bytes);
    }

    /// Returns everything after an id: a gap first, if the ring does not reach that far back.
    pub(crate) fn since(&self, id: u64) -> impl Iterator<Item = Entry> {
        let forgotten = (id < self.floor).then(|| Entry::Gap(Gap { from: id + 1, to: self.floor }));
        let start = self.entries.partition_point(|entry| entry.last() <= id);
        let kept = self.entries.range(start..).cloned().map(move |entry| match entry {
            Entry::Gap(gap) => Entry::Gap(Gap { from: gap.from.max(id + 1), to: gap.to }),
            message @ Entry::Message(..) => message,
        });
        forgotten.into_iter().chain(kept)
    }

    /// Returns everything there is.
    pub(crate) fn all(&self) -> impl Iterator<Item = Entry> {
        self.since(self.floor)
    }

    fn push(&mut self, entry: Entry, bytes: usize) {
        self.entries.push_back(entry);
        self.bytes += bytes + ENTRY_BYTES;
        while self.entries.len() > self.limits.messages || self.bytes > self.limits.bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.floor = self.floor.max(oldest.last());
            self.bytes -= ENTRY_BYTES;
            if let Entry::Message(_, message) = oldest {
                self.bytes -= message.bytes;
            }
        }
    }
}

impl Entry {
    /// Returns the last id it stands for.
    fn last(&self) -> u64 {
        match self {
            Self::Message(id, _) => *id,
            Self::Gap(gap) => gap.to,
        }
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Invocation;

    fn store(messages: usize) -> Store {
        Store::new(History { messages, bytes: 1 << 20 })
    }

    fn message(bytes: usize) -> Arc<Addressed> {
        Arc::new(Addressed {
            signal: "h-Hub".into(),
            except: vec![],
            source: String::new(),
            invocation: Arc::new(Invocation::new("m", ()).unwrap()),
            bytes,
        })
    }

    fn fill(store: &mut Store, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            store.arrive(id, &id.to_le_bytes());
            store.keep(id, message(10));
        }
    }

    /// What comes after an id, as text.
    fn since(store: &Store, id: u64) -> String {
        let text = |entry| match entry {
            Entry::Message(id, _) => id.to_string(),
            Entry::Gap(gap) => format!("({}-{})", gap.from, gap.to),
        };
        store.since(id).map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ids_are_judged() {
        let mut store = store(10);
        assert_eq!(store.arrive(5, b"five"), Arrival::Next);
        assert_eq!(store.arrive(6, b"six"), Arrival::Next);
        assert_eq!(store.arrive(6, b"six"), Arrival::Known);
        assert_eq!(store.arrive(5, b"five"), Arrival::Known);
        assert_eq!(store.arrive(9, b"nine"), Arrival::After(Gap { from: 7, to: 8 }));
        assert_eq!(store.arrive(5, b"another"), Arrival::Restarted { last: 9 });
        assert_eq!(store.arrive(6, b"six"), Arrival::Next);
        assert_eq!(store.last(), Some(6));
    }

    #[test]
    fn what_comes_after_an_id_is_found() {
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
        assert_eq!(store.all().count(), 5);
    }

    #[test]
    fn what_was_forgotten_is_a_gap() {
        let mut store = store(2);
        fill(&mut store, 1..=5);
        assert_eq!(since(&store, 3), "4 5");
        assert_eq!(since(&store, 1), "(2-3) 4 5");
    }

    #[test]
    fn ids_that_hold_nothing_for_us_leave_no_gap() {
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
        let mut store = Store::new(History { messages: 100, bytes: 2 * (ENTRY_BYTES + 1000) });
        for id in 1..=5 {
            store.arrive(id, &[]);
            store.keep(id, message(1000));
        }
        assert_eq!(since(&store, 3), "4 5");
        store.arrive(6, &[]);
        store.keep(6, message(1 << 20));
        assert_eq!((store.entries.len(), store.bytes), (0, 0));
        assert_eq!(since(&store, 5), "(6-6)");
    }

    #[test]
    fn a_new_count_has_nothing_of_the_old() {
        let mut store = store(10);
        fill(&mut store, [100, 101, 7]);
        assert_eq!(since(&store, 6), "7");
    }
}
