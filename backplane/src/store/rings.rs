//! The recent messages by signal, for connections that return.
//!
//! A return costs as much as the connection has missed, not as much as is stored. The oldest entry
//! is evicted first, except the newest few messages of each signal. So a loud group does not turn
//! the return to a quiet one into a gap. Such messages take at most half of the limits.
//!
//! An evicted message leaves its id in the floor of its signal, so every loss is reported.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Entry;
use crate::options::History;

#[derive(Debug)]
pub(super) struct Rings {
    limits: History,
    /// The newest entries, in order. Places count from the first entry ever stored.
    entries: VecDeque<Entry>,
    /// The place of the first of `entries`.
    start: u64,
    /// Earlier messages that are among the newest of their signals, by place.
    survivors: BTreeMap<u64, Entry>,
    rings: HashMap<Arc<str>, Ring, RandomState>,
    /// The places of gaps, which are for all signals.
    gaps: VecDeque<u64>,
    bytes: usize,
    survivor_bytes: usize,
    /// All entries after this id are stored, apart from the floors of single signals.
    pub(super) floor: u64,
    /// The place after the last evicted entry, apart from those of single signals.
    floor_place: u64,
}

/// The messages of one signal.
#[derive(Debug, Default)]
struct Ring {
    places: VecDeque<u64>,
    /// All messages after this id are stored.
    floor: u64,
    /// The place after the last evicted message.
    floor_place: u64,
}

/// The entries of a connection from one place on.
pub(crate) struct Selection<'a> {
    pub(crate) entries: Vec<&'a Entry>,
    /// The place of the next one, if there are more.
    pub(crate) next: Option<u64>,
}

/// Approximate memory of an entry, without its text.
pub(super) const ENTRY_BYTES: usize = 200;
/// Approximate memory of a signal.
pub(super) const RING_BYTES: usize = 200;
/// Maximum number of the newest messages that a signal keeps.
const FEW: usize = 16;
/// The share of the limit in messages that one signal keeps, as a divisor.
const FEW_SHARE: usize = 64;

