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
mod index;
#[cfg(all(test, shuttle))]
mod interleavings;
mod mailbox;
mod queued;
mod run;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ::dialect::aspnetcore::Channel;
use locks::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tracing::{Span, warn};

pub use self::disconnect::Disconnect;
pub(crate) use self::mailbox::{Capacity, Mailbox, before};
pub(crate) use self::queued::Queued;
pub use self::run::Run;
use self::table::Table;
pub(crate) use self::table::{Attachment, ConnectionState, Crowd, Found, Source};
use crate::delivered_mark::DeliveredMark;
use crate::dialect::{Attached, Envelope, Signalr2};
use crate::event::Gap;
use crate::interest::Interest;
use crate::membership::Membership;
use crate::options::History;
use crate::store::{Arrival, Store};

/// All connections of one backplane.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    /// Number of connections closed for falling behind.
    slow: Counter,
    /// Number of messages handed out, once for each connection.
    delivered: Counter,
    /// Whether the table lists a crowded queue. Written under the lock, and read without it.
    has_crowded: AtomicBool,
    /// The reasons of aborted connections for their clients, by the number of the connection. Locked
    /// after the table.
    abort_reasons: Mutex<HashMap<u64, Arc<str>>>,
    /// The prefix of all channels, in a dialect with channels as signals.
    channel_prefix: OnceLock<String>,
    /// The span for their log events, which may happen on a task of the application.
    span: Span,
}

impl Connections {
    pub(crate) fn new(
        history: History,
        slow: Counter,
        delivered: Counter,
        span: Span,
    ) -> Arc<Self> {
        let table = Mutex::new(Table::new(Store::new(history)));
        let (has_crowded, abort_reasons) = (AtomicBool::new(false), Mutex::default());
        let channel_prefix = OnceLock::new();
        Arc::new(Self { table, slow, delivered, has_crowded, abort_reasons, channel_prefix, span })
    }

    /// Reports the signals that have connections to `interest`. Call it before any attachment.
    pub(crate) fn follow(&self, interest: Arc<Interest>) {
        self.table.lock().follow(interest);
    }

    /// Reports the members of signals to `membership`. Call it before any attachment.
    pub(crate) fn report_members(&self, membership: Arc<Membership>) {
        self.table.lock().report_members(membership);
    }

    /// Sets that signals are channels, whose names begin with this prefix.
    pub(crate) fn use_channels(&self, prefix: &str) {
        self.channel_prefix.get_or_init(|| prefix.to_owned());
    }

    /// Returns the group of a signal as the name of its hub, a dot and the name of the group.
    pub(crate) fn group_of(&self, signal: &str) -> Option<String> {
        let Some(prefix) = self.channel_prefix.get() else {
            return Signalr2::group_of(signal).map(str::to_owned);
        };
        match signal.strip_prefix(prefix.as_str()).and_then(Channel::parse) {
            Some((hub, Channel::Group(group))) => Some(format!("{hub}.{group}")),
            _ => None,
        }
    }

    pub(crate) fn interest(&self) -> Option<Arc<Interest>> {
        self.table.lock().interest()
    }

