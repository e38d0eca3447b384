//! Messages with numbers: the counter is a key with the name of the channel, so that programs and
//! clients, which use a script for it, draw from one.

use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use thiserror::Error;

use super::keys::now;
use super::{Broker, Order};
use crate::audience::Content;
use crate::keyspace::{EventClasses, Keys, Look, News, Scope, Value};
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
    let new = known.unwrap_or(Some(0)).and_then(|old| old.checked_add(1)).ok_or(NumberError)?;
    let number = u64::try_from(new).map_err(|_| NumberError)?;
    match known {
        Some(_) => keys.change(key, |value| *value = Value::Integer(new)).unwrap_or_default(),
        None => keys.insert(key, Value::Integer(new)),
    }
    keys.counted(key, new);
    Ok(number)
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
