//! Keys under the order. A command on keys publishes the notifications of its changes before the
//! order is released.

use std::sync::atomic::Ordering;

use super::local::Local;
use super::message::{ChannelKind, Content};
use super::order::OrderGuard;
use crate::config::Config;
use crate::keyspace::{AddError, Event, EventClasses, Keys, Keyspace, Notification, Scope};

/// The database and the client that a command on keys runs for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// The number of the database.
    pub(crate) database: u16,
    /// Whether a command counts as a use of the keys.
    pub(crate) touches: bool,
    /// The client that runs the command; 0 for none.
    pub(crate) client: u64,
    /// Whether expired keys stay, since `CLIENT PAUSE` holds back writes. No command finds them.
    pub(crate) keeps_expired: bool,
    /// Whether a command finds expired keys, since it is one of the server's master.
    pub(crate) finds_expired: bool,
}

/// Keys removed per acquisition of the order: about a hundred microseconds, with all events.
const EXPIRED_AT_ONCE_MAX: usize = 64;

impl OrderGuard<'_> {
    /// Returns the keys of one database, as a client sees them.
    pub(crate) fn keys(&mut self, view: View, config: &Config) -> Keys<'_> {
        let scope = self.scope(view, config);
        self.order.keyspace.keys(scope)
    }

    /// Returns all keys.
    pub(crate) fn keyspace(&mut self) -> &mut Keyspace {
        &mut self.order.keyspace
    }

    fn scope(&mut self, view: View, config: &Config) -> Scope {
        let View { database, touches, client, keeps_expired, finds_expired } = view;
        Scope {
            database,
            now: self.now(),
            events: config.notify_keyspace_events,
            touches,
            client,
            keeps_expired,
            finds_expired,
            databases: config.databases,
            value_bytes_max: if finds_expired { usize::MAX } else { config.proto_max_bulk_len },
        }
    }

    /// Adds `increment` to the number that a key holds, and returns the sum.
    pub(crate) fn add_number(
        &mut self,
        view: View,
        config: &Config,
        key: &[u8],
        increment: i64,
    ) -> Result<i64, AddError> {
        self.keys(view, config).add_number(key, increment)
    }

    /// Removes up to [`EXPIRED_AT_ONCE_MAX`] expired keys. Returns whether there may be more.
    pub(crate) fn expire_keys(&mut self, local: &mut Local, config: &Config) -> bool {
        let scope = self.scope(View::default(), config);
        let removed = self.order.keyspace.expire(scope, EXPIRED_AT_ONCE_MAX);
        // A lowered limit of the table of tracked keys is worked off in steps.
        self.order.keyspace.limit_tracked(config.tracking_table_max_keys);
        self.end_command(local, config.notify_keyspace_events);
        removed == EXPIRED_AT_ONCE_MAX
    }

    /// Ends a command or a transaction, and publishes all notifications that it has caused.
    pub(crate) fn end_command(&mut self, local: &mut Local, events: EventClasses) {
        self.order.keyspace.end_command();
        self.end_group(local);
        self.publish_notifications(local, events);
    }

    /// Ends the commands that replicas are to see as one.
    #[inline]
    pub(crate) fn end_group(&mut self, local: &mut Local) {
        if self.order.keyspace.feed.is_some() {
            local.lagging = self.send_feed(&mut local.after_release).or(local.lagging);
        }
    }

    /// Updates the figures of the keys that are readable without the order.
    pub(super) fn record_keys(&self) {
        let keyspace = &self.order.keyspace;
        self.shared.key_bytes.store(keyspace.bytes(), Ordering::Relaxed);
        self.shared.changes.store(keyspace.changes(), Ordering::Relaxed);
    }

    /// Publishes the notifications of the changes so far, within a transaction or a script.
    pub(crate) fn publish_notifications(&mut self, local: &mut Local, events: EventClasses) {
        self.record_keys();
        if !self.order.keyspace.has_notifications() {
            return;
        }
        for notification in self.order.keyspace.take_notifications() {
            match notification {
                Notification::Event(event) => self.publish_event(local, events, &event),
                Notification::Invalidation(invalidation)
                    if invalidation.to.worker == local.worker() =>
                {
                    self.catch_up(local);
                    local.subscribers.invalidate(&invalidation);
                }
                Notification::Invalidation(invalidation) => {
                    let worker = invalidation.to.worker;
                    let inbox = &mut self.order.inboxes[worker.index()];
                    inbox.deliveries.push_invalidation(invalidation);
                    if inbox.is_full() {
                        local.lagging = Some(worker);
                    }
                    local.after_release.workers.extend(inbox.worker.take());
                }
            }
        }
    }

    fn publish_event(&mut self, local: &mut Local, events: EventClasses, event: &Event) {
        if events.by_key() {
            self.publish_here(local, &event.key_channel(), event.name.as_bytes());
        }
        if events.by_event() {
            self.publish_here(local, &event.event_channel(), &event.key);
        }
    }

    /// Publishes a message of the server itself.
    pub(crate) fn publish_here(&mut self, local: &mut Local, channel: &[u8], payload: &[u8]) {
        let content = Content { kind: ChannelKind::Channels, channel, payload, shared: None };
        local.deliver_taken();
        let fanout = self.publish(local, content, || None);
        local.deliver_own(content, fanout);
    }
}
