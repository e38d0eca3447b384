//! The channels that the connections of this server need, in a dialect with a channel for each
//! target.
//!
//! The index of the connections reports the first and the last connection of a channel. The
//! subscription takes the changes from here, and confirms each channel when the broker has
//! confirmed it. No entry stays behind for a channel without a connection.

use std::collections::HashMap;
use std::sync::Arc;

use locks::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Interest {
    channels: Mutex<Channels>,
    /// Notified when the subscription has a change to take.
    changed: Notify,
    /// Notified when channels were confirmed, or the subscription is lost.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Channels {
    wanted: HashMap<Arc<str>, Wanted>,
    /// The names that have changed since the subscription took them.
    changes: Vec<Arc<str>>,
    last_number: u64,
    /// Whether the subscription takes changes. Without it, no confirmation comes.
    is_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    number: u64,
    is_confirmed: bool,
}

/// A change of the subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Subscribe, and confirm with the number.
    Subscribe(Arc<str>, u64),
    Unsubscribe(Arc<str>),
}

impl Interest {
    /// Records that a channel has its first connection, and wakes the subscription.
    pub(crate) fn want(&self, channel: &Arc<str>) {
        self.record_first(channel);
        self.wake();
    }

    /// Records that a channel has its first connection. Call [`wake`](Self::wake) after the release
    /// of the table's lock.
    pub(crate) fn record_first(&self, channel: &Arc<str>) {
        let mut channels = self.channels.lock();
        channels.last_number += 1;
        let wanted = Wanted { number: channels.last_number, is_confirmed: false };
        channels.wanted.insert(channel.clone(), wanted);
        channels.changes.push(channel.clone());
    }

    /// Records that a channel has lost its last connection. Call [`wake`](Self::wake) after the
    /// release of the table's lock.
    pub(crate) fn record_last(&self, channel: &Arc<str>) {
        let mut channels = self.channels.lock();
        channels.wanted.remove(channel);
        channels.changes.push(channel.clone());
    }

    /// Wakes the subscription, and those that wait for the confirmation of a channel.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
        self.settled.notify_waiters();
    }

    /// Returns whether a connection of this server needs the channel.
    pub(crate) fn is_wanted(&self, channel: &str) -> bool {
        self.channels.lock().wanted.contains_key(channel)
    }

    /// Waits until the broker has confirmed a channel. Returns at once if no connection needs it or
    /// the subscription is lost. Cancel safe.
    pub(crate) async fn confirmed(&self, channel: &str) {
        loop {
            let settled = self.settled.notified();
            {
                let channels = self.channels.lock();
                let is_pending =
                    channels.wanted.get(channel).is_some_and(|wanted| !wanted.is_confirmed);
                if !(is_pending && channels.is_up) {
                    return;
                }
            }
            settled.await;
        }
    }

    /// Begins a new subscription: returns all channels. Earlier confirmations no longer count.
    pub(crate) fn begin(&self) -> Vec<Change> {
        let mut channels = self.channels.lock();
        channels.is_up = true;
        channels.changes.clear();
        let subscribe = |(channel, wanted): (&Arc<str>, &mut Wanted)| {
            wanted.is_confirmed = false;
            Change::Subscribe(channel.clone(), wanted.number)
        };
        channels.wanted.iter_mut().map(subscribe).collect()
    }

    /// Ends the subscription.
    pub(crate) fn end(&self) {
        self.channels.lock().is_up = false;
        self.settled.notify_waiters();
    }

    /// Takes the changes, or waits for some. Cancel safe.
    pub(crate) async fn changes(&self) -> Vec<Change> {
        loop {
            let changed = self.changed.notified();
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
            changed.await;
        }
    }

    fn take(&self) -> Vec<Change> {
        let mut channels = self.channels.lock();
        let changes = std::mem::take(&mut channels.changes);
        let change = |channel: Arc<str>| match channels.wanted.get(&channel) {
            Some(wanted) => Change::Subscribe(channel, wanted.number),
            None => Change::Unsubscribe(channel),
        };
        changes.into_iter().map(change).collect()
    }

    /// Records that the broker has confirmed these channels. A channel that was released and wanted
    /// again has another number and waits for its own confirmation.
    pub(crate) fn confirm<'a>(&self, confirmed: impl IntoIterator<Item = (&'a Arc<str>, u64)>) {
        let mut channels = self.channels.lock();
        for (channel, number) in confirmed {
            if let Some(wanted) = channels.wanted.get_mut(channel)
                && wanted.number == number
            {
                wanted.is_confirmed = true;
            }
        }
        drop(channels);
        self.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_channel_is_subscribed_once_and_confirmed_by_its_number() {
        let interest = Interest::default();
        let (room, hall): (Arc<str>, Arc<str>) = ("room".into(), "hall".into());
        interest.want(&room);
        interest.want(&hall);
        assert_eq!(interest.begin().len(), 2);
        assert!(interest.changes().now_or_never().is_none());

        interest.confirm([(&room, 1)]);
        assert!(interest.confirmed("room").now_or_never().is_some());
        assert!(interest.confirmed("hall").now_or_never().is_none());
        assert!(interest.confirmed("unwanted").now_or_never().is_some());

        interest.record_last(&room);
        interest.want(&room);
        let changes = interest.changes().now_or_never().unwrap();
        assert_eq!(changes, vec![Change::Subscribe(room.clone(), 3); 2]);
        interest.confirm([(&room, 1)]);
        assert!(interest.confirmed("room").now_or_never().is_none());
        interest.confirm([(&room, 3)]);
        assert!(interest.confirmed("room").now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_lost_subscription_ends_all_waits() {
        let interest = Interest::default();
        interest.want(&"room".into());
        assert!(interest.confirmed("room").now_or_never().is_some());
        interest.begin();
        let mut wait = std::pin::pin!(interest.confirmed("room"));
        assert!(wait.as_mut().now_or_never().is_none());
        interest.end();
        wait.await;
    }

    #[tokio::test]
    async fn a_released_channel_leaves_nothing_behind() {
        let interest = Interest::default();
        let room: Arc<str> = "room".into();
        interest.begin();
        interest.want(&room);
        interest.record_last(&room);
        assert_eq!(interest.take(), vec![Change::Unsubscribe(room); 2]);
        assert!(interest.channels.lock().wanted.is_empty());
    }
}
