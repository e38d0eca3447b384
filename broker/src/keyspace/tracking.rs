//! Client-side caching: invalidates the copies of clients.
//!
//! In the default mode a client receives one invalidation for each key that it has read. In
//! broadcasting mode it receives one for every changed key with one of its prefixes. As in Redis,
//! keys with the same name in different databases count as one.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use smallvec::SmallVec;

use super::prefixes::Prefixes;
use crate::ids::WorkerId;
use crate::protocol::invalidation::InvalidatedKeys;

/// All clients with tracking.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    clients: BTreeMap<u64, Client>,
    /// The clients that have read a key, in ascending order.
    readers: IndexMap<Box<[u8]>, Readers, RandomState>,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    /// The number of prefixes of each length.
    prefix_lengths: BTreeMap<usize, usize>,
    /// Prefixes with changed keys.
    changed: BTreeSet<Box<[u8]>>,
    /// The index of the key that was evicted last.
    next_evicted: usize,
    /// Number of readers of all keys.
    reads: usize,
}

type Readers = SmallVec<[u64; 2]>;

/// A client with tracking.
#[derive(Debug)]
struct Client {
    tracker: Tracker,
    prefixes: Prefixes,
}

/// The tracking settings of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracker {
    /// The client itself.
    pub(crate) own: Recipient,
    /// The redirection target.
    pub(crate) other: Option<Recipient>,
    /// Whether the redirection target disconnected.
    pub(crate) is_broken: bool,
    /// Whether the client tracks prefixes, in broadcasting mode, and not the keys that it reads.
    pub(crate) is_broadcast: bool,
    /// Whether the client receives no invalidations for its own changes (`NOLOOP`).
    pub(crate) no_loop: bool,
}

/// A client with its worker and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) client: u64,
    pub(crate) worker: WorkerId,
    /// The slot of the client in its worker.
    pub(crate) slot: usize,
}

/// An invalidation for one client.
#[derive(Clone, Debug)]
pub(crate) struct Invalidation {
    pub(crate) to: Recipient,
    /// Whether the client is the redirection target of another, so that RESP2 suffices.
    pub(crate) is_redirected: bool,
    pub(crate) keys: InvalidatedKeys,
}

/// The clients that track one prefix.
#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeSet<u64>,
    /// Changed keys, with the client that changed them last.
    changed: BTreeMap<Box<[u8]>, u64>,
}

/// Figures for `INFO`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tracked {
    pub(crate) keys: usize,
    pub(crate) items: usize,
    pub(crate) prefixes: usize,
}

/// Memory of a prefix of a client besides its bytes, which two tables have: entries of these tables, and a
/// table of its clients. Measured.
const PREFIX_BYTES: usize = 270;
/// Keys that are evicted in one go, since other clients wait meanwhile: some hundred microseconds.
const EVICTED_AT_ONCE_MAX: usize = 1000;

impl Trackers {
    /// Sets the settings of a client, and adds prefixes to those that it has. Returns the bytes that the
    /// new ones take.
    pub(super) fn set(&mut self, client: u64, tracker: Tracker, prefixes: &[&[u8]]) -> usize {
        let mut added = 0;
        let known = self.clients.entry(client);
        let known = known
            .and_modify(|known| known.tracker = tracker)
            .or_insert_with(|| Client { tracker, prefixes: Prefixes::default() });
        for prefix in prefixes.iter().filter(|prefix| known.prefixes.insert(prefix)) {
            added += 2 * prefix.len() + PREFIX_BYTES;
            let watched = self.prefixes.entry((*prefix).into()).or_insert_with(|| {
                *self.prefix_lengths.entry(prefix.len()).or_default() += 1;
                Prefix::default()
            });
            watched.clients.insert(client);
        }
        added
    }

    pub(super) fn remove(&mut self, client: u64) {
        let Some(removed) = self.clients.remove(&client) else { return };
        for prefix in removed.prefixes.iter() {
            if let Some(known) = self.prefixes.get_mut(prefix) {
                known.clients.remove(&client);
                if known.clients.is_empty() {
                    self.prefixes.remove(prefix);
                    self.changed.remove(prefix);
                    self.forget_length(prefix.len());
                }
            }
        }
    }

    /// Returns the prefixes of a client with tracking.
    pub(super) fn prefixes_of(&self, client: u64) -> Option<&Prefixes> {
        self.clients.get(&client).map(|known| &known.prefixes)
    }

    /// Frees the table of readers when no client tracks keys any more.
    pub(super) fn forget_unused(&mut self) {
        if self.clients.is_empty() {
            self.readers = IndexMap::default();
            self.reads = 0;
        }
    }

