//! The subscriptions of all channels, as far as a publisher needs them.
//!
//! For each channel the registry counts subscriptions per worker, and holds the mailboxes of
//! in-process subscribers. Each worker lists its own clients in
//! [`Subscribers`](crate::pubsub::subscribers::Subscribers). A channel without a subscription has
//! no entry.
//!
//! Entries change only while the order is held. Readers need no order: they take the map's own
//! lock, and hold no guard of the map while they use another key.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use crate::pubsub::interest::{Interest, Place};
use crate::pubsub::message::Name;

/// Channels and their subscriptions.
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
        // Looked up by reference first: an existing entry needs no allocation.
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

    /// Calls `see` with the subscriptions of `channel`, if it has any.
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

    /// Returns the number of channels with a subscription.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::WorkerId;
    use crate::pubsub::mailbox::Mailbox;

    const FIRST: Place = Place::Worker(WorkerId(0));
    const SECOND: Place = Place::Worker(WorkerId(1));

    #[test]
    fn a_channel_without_a_subscription_has_no_entry() {
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
