//! Messages with numbers: the counter is a key with the name of the channel, so that programs and
//! clients, which use a script for it, draw from one.

use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use thiserror::Error;

use super::keys::{View, now};
use super::{Broker, Order};
use crate::keyspace::{AccessMode, AddError, EventClasses, Keyspace, Notification, Scope};
use crate::pubsub::message::ChannelKind;
use crate::pubsub::subscribers::{Content, Context};

/// Says that the key with the name of the channel cannot be counted up.
///
/// ```
/// let error = broker::NumberError;
/// assert_eq!(error.to_string(), "value is not an integer or out of range");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("value is not an integer or out of range")]
pub struct NumberError;

impl Broker {
    /// Publishes a message that holds the channel's next number, and returns that number. It is the
    /// key of the channel's name in database 0, counted up by one. Every subscriber gets the numbers
    /// of a channel in order and without a hole.
    ///
    /// # Errors
    ///
    /// When the key holds something else than a number from 0; nothing is published then.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// let mut news = broker.subscribe("news");
    /// for expected in 1..=2 {
    ///     let number = broker.publish_numbered("news", |number| format!("{number} hello").into())?;
    ///     assert_eq!(number, expected);
    /// }
    /// assert_eq!(news.try_recv().unwrap().payload(), "1 hello");
    /// # Ok::<(), broker::NumberError>(())
    /// ```
    pub fn publish_numbered(
        &self,
        channel: impl AsRef<[u8]>,
        payload: impl FnOnce(u64) -> Bytes,
    ) -> Result<u64, NumberError> {
        let channel = channel.as_ref();
        let mut order = self.shared.order.lock();
        let mut wake = Vec::new();
        let number = self.add_number(&mut order, channel, |_| 1, &mut wake)?;
        let payload = payload(number);
        let content =
            Content { kind: ChannelKind::Channels, channel, payload: &payload, shared: None };
        order.replay.add(channel, || payload.clone());
        let fanout = self.fanout(&mut order, None, content, &mut wake, || payload.clone());
        drop(order);
        self.write_counters();
        wake.into_iter().for_each(Waker::wake);
        self.count(&fanout);
        Ok(number)
    }

    /// The same for a client: counts the key up as `INCR` does, and publishes what `payload` makes of
    /// the number. Nothing comes between the two.
    pub(crate) fn publish_counted<'a>(
        &self,
        context: &mut Context,
        view: View,
        channel: &[u8],
        payload: impl FnOnce(i64) -> &'a [u8],
    ) -> Result<usize, AddError> {
        let scope = view.scope(context);
        let add = |keyspace: &mut Keyspace, _| keyspace.keys(scope).add_number(channel, 1);
        let (content, fanout) =
            self.with_keyspace_then(context, add, |order, context, number| {
                let payload = payload(number?);
                let content =
                    Content { kind: ChannelKind::Channels, channel, payload, shared: None };
                let fanout = self.forward(order, context, content);
                order.take_inbox(context);
                Ok((content, fanout))
            })?;
        context.take_in();
        Ok(self.deliver(context, content, fanout))
    }

    /// Sees to it that the next message of a channel has a later number than this. Does nothing
    /// when the channel has come as far already. For whoever knows a number that was given out, when
    /// somebody has removed the key or set it back.
    ///
    /// # Errors
    ///
    /// When the key holds something else than a number from 0, or the number is not below 2^63.
    ///
    /// ```
    /// let broker = broker::Broker::new();
    /// broker.raise_number("news", 100)?;
    /// broker.raise_number("news", 50)?;
    /// assert_eq!(broker.publish_numbered("news", |_| "hello".into())?, 101);
    /// # Ok::<(), broker::NumberError>(())
    /// ```
    pub fn raise_number(&self, channel: impl AsRef<[u8]>, number: u64) -> Result<(), NumberError> {
        let number = i64::try_from(number).map_err(|_| NumberError)?;
        let mut wake = Vec::new();
        let missing = |old: i64| number.saturating_sub(old).max(0);
        self.add_number(&mut self.shared.order.lock(), channel.as_ref(), missing, &mut wake)?;
        self.write_counters();
        wake.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Adds what `increment` makes of the number of a channel, returns the sum, and adds those who
    /// are to be woken.
    fn add_number(
        &self,
        order: &mut Order,
        channel: &[u8],
        increment: impl FnOnce(i64) -> i64,
        wake: &mut Vec<Waker>,
    ) -> Result<u64, NumberError> {
        let mut keys = order.keyspace.keys(scope());
        let known = keys.get(channel, AccessMode::Write).map(|entry| entry.value.integer());
        let old = known.unwrap_or(Some(0)).filter(|old| *old >= 0).ok_or(NumberError)?;
        let new = match increment(old) {
            0 => old,
            increment => keys.add_number(channel, increment).map_err(|_| NumberError)?,
        };
        order.keyspace.end_command();
        self.shared.key_bytes.store(order.keyspace.bytes(), Ordering::Relaxed);
        tell_elsewhere(order, wake);
        u64::try_from(new).map_err(|_| NumberError)
    }
}

/// Nobody's command, on the first database.
fn scope() -> Scope {
    Scope {
        database: 0,
        now: now(),
        events: EventClasses::default(),
        touches: true,
        client: 0,
        databases: 1,
        value_bytes_max: usize::MAX,
    }
}

/// Tells those who keep a copy of the key, and adds whom to wake.
fn tell_elsewhere(order: &mut Order, wake: &mut Vec<Waker>) {
    for news in order.keyspace.take_news() {
        if let Notification::Invalidation(stale) = news {
            let inbox = &mut order.inboxes[stale.to.worker.index()];
            inbox.deliveries.push_stale(stale);
            wake.extend(inbox.worker.take());
        }
    }
}
