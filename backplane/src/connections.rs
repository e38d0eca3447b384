//! The connections that are attached here, and the signals they listen by.
//!
//! Sending costs what its receivers cost: there is an index by signal. A connection that does not
//! take what it gets is closed and told so; nothing is skipped silently.
//!
//! One lock holds the connections and the store together. So a connection that comes back gets what
//! it missed and then what is new, without a hole and without anything twice. Whatever runs code of
//! others (a reader that is woken, a line of the log) does so when it is let go.

mod disconnect;
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
use self::mailbox::Mailbox;
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
    /// Those that were closed for being slow.
    slow: Counter,
    /// Where that is told: a connection may notice it on a task of the application's.
    span: Span,
}

/// What came of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) arrival: Arrival,
    /// To how many connections its messages were handed.
    pub(crate) receivers: usize,
}

impl Connections {
    pub(crate) fn new(history: History, slow: Counter, span: Span) -> Arc<Self> {
        let table = Mutex::new(Table::new(Store::new(history)));
        Arc::new(Self { table, slow, span })
    }

    /// Does what may close connections that are slow.
    fn with_table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let outcome = act(&mut table);
        let slow = table.take_slow();
        drop(table);
        slow.iter().for_each(|id| self.tell_slow(id));
        outcome
    }

    #[cold]
    fn tell_slow(&self, id: &str) {
        self.slow.inc();
        self.span.in_scope(|| warn!(connection = id, "closed a connection that fell behind"));
    }

    /// Attaches a connection. One that has the same id already is closed. After
    /// [`close`](Self::close) the new one is closed from the start.
    pub(crate) fn attach(&self, attachment: Attachment<'_>) -> ConnectionState {
        self.table.lock().attach(attachment)
    }

    /// Returns where a connection stands.
    pub(crate) fn position(&self, state: &ConnectionState) -> Option<u64> {
        // Nothing can be queued while the table is locked.
        let table = self.table.lock();
        match state.mailbox.is_empty() {
            true => table.position(&state.mailbox).or(state.position),
            false => state.position,
        }
    }

    /// Detaches a connection, unless another has its id now.
    pub(crate) fn detach(&self, mailbox: &Mailbox) {
        self.table.lock().detach(mailbox);
    }

    /// Returns false if no such connection is attached.
    pub(crate) fn join(&self, id: &str, signal: &str) -> bool {
        self.with_table(|table| table.join(id, signal))
    }

    /// Returns false if no such connection is attached.
    pub(crate) fn leave(&self, id: &str, signal: &str) -> bool {
        self.with_table(|table| table.leave(id, signal))
    }

    /// Queues what was left to the store.
    pub(crate) fn refill(&self, mailbox: &Mailbox) {
        self.with_table(|table| table.refill(mailbox));
    }

    /// Returns false if no such connection is attached.
    pub(crate) fn end(&self, id: &str, reason: Disconnect) -> bool {
        self.table.lock().remove(id, reason)
    }

    /// The others know of a connection that came back.
    pub(crate) fn announced(&self, place: &Attached) {
        self.table.lock().announced(place);
    }

    /// A connection came back on another server. It is closed here, unless it came back here since;
    /// returns where it is, if the other does not know that.
    pub(crate) fn attached_elsewhere(&self, elsewhere: &Attached) -> Option<Attached> {
        self.table.lock().attached_elsewhere(elsewhere)
    }

    pub(crate) fn is_attached(&self, id: &str) -> bool {
        self.table.lock().is_attached(id)
    }

    /// Judges the id of a payload, keeps its messages and hands them to those they are for.
    /// `delivered` says by its source to whom a message was handed out already.
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
            arrival
        });
        to_wake.into_iter().for_each(Waker::wake);
        Delivered { arrival, receivers }
    }

    /// Hands out a message that has no id, since the broker is away. Returns to how many, and who
    /// that were.
    pub(crate) fn deliver(&self, message: &Envelope) -> (usize, DeliveredMark) {
        let mut to_wake = Vec::new();
        let (receivers, delivered_to) =
            self.with_table(|table| (table.give(message, &mut to_wake), table.all()));
        to_wake.into_iter().for_each(Waker::wake);
        (receivers, delivered_to)
    }

    /// Takes note that what was sent at some time got this id: no connection that was attached
    /// before can have seen a later one. Returns those that the others should have been told of
    /// before that, and were not.
    pub(crate) fn heard(&self, sent: Instant, id: u64) -> Vec<Attached> {
        self.with_table(|table| {
            table.heard(sent, id);
            table.unannounced(sent)
        })
    }

    /// A message that was sent while the subscription stood has this id.
    pub(crate) fn await_from(&self, id: u64) {
        self.table.lock().await_from(id);
    }

    /// The subscription was away.
    pub(crate) fn resubscribed(&self) {
        self.table.lock().resubscribed();
    }

    /// Takes note that the counter went back, and gave out ids up to this, while the subscription
    /// was away. Returns what is missing, if that was not known.
    pub(crate) fn missed_after_reset(&self, to: u64) -> Option<Gap> {
        self.with_table(|table| table.missed_after_reset(to))
    }

    /// Returns the id that arrived last.
    pub(crate) fn last(&self) -> Option<u64> {
        self.table.lock().last()
    }

    /// Returns what room there is where it is worth waiting for.
    pub(crate) fn capacity(&self) -> Capacity {
        self.table.lock().capacity()
    }

    /// Returns how many are attached.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Closes all connections, and those to come.
    pub(crate) fn close(&self, reason: Disconnect) {
        self.table.lock().close(reason);
    }
}
