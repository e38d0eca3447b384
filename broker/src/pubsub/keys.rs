//! The keys, which lie within the order: a command on them, and the messages that tell of it, stand
//! together in everybody's order.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Broker, Order};
use crate::keyspace::counters_file::CountersFile;
use crate::keyspace::{Event, Keys, Keyspace, Notification, Queue, Scope};
use crate::observe::clock::since_1970;
use crate::pubsub::message::ChannelKind;
use crate::pubsub::subscribers::{Content, Context};

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
    /// Returns how the client sees the keys at this moment.
    pub(super) fn scope(self, context: &Context) -> Scope {
        let Self { database, touches, client } = self;
        let config = &context.config;
        Scope {
            database,
            now: time(context),
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
        context: &mut Context,
        view: View,
        run: impl FnOnce(&mut Keys<'_>) -> R,
    ) -> R {
        let scope = view.scope(context);
        self.with_keyspace(context, |keyspace, _| run(&mut keyspace.keys(scope)))
    }

    /// The same for what is not about one database. `run` is told what time it is.
    pub(crate) fn with_keyspace<R>(
        &self,
        context: &mut Context,
        run: impl FnOnce(&mut Keyspace, u64) -> R,
    ) -> R {
        self.with_keyspace_then(context, run, |_, _, result| result)
    }

    /// The same, and `then` does something with the result before anything else can happen.
    pub(super) fn with_keyspace_then<R, S>(
        &self,
        context: &mut Context,
        run: impl FnOnce(&mut Keyspace, u64) -> R,
        then: impl FnOnce(&mut Order, &mut Context, R) -> S,
    ) -> S {
        let now = time(context);
        let is_transaction = context.held.is_some();
        let done = self.with_order(context, |order, context| {
            let result = run(&mut order.keyspace, now);
            if !is_transaction {
                order.keyspace.end_command();
            }
            self.tell(order, context);
            then(order, context, result)
        });
        if !is_transaction {
            self.write_counters();
        }
        done
    }

    /// Tells what waits for the end of a transaction.
    pub(super) fn end_transaction(&self, context: &mut Context) {
        if let Some(mut order) = context.held.take() {
            order.keyspace.end_command();
            self.tell(&mut order, context);
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
    pub(crate) fn expire_keys(&self, context: &mut Context) -> bool {
        let scope = View::default().scope(context);
        let removed =
            self.with_keyspace(context, |keyspace, _| keyspace.expire(scope, EXPIRED_AT_ONCE_MAX));
        removed == EXPIRED_AT_ONCE_MAX
    }

    /// Returns the memory that keys and values take.
    pub(crate) fn key_bytes(&self) -> usize {
        self.shared.key_bytes.load(Ordering::Relaxed)
    }

    /// Tells of what has just changed.
    fn tell(&self, order: &mut Order, context: &mut Context) {
        self.shared.key_bytes.store(order.keyspace.bytes(), Ordering::Relaxed);
        if !order.keyspace.has_news() {
            return;
        }
        for news in order.keyspace.take_news() {
            match news {
                Notification::Event(event) => self.publish_event(order, context, &event),
                Notification::Invalidation(stale) if stale.to.worker == context.worker() => {
                    order.take_inbox(context);
                    context.take_in();
                    context.tell_stale(&stale);
                }
                Notification::Invalidation(stale) => {
                    let inbox = &mut order.inboxes[stale.to.worker.index()];
                    inbox.deliveries.push_stale(stale);
                    context.to_wake.extend(inbox.worker.take());
                }
            }
        }
    }

    fn publish_event(&self, order: &mut Order, context: &mut Context, event: &Event) {
        let classes = context.config.notify_keyspace_events;
        if classes.by_key() {
            self.publish_held(order, context, &event.key_channel(), event.name.as_bytes());
        }
        if classes.by_event() {
            self.publish_held(order, context, &event.event_channel(), &event.key);
        }
    }

    fn publish_held(
        &self,
        order: &mut Order,
        context: &mut Context,
        channel: &[u8],
        payload: &[u8],
    ) {
        let content = Content { kind: ChannelKind::Channels, channel, payload, shared: None };
        let fanout = self.forward(order, context, content);
        order.take_inbox(context);
        context.take_in();
        self.deliver(context, content, fanout);
    }
}

/// Milliseconds since 1970, which stand still within a transaction.
fn time(context: &Context) -> u64 {
    context.held.as_ref().map_or_else(now, |order| order.time)
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
