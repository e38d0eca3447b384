//! Messages with numbers. The counter is a key with the name of the channel. Programs in this
//! process and clients, which use a script, share that counter.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use thiserror::Error;

use super::Broker;
use super::message::{ChannelKind, Content};
use super::order::{AfterRelease, OrderGuard};
use crate::keyspace::{AccessMode, EventClasses, Notification, Scope};

/// The reason why the key with the name of the channel is not incremented.
///
/// ```
/// let error = broker::NumberError::NotANumber;
/// assert_eq!(error.to_string(), "value is not an integer or out of range");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NumberError {
    /// It holds something other than a number from 0, or the highest number.
    #[error("value is not an integer or out of range")]
    NotANumber,
    /// The server is a replica, so the numbers are its master's.
    #[error("You can't write against a read only replica.")]
    ReadOnly,
}

impl Broker {
    /// Publishes `before`, the channel's next number and `after` as one message, and returns the
    /// number.
    ///
    /// The number is the value of the key with the channel's name in database 0, incremented by
    /// one. Every subscriber gets the numbers of a channel in order and without a gap.
    ///
    /// # Errors
    ///
    /// The key holds something other than a number from 0. Nothing is published then.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// for expected in 1..=2 {
    ///     let number = broker.publish_numbered("news", "", " hello")?;
    ///     assert_eq!(number, expected);
    /// }
    /// assert_eq!(news.try_recv().unwrap().payload(), "1 hello");
    /// # Ok::<(), broker::NumberError>(())
    /// ```
    pub fn publish_numbered(
        &self,
        channel: impl AsRef<[u8]>,
        before: impl AsRef<[u8]>,
        after: impl AsRef<[u8]>,
    ) -> Result<u64, NumberError> {
        let (channel, before, behind) = (channel.as_ref(), before.as_ref(), after.as_ref());
        let number = self.with_order(|order, after| {
            let number = order.raise(channel, |_| 1, after)?;
            let mut digits = itoa::Buffer::new();
            let payload = [before, digits.format(number).as_bytes(), behind].concat();
            let payload = Bytes::from(payload);
            let kind = ChannelKind::Channels;
            let content = Content { kind, channel, payload: &payload, shared: None };
            let receivers = order.publish_outside(content, &payload, after);
            order.shared.stats.messages_published.add(1);
            order.shared.stats.messages_delivered.add(receivers as u64);
            Ok(number)
        });
        self.shared.write_counters();
        number
    }

    /// Raises the counter of a channel to `number`, so that the next message has a later number.
    /// Does nothing if the counter is as high already. Restores a counter whose key was removed or
    /// set back.
    ///
    /// # Errors
    ///
    /// The key holds something other than a number from 0, or `number` is not below 2^63.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// broker.raise_number("news", 100)?;
    /// broker.raise_number("news", 50)?;
    /// assert_eq!(broker.publish_numbered("news", "", " hello")?, 101);
    /// # Ok::<(), broker::NumberError>(())
    /// ```
    pub fn raise_number(&self, channel: impl AsRef<[u8]>, number: u64) -> Result<(), NumberError> {
        let number = i64::try_from(number).map_err(|_| NumberError::NotANumber)?;
        let missing = |old: i64| number.saturating_sub(old).max(0);
        self.with_order(|order, after| order.raise(channel.as_ref(), missing, after))?;
        self.shared.write_counters();
        Ok(())
    }
}

impl OrderGuard<'_> {
    /// Adds `increment`, computed from the current number of a channel, and returns the sum.
    fn raise(
        &mut self,
        channel: &[u8],
        increment: impl FnOnce(i64) -> i64,
        after: &mut AfterRelease,
    ) -> Result<u64, NumberError> {
        if self.shared.is_read_only.load(Ordering::Acquire) {
            return Err(NumberError::ReadOnly);
        }
        let scope = scope(self.now());
        let mut keys = self.order.keyspace.keys(scope);
        let known = keys.get(channel, AccessMode::Write).map(|entry| entry.value.integer());
        let old =
            known.unwrap_or(Some(0)).filter(|old| *old >= 0).ok_or(NumberError::NotANumber)?;
        let new = match increment(old) {
            0 => old,
            increment => {
                keys.add_number(channel, increment).map_err(|_| NumberError::NotANumber)?
            }
        };
        self.order.keyspace.end_command();
        self.send_feed(after);
        self.record_keys();
        self.invalidate_elsewhere(after);
        u64::try_from(new).map_err(|_| NumberError::NotANumber)
    }

    /// Hands invalidations to the workers of the clients that cache the key.
    fn invalidate_elsewhere(&mut self, after: &mut AfterRelease) {
        for notification in self.order.keyspace.take_notifications() {
            if let Notification::Invalidation(invalidation) = notification {
                let inbox = &mut self.order.inboxes[invalidation.to.worker.index()];
                inbox.deliveries.push_invalidation(invalidation);
                after.workers.extend(inbox.worker.take());
            }
        }
    }
}

/// Returns the scope of a command without a client, on the first database.
fn scope(now: u64) -> Scope {
    Scope {
        database: 0,
        now,
        events: EventClasses::default(),
        touches: true,
        client: 0,
        keeps_expired: false,
        finds_expired: false,
        databases: 1,
        value_bytes_max: usize::MAX,
    }
}
