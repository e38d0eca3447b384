//! The attached connections, their signals, and the recent messages.
//!
//! An index by signal makes the cost of a message proportional to its receivers. A connection that
//! falls behind is closed with a reason. No message is skipped silently.
//!
//! One lock protects the connections and the store. So a reconnecting connection receives the
//! missed messages and then the new ones, without gaps or duplicates. Foreign code (wakers and log
//! subscribers) runs after the release of the lock.

mod disconnect;
mod effects;
mod mailbox;
mod queued;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tracing::{Span, warn};

pub use self::disconnect::Disconnect;
pub(crate) use self::mailbox::Capacity;
pub(crate) use self::mailbox::Mailbox;
pub(crate) use self::queued::Queued;
use self::table::Table;
pub(crate) use self::table::{Attachment, ConnectionState, Source};
use crate::delivered_mark::DeliveredMark;
use crate::dialect::{Attached, Envelope};
use crate::event::Gap;
use crate::options::History;
use crate::store::{Arrival, Store};

/// All connections of one backplane.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    /// Number of connections closed for falling behind.
    slow: Counter,
    /// The span for their log events, which may happen on a task of the application.
    span: Span,
}

/// The result of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) arrival: Arrival,
    /// Number of connections that received its messages.
    pub(crate) receivers: usize,
}

impl Connections {
    pub(crate) fn new(history: History, slow: Counter, span: Span) -> Arc<Self> {
        let table = Mutex::new(Table::new(Store::new(history)));
        Arc::new(Self { table, slow, span })
    }

    /// Calls `act`, then wakes the readers, and logs the connections that it closed for falling
    /// behind.
    fn with_table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let outcome = act(&mut table);
        let effects = table.take_effects();
        drop(table);
        effects.apply().iter().for_each(|id| self.report_slow(id));
        outcome
    }

    #[cold]
    fn report_slow(&self, id: &str) {
        self.slow.inc();
        self.span.in_scope(|| warn!(connection = id, "closed a connection that fell behind"));
    }

    /// Attaches a connection. If another one has the same id, it ends. After
    /// [`close`](Self::close), the new connection ends immediately.
    pub(crate) fn attach(&self, attachment: Attachment<'_>) -> ConnectionState {
        self.with_table(|table| table.attach(attachment))
    }

    /// Returns the id up to which a connection has received all of its messages.
    pub(crate) fn position(&self, state: &ConnectionState) -> Option<u64> {
        // No item can be queued while the table is locked.
        let table = self.table.lock();
        match state.mailbox.is_empty() {
            true => table.position(&state.mailbox).or(state.position),
            false => state.position,
        }
    }

    /// Detaches a connection, unless another one has taken its id.
    pub(crate) fn detach(&self, mailbox: &Mailbox) {
        self.with_table(|table| table.detach(mailbox));
    }

    /// Adds a connection to a signal. Returns false if the connection is not attached here.
    pub(crate) fn join(&self, id: &str, signal: &str) -> bool {
        self.with_table(|table| table.join(id, signal))
    }

    /// Removes a connection from a signal. Returns false if the connection is not attached here.
    pub(crate) fn leave(&self, id: &str, signal: &str) -> bool {
        self.with_table(|table| table.leave(id, signal))
    }

    /// Returns the signals of a connection that is still attached.
    pub(crate) fn signals(&self, mailbox: &Mailbox) -> Vec<Arc<str>> {
        self.table.lock().signals(mailbox)
    }

    /// Queues the next messages of a connection whose messages are deferred to the store.
    pub(crate) fn refill(&self, mailbox: &Mailbox) {
        self.with_table(|table| table.refill(mailbox));
    }

    /// Queues a mark behind all messages up to an id, once that id or a later one has arrived.
    pub(crate) fn mark(&self, mailbox: &Arc<Mailbox>, at: Option<u64>) {
        let mut to_wake = Vec::new();
        self.with_table(|table| table.mark(mailbox, at, &mut to_wake));
        to_wake.into_iter().for_each(Waker::wake);
    }

    /// Ends a connection. Returns false if it is not attached here.
    pub(crate) fn end(&self, id: &str, reason: Disconnect) -> bool {
        self.with_table(|table| table.remove(id, reason))
    }

    /// Records that the announcement of a connection completed its round trip.
    pub(crate) fn announced(&self, place: &Attached) {
        self.table.lock().announced(place);
    }

    /// Handles the announcement of another server for a connection. Ends the connection here,
    /// unless it was attached here more recently. Then returns its place here, to announce it
    /// again.
    pub(crate) fn attached_elsewhere(&self, elsewhere: &Attached) -> Option<Attached> {
        self.with_table(|table| table.attached_elsewhere(elsewhere))
    }

    pub(crate) fn is_attached(&self, id: &str) -> bool {
        self.table.lock().is_attached(id)
    }

    /// Classifies the id of a payload, stores its messages and delivers them. `delivered` returns
    /// the mark of a message that was delivered locally before.
    pub(crate) fn arrive(
        &self,
        id: u64,
        payload: &[u8],
        source: Source,
        messages: Vec<Envelope>,
        delivered: impl Fn(&Envelope) -> DeliveredMark,
    ) -> Delivered {
        let mut to_wake = Vec::new();
        let mut receivers = 0;
        let arrival = self.with_table(|table| {
            let arrival = table.arrive(id, payload, source);
            if arrival.is_new() {
                for message in messages {
                    let delivered_to = delivered(&message);
                    receivers += table.take(message, delivered_to, source, &mut to_wake);
                }
            }
            table.release_marks(&mut to_wake);
            arrival
        });
        to_wake.into_iter().for_each(Waker::wake);
        Delivered { arrival, receivers }
    }

    /// Delivers a message without an id, since the broker is unreachable. Returns the number of
    /// receivers, and the mark for its later arrival.
    pub(crate) fn deliver(&self, message: &Envelope) -> (usize, DeliveredMark) {
        let mut to_wake = Vec::new();
        let (receivers, delivered_to) =
            self.with_table(|table| (table.give(message, &mut to_wake), table.all()));
        to_wake.into_iter().for_each(Waker::wake);
        (receivers, delivered_to)
    }

    /// Records that a probe sent at `sent` got this id, so a connection attached before cannot have
    /// a later cursor. Returns the connections whose announcement from before then has not
    /// returned.
    pub(crate) fn probe_returned(&self, sent: Instant, id: u64) -> Vec<Attached> {
        self.with_table(|table| {
            table.probe_returned(sent, id);
            table.unannounced(sent)
        })
    }

    /// Records the id of a message that was sent while subscribed, so it should arrive.
    pub(crate) fn await_from(&self, id: u64) {
        self.table.lock().await_from(id);
    }

    /// Records that the subscription was interrupted.
    pub(crate) fn resubscribed(&self) {
        self.table.lock().resubscribed();
    }

    /// Records that a reset counter issued ids up to `to` while the subscription was interrupted.
    /// Returns the gap, unless it was reported before.
    pub(crate) fn missed_after_reset(&self, to: u64) -> Option<Gap> {
        self.with_table(|table| table.missed_after_reset(to))
    }

    /// Returns the id that arrived last.
    pub(crate) fn last(&self) -> Option<u64> {
        self.table.lock().last()
    }

    /// Returns the greatest capacity of all connections.
    pub(crate) fn capacity(&self) -> Capacity {
        self.table.lock().capacity()
    }

    /// Returns the number of attached connections.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Ends all connections, and those that are attached later.
    pub(crate) fn close(&self, reason: Disconnect) {
        self.with_table(|table| table.close(reason));
    }
}
