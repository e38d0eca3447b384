//! The connections of each signal.
//!
//! A message finds its receivers without a look-up of connections.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::mailbox::Mailbox;
use crate::interest::Interest;

/// The mailboxes of each signal. A signal without connections has no entry.
#[derive(Debug, Default)]
pub(super) struct Index {
    listeners: HashMap<Arc<str>, Listeners, RandomState>,
    /// Set in a dialect with channels as signals.
    pub(super) interest: Option<Arc<Interest>>,
    /// Whether `interest` has a change to take.
    is_changed: bool,
}

/// The mailboxes of one signal.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "the other variant decides about the size")]
enum Listeners {
    /// As most signals have: each connection has signals of its own.
    One(Arc<Mailbox>),
    /// By number. The order is that of the memory of most mailboxes, which a message to all of them
    /// passes.
    /// In a box, since the others have no use for its size.
    Many(Box<BTreeMap<u64, Arc<Mailbox>>>),
}

impl Index {
    pub(super) fn of(&self, signal: &str) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.listeners.get(signal).into_iter().flat_map(Listeners::iter)
    }

    /// Returns the text of a signal, which all of its connections share.
    pub(super) fn shared(&self, signal: impl AsRef<str> + Into<Arc<str>>) -> Arc<str> {
        match self.listeners.get_key_value(signal.as_ref()) {
            Some((signal, _)) => signal.clone(),
            None => signal.into(),
        }
    }

    pub(super) fn add(&mut self, signal: &Arc<str>, mailbox: &Arc<Mailbox>) {
        match self.listeners.entry(signal.clone()) {
            Vacant(entry) => {
                entry.insert(Listeners::One(mailbox.clone()));
                if let Some(interest) = &self.interest {
                    interest.record_first(signal);
                    self.is_changed = true;
                }
            }
            Occupied(mut entry) => entry.get_mut().add(mailbox),
        }
    }

    pub(super) fn remove(&mut self, signal: &str, mailbox: &Mailbox) {
        if let Some(listeners) = self.listeners.get_mut(signal)
            && listeners.remove(mailbox)
            && let Some((signal, _)) = self.listeners.remove_entry(signal)
        {
            shrink(&mut self.listeners);
            if let Some(interest) = &self.interest {
                interest.record_last(&signal);
                self.is_changed = true;
            }
        }
    }
}

impl Index {
    /// Returns the interest if it has changed since the last call, to wake its subscription.
    pub(super) fn take_changed(&mut self) -> Option<Arc<Interest>> {
        std::mem::take(&mut self.is_changed).then(|| self.interest.clone()).flatten()
    }
}

impl Listeners {
    fn iter(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let (one, many) = match self {
            Self::One(one) => (Some(one), None),
            Self::Many(many) => (None, Some(many.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn add(&mut self, mailbox: &Arc<Mailbox>) {
        match self {
            Self::One(one) if one.number == mailbox.number => {}
            Self::One(one) => {
                let both = [one, mailbox].map(|mailbox| (mailbox.number, mailbox.clone()));
                *self = Self::Many(Box::new(both.into()));
            }
            Self::Many(many) => _ = many.insert(mailbox.number, mailbox.clone()),
        }
    }

    /// Removes a mailbox, and returns whether none is left.
    fn remove(&mut self, mailbox: &Mailbox) -> bool {
        match self {
            Self::One(one) => one.number == mailbox.number,
            Self::Many(many) => {
                many.remove(&mailbox.number);
                many.is_empty()
            }
        }
    }
}

/// Gives back the memory of a peak. A map keeps its capacity otherwise, and its iteration visits
/// free places, too.
pub(super) fn shrink<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > CAPACITY_KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(2 * map.len());
    }
}

/// The capacity that a map keeps without need.
const CAPACITY_KEPT: usize = 64;

#[cfg(test)]
impl Index {
    pub(super) fn capacity(&self) -> usize {
        self.listeners.capacity()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }
}
