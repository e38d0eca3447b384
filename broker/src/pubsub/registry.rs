//! Who listens to what, as far as a publisher needs to know.
//!
//! For each channel it counts subscriptions per worker, and holds the mailboxes of in-process
//! subscribers; who exactly listens on a worker is that worker's business ([`crate::context`]).
//! A name without a listener has no entry.
//!
//! Entries change only while the broker's order is locked. Reading takes no lock but the map's
//! own, and no guard is held while another key is touched.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use crate::pubsub::id_set::IdSet;
use crate::pubsub::message::Name;
use crate::pubsub::subscriber::Mailbox;

/// A worker's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u16);

/// One listening place: a worker, for one of its clients, or an in-process subscriber.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Worker(WorkerId),
    Mailbox(Arc<Mailbox>),
}

/// The listeners of one channel or pattern.
#[derive(Debug)]
pub(crate) enum Interest {
    /// Clients of one worker, which is what nearly all channels have.
    One {
        worker: WorkerId,
        clients: u32,
    },
    Many(Box<Places>),
}

/// Listeners in more than one place.
#[derive(Debug, Default)]
pub(crate) struct Places {
    workers: Vec<(WorkerId, u32)>,
    mailboxes: Option<IdSet<Arc<Mailbox>>>,
}

/// Channels, and their listeners.
#[derive(Debug)]
pub(crate) struct Registry {
    channels: DashMap<Name, Interest, RandomState>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { channels: DashMap::with_hasher(RandomState::default()) }
    }
}

impl Registry {
    /// Adds one subscription, and returns the name that all tables share.
    pub(crate) fn add(&self, channel: &[u8], place: Place) -> Name {
        // Looked up by reference first: a name that is known needs no allocation.
        if let Some(mut entry) = self.channels.get_mut(channel) {
            entry.add(place);
            return entry.key().clone();
        }
        let name = Name::from(channel);
        self.channels.insert(name.clone(), Interest::new(place));
        name
    }

    /// Removes one subscription.
    pub(crate) fn remove(&self, channel: &Name, place: &Place) {
        if let Entry::Occupied(mut entry) = self.channels.entry(channel.clone())
            && entry.get_mut().remove(place)
        {
            entry.remove();
        }
    }

    /// Calls `see` with the listeners of `channel`, if it has any.
    pub(crate) fn with<R>(
        &self,
        channel: &[u8],
        see: impl FnOnce(&Name, &Interest) -> R,
    ) -> Option<R> {
        self.channels.get(channel).map(|entry| see(entry.key(), entry.value()))
    }

    /// Returns the number of subscriptions of `channel`.
    pub(crate) fn subscriptions(&self, channel: &[u8]) -> usize {
        self.with(channel, |_, interest| interest.subscriptions()).unwrap_or(0)
    }

    /// Returns the channels that `wanted` accepts.
    pub(crate) fn names(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Name> {
        self.channels
            .iter()
            .filter(|entry| wanted(entry.key()))
            .map(|entry| entry.key().clone())
            .collect()
    }

    /// Returns the number of channels with a listener.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }
}

impl Interest {
    pub(crate) fn new(place: Place) -> Self {
        match place {
            Place::Worker(worker) => Self::One { worker, clients: 1 },
            Place::Mailbox(mailbox) => {
                let mailboxes = Some(IdSet::One(mailbox));
                Self::Many(Box::new(Places { workers: Vec::new(), mailboxes }))
            }
        }
    }

    pub(crate) fn add(&mut self, place: Place) {
        match (&mut *self, place) {
            (Self::One { worker, clients }, Place::Worker(other)) if *worker == other => {
                *clients += 1
            }
            (Self::One { worker, clients }, place) => {
                let workers = vec![(*worker, *clients)];
                let mut places = Places { workers, mailboxes: None };
                places.add(place);
                *self = Self::Many(Box::new(places));
            }
            (Self::Many(places), place) => places.add(place),
        }
    }

    /// Removes one, and returns whether nobody is left.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        match (self, place) {
            (Self::One { worker, clients }, Place::Worker(other)) if worker == other => {
                *clients -= 1;
                *clients == 0
            }
            (Self::One { .. }, _) => false,
            (Self::Many(places), place) => places.remove(place),
        }
    }

    /// Returns the number of subscriptions.
    pub(crate) fn subscriptions(&self) -> usize {
        self.workers().map(|(_, clients)| clients as usize).sum::<usize>() + self.mailboxes().len()
    }

    /// Returns the workers with listening clients, and how many.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, u32)> + '_ {
        let (one, many) = match self {
            Self::One { worker, clients } => (Some((*worker, *clients)), &[][..]),
            Self::Many(places) => (None, &places.workers[..]),
        };
        one.into_iter().chain(many.iter().copied())
    }

    /// Returns the mailboxes of in-process subscribers.
    pub(crate) fn mailboxes(&self) -> &[Arc<Mailbox>] {
        match self {
            Self::One { .. } => &[],
            Self::Many(places) => places.mailboxes.as_ref().map_or(&[], IdSet::as_slice),
        }
    }
}

impl Places {
    fn add(&mut self, place: Place) {
        match place {
            Place::Worker(worker) => {
                match self.workers.iter_mut().find(|(known, _)| *known == worker) {
                    Some((_, clients)) => *clients += 1,
                    None => self.workers.push((worker, 1)),
                }
            }
            Place::Mailbox(mailbox) => match &mut self.mailboxes {
                Some(mailboxes) => mailboxes.insert(mailbox),
                None => self.mailboxes = Some(IdSet::One(mailbox)),
            },
        }
    }

    fn remove(&mut self, place: &Place) -> bool {
        match place {
            Place::Worker(worker) => {
                if let Some(at) = self.workers.iter().position(|(known, _)| known == worker) {
                    self.workers[at].1 -= 1;
                    if self.workers[at].1 == 0 {
                        self.workers.swap_remove(at);
                    }
                }
            }
            Place::Mailbox(mailbox) => {
                if self
                    .mailboxes
                    .as_mut()
                    .is_some_and(|mailboxes| mailboxes.remove(mailbox.number()))
                {
                    self.mailboxes = None;
                }
            }
        }
        self.workers.is_empty() && self.mailboxes.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Place = Place::Worker(WorkerId(0));
    const SECOND: Place = Place::Worker(WorkerId(1));

    #[test]
    fn a_channel_without_a_listener_has_no_entry() {
        let registry = Registry::default();
        let name = registry.add(b"news", FIRST);
        registry.add(b"news", FIRST);
        registry.add(b"news", SECOND);
        assert_eq!(registry.subscriptions(b"news"), 3);
        for (place, left) in [(FIRST, 2), (SECOND, 1), (FIRST, 0)] {
            registry.remove(&name, &place);
            assert_eq!(registry.subscriptions(b"news"), left);
        }
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn mailboxes_count_beside_workers() {
        let registry = Registry::default();
        let mailbox = Place::Mailbox(Arc::new(Mailbox::new(1, 1024)));
        let name = registry.add(b"news", mailbox.clone());
        registry.add(b"news", FIRST);
        assert_eq!(registry.subscriptions(b"news"), 2);
        registry.remove(&name, &mailbox);
        registry.remove(&name, &FIRST);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn names_are_shared_and_selected() {
        let registry = Registry::default();
        let first = registry.add(b"a", FIRST);
        assert!(Arc::ptr_eq(&first, &registry.add(b"a", SECOND)));
        registry.add(b"b", FIRST);
        assert_eq!(registry.names(|name| name == b"a"), [first]);
    }
}