    /// Delivers the messages that have arrived, then calls `act`, as [`apply`](Self::apply) does.
    fn with_table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        self.apply(|table| {
            table.end_run();
            act(table)
        })
    }

    /// Calls `act`, then wakes the readers, and logs the connections that it closed for falling
    /// behind.
    fn apply<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let outcome = act(&mut table);
        let effects = table.take_effects();
        self.has_crowded.store(table.has_crowded(), Ordering::Relaxed);
        drop(table);
        self.delivered.inc_by(effects.receivers as u64);
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
        self.with_table(|table| state.position_in(table))
    }

    /// Returns the position of a connection, without regard to messages for others.
    pub(crate) fn own_position(&self, state: &ConnectionState) -> Option<u64> {
        // All messages of a payload are queued while the table is locked once.
        self.with_table(|_| state.mailbox.position_before_next(state.position))
    }

    /// Detaches a connection, and returns its signals and the id up to which it has received all of
    /// its messages. `within_run` is that id if some of a run are unread. Returns `None` if the
    /// connection has ended before.
    pub(crate) fn hand_over(
        &self,
        state: &ConnectionState,
        within_run: Option<Option<u64>>,
    ) -> Option<(Vec<Arc<str>>, Option<u64>)> {
        self.with_table(|table| {
            let signals = table.has(&state.mailbox).then(|| table.signals(&state.mailbox))?;
            let position = within_run.unwrap_or_else(|| state.position_in(table));
            table.detach(&state.mailbox);
            Some((signals, position))
        })
    }

    /// Detaches a connection, unless another one has taken its id.
    pub(crate) fn detach(&self, mailbox: &Mailbox) {
        self.with_table(|table| table.detach(mailbox));
        self.abort_reasons.lock().remove(&mailbox.number);
    }

    /// Returns the connections with one of these signals, except some ids.
    pub(crate) fn find(&self, signals: &[String], except: &[String]) -> Vec<Found> {
        self.with_table(|table| table.find(signals, except))
    }

    /// Ends the connections of [`find`](Self::find), with a reason for their clients. Returns their
    /// number.
    pub(crate) fn abort(&self, signals: &[String], except: &[String], reason: &str) -> usize {
        let reason: Arc<str> = reason.into();
        self.with_table(|table| {
            let found = table.find(signals, except);
            for one in &found {
                self.abort_reasons.lock().insert(one.number, reason.clone());
                table.remove(&one.id, Disconnect::Aborted);
            }
            found.len()
        })
    }

    /// Removes the connections of [`find`](Self::find) from all signals with a prefix. Returns their
    /// number.
    pub(crate) fn leave_all(&self, signals: &[String], except: &[String], prefix: &str) -> usize {
        self.with_table(|table| {
            let found = table.find(signals, except);
            for one in &found {
                let left = one.signals.iter().filter(|signal| signal.starts_with(prefix));
                left.for_each(|signal| _ = table.leave(&one.id, signal));
            }
            found.len()
        })
    }

    /// Returns why a connection was aborted.
    pub(crate) fn abort_reason(&self, mailbox: &Mailbox) -> Option<Arc<str>> {
        self.abort_reasons.lock().get(&mailbox.number).cloned()
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
        self.with_table(|table| table.mark(mailbox, at));
    }

    /// Ends a connection. Returns false if it is not attached here.
    pub(crate) fn end(&self, id: &str, reason: Disconnect) -> bool {
        self.with_table(|table| table.remove(id, reason))
    }

    /// Records that the announcement of a connection completed its round trip.
    pub(crate) fn announced(&self, place: &Attached) {
        self.with_table(|table| table.announced(place));
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
    ///
    /// Small messages may wait for others, at most until [`release`](Self::release).
    pub(crate) fn arrive(
        &self,
        id: u64,
        payload: &[u8],
        source: Source,
        messages: Vec<Envelope>,
        delivered: impl Fn(&Envelope) -> DeliveredMark,
    ) -> Arrival {
        self.apply(|table| {
            let arrival = table.arrive(id, payload, source);
            if arrival.is_new() {
                for message in messages {
                    let delivered_to = delivered(&message);
                    table.take(message, delivered_to, source);
                }
            }
            table.release_marks();
            arrival
        })
    }

    /// Delivers the messages that wait for others.
    pub(crate) fn release(&self) {
        self.with_table(|_| ());
    }

    /// Returns whether a connection has more unread messages than half of the limit, or had at the
    /// last look.
    pub(crate) fn has_crowded(&self) -> bool {
        self.has_crowded.load(Ordering::Relaxed)
    }

    /// Delivers a message without an id, since the broker is unreachable. Returns the number of
    /// receivers, and the mark for its later arrival.
    pub(crate) fn deliver(&self, message: &Envelope) -> (usize, DeliveredMark) {
        self.with_table(|table| (table.give(message), table.all()))
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
        self.with_table(Table::resubscribed);
    }

    /// Records that the next message is the first one of another run of the broker, and that the last
    /// run has issued `issued`. Returns the last id that is known of that run.
    pub(crate) fn run_began(&self, issued: u64) -> u64 {
        self.table.lock().run_began(issued)
    }

    /// Records that another server knows an id of the broker's last run. Returns the ids that are
    /// missing here, as far as that was unknown.
    pub(crate) fn reached_elsewhere(&self, id: u64) -> Option<Gap> {
        self.with_table(|table| table.reached_elsewhere(id))
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

    /// Looks at the crowded connections. Messages that wait for others go on waiting.
    pub(crate) fn crowd(&self) -> Crowd {
        self.apply(Table::crowd)
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
