//! Messages with numbers: the counter is a key with the name of the channel, so that programs and
//! clients, which use a script for it, draw from one.

use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use thiserror::Error;

use super::keys::{View, now};
use super::{Broker, Order};
use crate::audience::{Audience, Content};
use crate::keyspace::{AddError, EventClasses, Keys, Look, News, Scope};
use crate::message::Space;

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
        let number = count(&mut order.keyspace.keys(scope()), channel)?;
        order.keyspace.end_command();
        self.shared.key_bytes.store(order.keyspace.bytes(), Ordering::Relaxed);
        let mut wake = Vec::new();
        tell_elsewhere(&mut order, &mut wake);
        let payload = payload(number);
        let content = Content { space: Space::Channels, channel, payload: &payload, shared: None };
        order.replay.add(channel, || payload.clone());
        let reach = self.reach(&mut order, None, content, &mut wake, || payload.clone());
        drop(order);
        self.write_counters();
        wake.into_iter().for_each(Waker::wake);
        self.count(&reach);
        Ok(number)
    }

    /// The same for a client: counts the key up as `INCR` does, and publishes what `payload` makes of
    /// the number. Nothing comes between the two.
    pub(crate) fn publish_counted<'a>(
        &self,
        audience: &mut Audience,
        view: View,
        channel: &[u8],
        payload: impl FnOnce(i64) -> &'a [u8],
    ) -> Result<usize, AddError> {
        let scope = view.scope(audience);
        let is_transaction = audience.held.is_some();
        let (content, reach) = self.with_order(audience, |order, audience| {
            let number = order.keyspace.keys(scope).add_number(channel, 1)?;
            if !is_transaction {
                order.keyspace.end_command();
            }
            self.tell(order, audience);
            let payload = payload(number);
            let content = Content { space: Space::Channels, channel, payload, shared: None };
            let reach = self.hand_on(order, audience, content);
            order.inboxes[audience.worker().index()].take(audience);
            Ok((content, reach))
        })?;
        if !is_transaction {
            self.write_counters();
        }
        audience.take_in();
        Ok(self.deliver(audience, content, reach))
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

fn count(keys: &mut Keys<'_>, key: &[u8]) -> Result<u64, NumberError> {
    let known = keys.get(key, Look::Write).map(|entry| entry.value.integer());
    // An id is never negative.
    match known {
        Some(None | Some(..0)) => Err(NumberError),
        _ => keys
            .add_number(key, 1)
            .ok()
            .and_then(|number| number.try_into().ok())
            .ok_or(NumberError),
    }
}

/// Tells those who keep a copy of the key, and adds whom to wake.
fn tell_elsewhere(order: &mut Order, wake: &mut Vec<Waker>) {
    for news in order.keyspace.take_news() {
        if let News::Stale(stale) = news {
            let inbox = &mut order.inboxes[stale.to.worker.index()];
            inbox.deliveries.push_stale(stale);
            wake.extend(inbox.worker.take());
        }
    }
}