impl Rings {
    pub(super) fn new(limits: History) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            start: 0,
            survivors: BTreeMap::new(),
            rings: HashMap::default(),
            gaps: VecDeque::new(),
            bytes: 0,
            survivor_bytes: 0,
            floor: 0,
            floor_place: 0,
        }
    }

    /// Returns the place after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// Returns the entries of these signals after an id, and the id after which none is evicted.
    pub(super) fn since<'a>(
        &self,
        id: u64,
        signals: impl Iterator<Item = &'a Arc<str>>,
    ) -> (u64, Vec<&Entry>) {
        let rings: Vec<_> = signals.filter_map(|signal| self.rings.get(signal)).collect();
        let floor = rings.iter().fold(self.floor, |floor, ring| floor.max(ring.floor));
        let is_before = |place: &u64| self.get(*place).is_some_and(|entry| entry.at() <= id);
        (floor, self.entries_at(self.places(&rings, is_before)))
    }

    /// Returns at most `entries_max` entries of these signals from a place on, or `None` if some of
    /// them are evicted.
    pub(super) fn from<'a>(
        &self,
        place: u64,
        signals: impl Iterator<Item = &'a Arc<str>>,
        entries_max: usize,
    ) -> Option<Selection<'_>> {
        let rings: Vec<_> = signals.filter_map(|signal| self.rings.get(signal)).collect();
        let mut floors = rings.iter().map(|ring| ring.floor_place).chain([self.floor_place]);
        if floors.any(|floor| floor > place) {
            return None;
        }
        let mut places = self.places(&rings, |each| *each < place);
        let next = places.get(entries_max).copied();
        places.truncate(entries_max);
        Some(Selection { entries: self.entries_at(places), next })
    }

    /// Returns the places of gaps and of some signals, in order, without those before a point.
    fn places(&self, rings: &[&Ring], is_before: impl Fn(&u64) -> bool) -> Vec<u64> {
        let sources = rings.iter().map(|ring| &ring.places).chain([&self.gaps]);
        let mut places = Vec::new();
        for source in sources {
            let start = source.partition_point(&is_before);
            places.extend(source.range(start..));
        }
        // Each source is in order, which the sort makes use of.
        places.sort();
        places
    }

    fn entries_at(&self, places: Vec<u64>) -> Vec<&Entry> {
        places.into_iter().filter_map(|place| self.get(place)).collect()
    }

    fn get(&self, place: u64) -> Option<&Entry> {
        match place.checked_sub(self.start) {
            Some(index) => self.entries.get(usize::try_from(index).ok()?),
            None => self.survivors.get(&place),
        }
    }

    /// Stores an entry, and evicts others.
    pub(super) fn push(&mut self, entry: Entry) {
        let place = self.end();
        self.bytes += entry.bytes();
        match &entry {
            Entry::Message(_, message, _) => {
                let signal = message.signal.as_str();
                if !self.rings.contains_key(signal) {
                    self.rings.insert(signal.into(), Ring::default());
                    self.bytes += RING_BYTES;
                }
                if let Some(ring) = self.rings.get_mut(signal) {
                    ring.places.push_back(place);
                    // A survivor that is not among the newest any more is older than all others.
                    let few = few(self.limits);
                    if let Some(oldest) = ring.places.front().copied()
                        && ring.places.len() > few
                        && oldest < self.start
                    {
                        self.evict_survivor(oldest);
                    }
                }
            }
            Entry::Gap(..) => self.gaps.push_back(place),
        }
        self.entries.push_back(entry);
        while self.is_over() && self.evict_one() {}
    }

    fn is_over(&self) -> bool {
        let History { messages, bytes } = self.limits;
        self.entries.len() + self.survivors.len() > messages || self.bytes > bytes
    }

    /// Evicts an entry, or makes it a survivor. Returns false if there is none.
    fn evict_one(&mut self) -> bool {
        let History { messages, bytes } = self.limits;
        let has_many = 2 * self.survivors.len() > messages || 2 * self.survivor_bytes > bytes;
        if (has_many || self.entries.is_empty())
            && let Some((place, _)) = self.survivors.first_key_value()
        {
            self.evict_survivor(*place);
            return true;
        }
        let Some(entry) = self.entries.pop_front() else { return false };
        let place = self.start;
        self.start += 1;
        match self.is_among_newest(place, &entry) {
            true => {
                self.survivor_bytes += entry.bytes();
                self.survivors.insert(place, entry);
            }
            false => self.evict(place, &entry),
        }
        true
    }

    fn is_among_newest(&self, place: u64, entry: &Entry) -> bool {
        let Entry::Message(_, message, _) = entry else { return false };
        let Some(ring) = self.rings.get(message.signal.as_str()) else { return false };
        let before = ring.places.partition_point(|each| *each < place);
        ring.places.len() - before <= few(self.limits)
    }

    fn evict_survivor(&mut self, place: u64) {
        if let Some(entry) = self.survivors.remove(&place) {
            self.survivor_bytes -= entry.bytes();
            self.evict(place, &entry);
        }
    }

    /// Forgets an entry, the oldest of its signal.
    fn evict(&mut self, place: u64, entry: &Entry) {
        self.bytes -= entry.bytes();
        let signal = match entry {
            Entry::Message(_, message, _) => message.signal.as_str(),
            Entry::Gap(..) => {
                self.gaps.pop_front();
                self.raise_floor(entry.at(), place + 1);
                return;
            }
        };
        let Some(ring) = self.rings.get_mut(signal) else { return };
        ring.places.pop_front();
        (ring.floor, ring.floor_place) = (entry.at(), place + 1);
        // A signal without messages leaves no memory.
        if ring.places.is_empty() {
            self.rings.remove(signal);
            self.bytes -= RING_BYTES;
            self.raise_floor(entry.at(), place + 1);
        }
    }

    fn raise_floor(&mut self, id: u64, place: u64) {
        self.floor = self.floor.max(id);
        self.floor_place = self.floor_place.max(place);
    }
}

/// Returns the number of the newest messages that a signal keeps.
fn few(limits: History) -> usize {
    FEW.min(limits.messages / FEW_SHARE)
}

#[cfg(test)]
impl Rings {
    /// Returns the number of entries, signals and bytes.
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.entries.len() + self.survivors.len(), self.rings.len(), self.bytes)
    }
}
