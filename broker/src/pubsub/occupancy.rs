//! Events about channels that get their first subscription, or lose their last one.
//!
//! A channel that is left and joined again within a second causes no event.

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::local::Local;
use super::message::{ChannelKind, Name};
use super::order::OrderGuard;
use crate::config::ChannelEvents;

/// The channels whose subscriptions change, while somebody wants events about them.
#[derive(Debug, Default)]
pub(super) struct Occupancy(Option<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// Channels that were joined or left since the last events.
    changed: HashSet<Name, RandomState>,
    /// Channels with a subscription, as the events have told.
    occupied: HashSet<Name, RandomState>,
}

const OCCUPIED: &[u8] = b"__pubsub__:occupied";
const VACATED: &[u8] = b"__pubsub__:vacated";
/// Channels of the broker itself have no events: a subscriber of the events would cause some.
const OWN: &[u8] = b"__";

impl Occupancy {
    /// Records that a channel was joined or left.
    pub(super) fn record(&mut self, channel: &Name) {
        if let Some(watched) = &mut self.0
            && !channel.starts_with(OWN)
        {
            watched.changed.insert(channel.clone());
        }
    }
}

impl OrderGuard<'_> {
    /// Begins or ends to watch the subscriptions of channels. Channels that are occupied already cause
    /// no event.
    pub(crate) fn watch_occupancy(&mut self, is_wanted: bool) {
        let Occupancy(watched) = &mut self.order.occupancy;
        if is_wanted == watched.is_some() {
            return;
        }
        *watched = is_wanted.then(|| {
            let names =
                self.shared.registry(ChannelKind::Channels).names(|name| !name.starts_with(OWN));
            Watched { changed: HashSet::default(), occupied: names.into_iter().collect() }
        });
    }

    /// Publishes the events of up to `count_max` channels. Returns whether there may be more.
    pub(crate) fn publish_occupancy(
        &mut self,
        local: &mut Local,
        events: ChannelEvents,
        count_max: usize,
    ) -> bool {
        for _ in 0..count_max {
            let Some(watched) = &mut self.order.occupancy.0 else { return false };
            let Some(channel) = watched.changed.iter().next().cloned() else {
                watched.changed.shrink_to(count_max);
                return false;
            };
            watched.changed.remove(&channel);
            let registry = self.shared.registry(ChannelKind::Channels);
            let is_occupied = registry.subscriptions(&channel) > 0;
            let is_news = match is_occupied {
                true => watched.occupied.insert(channel.clone()),
                false => watched.occupied.remove(&channel),
            };
            let (is_wanted, event) = match is_occupied {
                true => (events.occupied, OCCUPIED),
                false => (events.vacated, VACATED),
            };
            if is_news && is_wanted {
                self.publish_here(local, event, &channel);
            }
        }
        true
    }
}
