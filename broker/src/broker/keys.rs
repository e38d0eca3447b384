//! The keys, which lie within the order: a command on them, and the messages that tell of it, stand
//! together in everybody's order.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Broker, Order};
use crate::audience::{Audience, Content, Delivery};
use crate::clock::since_1970;
use crate::counters::CountersFile;
use crate::keyspace::{Event, Keys, Keyspace, News, Queue, Scope};
use crate::message::Space;

/// What a session says of a command on keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// The number of the database.
    pub(crate) database: u16,
    /// Whether it counts as a use of the keys.
    pub(crate) touches: bool,
    /// The client that runs it; 0 for none.
    pub(crate) client: u64,
}

/// Keys that expire while the order is held once: a hundred or so microseconds, with all events.
const EXPIRED_AT_ONCE_MAX: usize = 64;

impl View {
    fn scope(self, audience: &Audience) -> Scope {
        let Self { database, touches, client } = self;
        let config = &audience.config;
        Scope {
            database,
            now: 0,
            events: config.notify_keyspace_events,
            touches,
            client,
            databases: config.databases,
            value_bytes_max: config.proto_max_bulk_len,
        }
    }
}

impl Broker {
    /// Runs a command on the keys, and publishes what there is to tell of it before anything else
    /// can happen.
    pub(crate) fn with_keys<R>(
        &self,
        audience: &mut Audience,
        view: View,
        run: impl FnOnce(&mut Keys<'_>) -> R,
    ) -> R {
        let scope = view.scope(audience);
        self.with_keyspace(
            audience,
            |keyspace, now| run(&mut keyspace.keys(Scope { now, ..scope })),
        )
    }

    /// The same for what is not about one database. `run` is told what time it is.
    pub(crate) fn with_keyspace<R>(
        &self,
        audience: &mut Audience,
        run: impl FnOnce(&mut Keyspace, u64) -> R,
    ) -> R {
        match audience.held.take() {
            Some(mut order) => {
                let now = order.time;
                let result = run(&mut order.keyspace, now);
                let wake = self.tell(&mut order, audience);
                audience.wake_later(wake);
                audience.held = Some(order);
                result
            }
            None => {
                let now = now();
                let mut order = self.shared.order.lock();
                let result = run(&mut order.keyspace, now);
                order.keyspace.end_command();
                let wake = self.tell(&mut order, audience);
                drop(order);
                self.write_counters();
                wake.into_iter().for_each(Waker::wake);
                result
            }
        }
    }

    /// Tells what waits for the end of a transaction.
    pub(super) fn end_transaction(&self, audience: &mut Audience) {
        if let Some(mut order) = audience.held.take() {
            order.keyspace.end_command();
            let wake = self.tell(&mut order, audience);
            audience.wake_later(wake);
            drop(order);
            self.write_counters();
        }
    }

    /// Takes in what a counters file has kept, and keeps it up to date from now on.
    ///
    /// # Errors
    ///
    /// When the file is none, or cannot be written.
    pub(crate) fn keep_counters(&self, path: PathBuf) -> io::Result<()> {
        if self.shared.counters.get().is_some_and(|file| file.path() == path) {
            return Ok(());
        }
        let counters = CountersFile::read(&path)?;
        let queue = Arc::new(Queue::default());
        let file = CountersFile::create(path, &counters, queue.clone())?;
        if self.shared.counters.set(file).is_err() {
            return Err(io::Error::other("the broker has another counters file"));
        }
        let mut order = self.shared.order.lock();
        order.keyspace.keep_counters(&counters, queue, now());
        self.shared.key_bytes.store(order.keyspace.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Sees to it that the disk has the counters, and that their file does not grow for ever.
    pub(crate) fn tend_counters(&self) {
        let Some(file) = self.shared.counters.get() else { return };
        file.sync();
        if file.is_overgrown() {
            file.replace(|| self.shared.order.lock().keyspace.counters_to_keep());
        }
    }

    /// Has the counters file hold the numbers as they are, since nobody counts any more. With a
    /// script that does not end it stays as after a crash, which is safe.
    pub(crate) fn close_counters(&self) {
        if self.running_script().is_some() {
            return;
        }
        if let Some(file) = self.shared.counters.get() {
            file.replace(|| self.shared.order.lock().keyspace.settle_counters());
        }
    }

    /// Writes what has changed of the counters. The order is not held.
    pub(crate) fn write_counters(&self) {
        if let Some(file) = self.shared.counters.get() {
            file.write_queued();
        }
    }

    /// Removes some of the keys whose time is over, and returns whether there may be more.
    pub(crate) fn expire_keys(&self, audience: &mut Audience) -> bool {
        let scope = View::default().scope(audience);
        let removed = self.with_keyspace(audience, |keyspace, now| {
            keyspace.expire(Scope { now, ..scope }, EXPIRED_AT_ONCE_MAX)
        });
        removed == EXPIRED_AT_ONCE_MAX
    }

    /// Returns the memory that keys and values take.
    pub(crate) fn key_bytes(&self) -> usize {
        self.shared.key_bytes.load(Ordering::Relaxed)
    }

    /// Tells of what has just changed, and returns whom to wake.
    fn tell(&self, order: &mut Order, audience: &mut Audience) -> SmallVec<[Waker; 4]> {
        self.shared.key_bytes.store(order.keyspace.bytes(), Ordering::Relaxed);
        let mut wake = SmallVec::new();
        if !order.keyspace.has_news() {
            return wake;
        }
        for news in order.keyspace.take_news() {
            match news {
                News::Event(event) => self.publish_event(order, audience, &event, &mut wake),
                News::Stale(stale) if stale.to.worker == audience.worker() => {
                    if let Some(taken) = order.take_inbox(stale.to.worker) {
                        audience.take_in(taken);
                    }
                    audience.tell_stale(&stale);
                }
                News::Stale(stale) => {
                    let inbox = &mut order.inboxes[stale.to.worker.index()];
                    inbox.deliveries.push(Delivery::Stale(stale));
                    wake.extend(inbox.worker.take());
                }
            }
        }
        wake
    }

    fn publish_event(
        &self,
        order: &mut Order,
        audience: &mut Audience,
        event: &Event,
        wake: &mut SmallVec<[Waker; 4]>,
    ) {
        let classes = audience.config.notify_keyspace_events;
        if classes.by_key() {
            let channel = event.key_channel();
            wake.extend(self.publish_held(order, audience, &channel, event.name.as_bytes()));
        }
        if classes.by_event() {
            let channel = event.event_channel();
            wake.extend(self.publish_held(order, audience, &channel, &event.key));
        }
    }

    fn publish_held(
        &self,
        order: &mut Order,
        audience: &mut Audience,
        channel: &[u8],
        payload: &[u8],
    ) -> SmallVec<[Waker; 4]> {
        let content = Content { space: Space::Channels, channel, payload, shared: None };
        let worker = audience.worker();
        order.replay.add(channel, || Bytes::copy_from_slice(payload));
        let reach = self.reach(order, Some(worker), content, || Bytes::copy_from_slice(payload));
        audience.tally.published += 1;
        audience.tally.delivered += reach.receivers as u64;
        if let Some(taken) = order.take_inbox(worker) {
            audience.take_in(taken);
        }
        if !reach.here.is_nobody() {
            let shared = reach.published.as_deref();
            audience.deliver(Content { shared, ..content }, &reach.here);
        }
        reach.wake
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