    fn forget_length(&mut self, length: usize) {
        if let Some(count) = self.prefix_lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.prefix_lengths.remove(&length);
            }
        }
    }

    /// Marks redirections to a client as broken. Returns the clients with such a redirection.
    pub(super) fn lose(&mut self, client: u64) -> Vec<u64> {
        let mut broken = Vec::new();
        for (&own, Client { tracker, .. }) in &mut self.clients {
            if tracker.other.is_some_and(|other| other.client == client) {
                tracker.is_broken = true;
                broken.push(own);
            }
        }
        broken
    }

    /// Returns whether the client's redirection target disconnected.
    pub(super) fn is_broken(&self, client: u64) -> bool {
        self.clients.get(&client).is_some_and(|known| known.tracker.is_broken)
    }

    pub(super) fn tracked(&self) -> Tracked {
        Tracked { keys: self.readers.len(), items: self.reads, prefixes: self.prefixes.len() }
    }

    /// Records that a client has read a key. Returns invalidations of keys beyond the limit.
    pub(super) fn record_read(
        &mut self,
        client: u64,
        key: &[u8],
        keys_max: usize,
    ) -> Vec<Invalidation> {
        let readers = match self.readers.get_mut(key) {
            Some(readers) => readers,
            None => self.readers.entry(key.into()).or_default(),
        };
        if let Err(place) = readers.binary_search(&client) {
            readers.insert(place, client);
            self.reads += 1;
        }
        self.limit(keys_max)
    }

    /// Drops keys beyond the limit, a bounded number at once; 0 means no limit. Returns their
    /// invalidations.
    pub(super) fn limit(&mut self, keys_max: usize) -> Vec<Invalidation> {
        let mut stale = Vec::new();
        for _ in 0..EVICTED_AT_ONCE_MAX {
            if keys_max == 0 || self.readers.len() <= keys_max {
                break;
            }
            // Any place will do; going round them spares keys that were read just now.
            self.next_evicted = (self.next_evicted + 1) % self.readers.len();
            let Some((key, _)) = self.readers.get_index(self.next_evicted) else { break };
            let key = key.clone();
            stale.extend(self.invalidate_readers(&key, 0));
        }
        stale
    }

    /// Returns the invalidations for readers of a changed key. Those for prefixes follow after the
    /// command.
    pub(super) fn touch(&mut self, key: &[u8], changer: u64) -> Vec<Invalidation> {
        if self.clients.is_empty() {
            return Vec::new();
        }
        for (&length, _) in self.prefix_lengths.range(..=key.len()) {
            if let Some(prefix) = self.prefixes.get_mut(&key[..length]) {
                if prefix.changed.is_empty() {
                    self.changed.insert(key[..length].into());
                }
                prefix.changed.insert(key.into(), changer);
            }
        }
        self.invalidate_readers(key, changer)
    }

    /// Returns the invalidations for all clients when a database is flushed.
    pub(super) fn flush(&mut self) -> Vec<Invalidation> {
        self.readers = IndexMap::default();
        self.reads = 0;
        let clients = self.clients.values();
        clients.map(|client| client.tracker.invalidation(InvalidatedKeys::All)).collect()
    }

    /// Returns whether keys with a tracked prefix have changed.
    pub(super) fn has_broadcasts(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Returns the invalidations for prefixes.
    pub(super) fn take_broadcasts(&mut self) -> Vec<Invalidation> {
        let mut stale = Vec::new();
        for name in std::mem::take(&mut self.changed) {
            let Some(prefix) = self.prefixes.get_mut(&name) else { continue };
            let changed = std::mem::take(&mut prefix.changed);
            for (client, Client { tracker, .. }) in
                prefix.clients.iter().filter_map(|id| Some((id, self.clients.get(id)?)))
            {
                let is_affected = |changer: &u64| !tracker.no_loop || changer != client;
                let keys = changed.iter().filter(|(_, changer)| is_affected(changer));
                let keys: Vec<Box<[u8]>> = keys.map(|(key, _)| key.clone()).collect();
                if !keys.is_empty() {
                    stale.push(tracker.invalidation(InvalidatedKeys::Keys(keys)));
                }
            }
        }
        stale
    }

    fn invalidate_readers(&mut self, key: &[u8], changer: u64) -> Vec<Invalidation> {
        let Some((key, readers)) = self.readers.swap_remove_entry(key) else { return Vec::new() };
        self.reads -= readers.len();
        let trackers = readers.iter().filter_map(|id| Some((*id, &self.clients.get(id)?.tracker)));
        let is_affected = |client: u64, tracker: &Tracker| {
            !(tracker.is_broadcast || (tracker.no_loop && client == changer))
        };
        trackers
            .filter(|(client, tracker)| is_affected(*client, tracker))
            .map(|(_, tracker)| tracker.invalidation(InvalidatedKeys::Keys(vec![key.clone()])))
            .collect()
    }
}

impl Tracker {
    fn invalidation(&self, keys: InvalidatedKeys) -> Invalidation {
        match self.other {
            None => Invalidation { to: self.own, is_redirected: false, keys },
            Some(other) if self.is_broken => Invalidation {
                to: self.own,
                is_redirected: false,
                keys: InvalidatedKeys::Unknown(other.client),
            },
            Some(to) => Invalidation { to, is_redirected: true, keys },
        }
    }
}
