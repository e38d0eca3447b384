//! Payloads from the bus, on their way to the local connections.
//!
//! Any client may publish on the app's channel. So a malformed payload is counted and skipped, and
//! its id counts only if it is the next one. The id is classified first, so a duplicate has no effect.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use locks::Mutex;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tracing::{Span, debug, error, trace, warn};

use crate::acks::Acks;
use crate::ages::Ages;
use crate::bus::{Ids, Sink};
use crate::connections::{Capacity, Connections, Crowd, Disconnect, Source};
use crate::delivered_mark::DeliveredMark;
use crate::dialect::{Arrived, Attached, Change, Envelope, Item, Malformed, Signalr2};
use crate::event::{EVENTS_MAX, Event, Events, Gap};
use crate::guid::{Guid, guid};
use crate::health::HealthProbe;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::store::{Arrival, LEAP_MAX};

/// Receives the payloads of the bus.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) dialect: Signalr2,
    /// The sender's name in messages of this backplane.
    pub(crate) source: String,
    pub(crate) connections: Arc<Connections>,
    pub(crate) acks: Arc<Acks>,
    pub(crate) health_probe: HealthProbe,
    pub(crate) metrics: Metrics,
    /// `None` after the shutdown.
    events: Mutex<Option<broadcast::Sender<Event>>>,
    delivered: Mutex<Delivered>,
    patience: Mutex<Patience>,
    ages: Mutex<Ages>,
    /// How long a server of the app waits for the acknowledgement of a command.
    ack_timeout: Duration,
    /// Whether messages arrive, or missed ones are replayed before them.
    is_subscribed: AtomicBool,
    /// Messages of the backplane itself, for a task that sends them. Unbounded here: the queue of
    /// the bus limits them.
    outgoing: mpsc::UnboundedSender<Bytes>,
    /// Notified after a counter reset, to restore the counter.
    counter_reset: Notify,
}

/// The sources of locally delivered messages that have not arrived yet, with their marks.
#[derive(Debug, Default)]
struct Delivered {
    sources: HashMap<Guid, DeliveredMark>,
    order: VecDeque<Guid>,
}

/// More than the queue may hold during an outage.
const DELIVERED_MAX: usize = 65_536;

/// Interval between two checks of the capacity.
const CAPACITY_INTERVAL: Duration = Duration::from_millis(1);
/// An active reader takes at least one message within this time, even on a busy machine.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// Maximum wait for connections that read slowly.
const CAPACITY_TIMEOUT: Duration = Duration::from_millis(250);
/// Items that a reader takes in [`CAPACITY_INTERVAL`] if only the machine is busy. A client that reads
/// slowly takes fewer.
const TAKEN_MIN: usize = 16;

impl Receiver {
    /// Returns a receiver, and the messages that it wants to send.
    pub(crate) fn new(options: &Options, span: &Span) -> (Self, mpsc::UnboundedReceiver<Bytes>) {
        let Options { hub, history, probe_interval, ack_timeout, .. } = options;
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let metrics = Metrics::default();
        let receiver = Self {
            dialect: Signalr2::new(hub),
            source: guid(),
            connections: Connections::new(
                *history,
                metrics.slow.clone(),
                metrics.delivered.clone(),
                span.clone(),
            ),
            acks: Arc::default(),
            health_probe: HealthProbe::new(*probe_interval),
            metrics,
            events: Mutex::new(Some(broadcast::Sender::new(EVENTS_MAX))),
            delivered: Mutex::default(),
            patience: Mutex::default(),
            ages: Mutex::default(),
            ack_timeout: *ack_timeout,
            is_subscribed: AtomicBool::new(false),
            outgoing,
            counter_reset: Notify::new(),
        };
        (receiver, to_send)
    }

    fn take(&self, payload: &[u8], source: Source) -> bool {
        let Arrived { id, items, ticks } = match self.dialect.read(payload) {
            Ok(arrived) => arrived,
            Err(error) => {
                self.skip(&error, payload);
                // The next id was issued to this payload, so it is no gap. A foreign publisher may
                // write any other number.
                let next = self.connections.last().map(|last| last + 1);
                let Some(id) = Signalr2::id(payload).filter(|id| Some(*id) == next) else {
                    return true;
                };
                Arrived { id, items: Vec::new(), ticks: 0 }
            }
        };
        self.metrics.received.inc();
        let (mut messages, mut others) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match item {
                Ok(Item::Invocation(envelope)) => messages.push(envelope),
                Ok(other) => others.push(other),
                Err(error) => self.skip(&error, payload),
            }
        }
        let sources = self.delivered.lock().among(&messages);
        let delivered_to = |message: &Envelope| {
            let known = message.source.and_then(|source| sources.get(&source));
            known.copied().unwrap_or_default()
        };
        let arrival = self.connections.arrive(id, payload, source, messages, delivered_to);
        sources.keys().for_each(|source| self.delivered.lock().forget(*source));
        trace!(id, "message received");
        self.classify(id, arrival);
        if arrival.is_new() {
            let others = others.into_iter().filter(|item| !self.is_late(item, ticks, source));
            others.for_each(|item| self.act(id, item));
        }
        arrival.is_new()
    }

    /// Delivers messages locally during an outage, and records them, so that they are not delivered
    /// again when they arrive. Each body has its own source.
    pub(crate) fn deliver(&self, bodies: &[Bytes]) {
        let read = |body: &Bytes| self.dialect.read(&Signalr2::payload(0, body)).ok();
        for item in bodies.iter().filter_map(read).flat_map(|arrived| arrived.items) {
            let Ok(Item::Invocation(message)) = item else { continue };
            let (receivers, delivered_to) = self.connections.deliver(&message);
            self.delivered.lock().record(message.source, delivered_to);
            self.metrics.delivered_here.inc_by(receivers as u64);
        }
    }

    pub(crate) fn events(&self) -> Events {
        match &*self.events.lock() {
            Some(events) => Events::new(events.subscribe()),
            None => Events::ended(),
        }
    }

    /// Ends the events.
    pub(crate) fn end(&self) {
        *self.events.lock() = None;
    }

    fn skip(&self, error: &Malformed, payload: &[u8]) {
        self.metrics.unreadable.inc();
        debug!(%error, bytes = payload.len(), "skipped a malformed payload");
    }

    /// Logs, counts and reports the class of an id.
    fn classify(&self, id: u64, arrival: Arrival) {
        match arrival {
            Arrival::Next => {}
            Arrival::Implausible => {
                self.metrics.unreadable.inc();
                warn!(id, "skipped a payload with an implausible id");
            }
            Arrival::Duplicate => {
                self.metrics.duplicates.inc();
                debug!(id, "skipped a duplicate message");
            }
            Arrival::After(gap) => self.report_gap(gap),
            Arrival::Restarted { last, gap } => {
                self.metrics.restarts.inc();
                error!(last, id, "id counter was reset");
                self.counter_reset.notify_one();
                self.report(Event::Restarted { last, id });
                gap.into_iter().for_each(|gap| self.report_gap(gap));
            }
        }
    }

    fn report_gap(&self, gap: Gap) {
        self.metrics.gaps.inc();
        self.metrics.lost.inc_by(gap.count());
        warn!(from = gap.from, to = gap.to, "messages are missing");
        self.report(Event::Gap(gap));
    }

    pub(crate) fn report(&self, event: Event) {
        if let Some(events) = &*self.events.lock() {
            // There may be no receiver.
            let _ = events.send(event);
        }
    }

    /// Returns whether the sender of a replayed command has stopped waiting, and reported that no
    /// server answers. Records the clocks of senders otherwise.
    fn is_late(&self, item: &Item, ticks: i64, source: Source) -> bool {
        let now = Signalr2::ticks_now();
        match (item, source) {
            (Item::Command { source: from, connection_id, .. }, Source::Replay) => {
                let age = self.ages.lock().of(from, ticks, now);
                let is_late = age.is_some_and(|age| age > self.ack_timeout);
                if is_late {
                    debug!(
                        connection = connection_id,
                        ?age,
                        "skipped a command that came too late"
                    );
                }
                is_late
            }
            (
                Item::Probe { source: from, .. } | Item::Attached { source: from, .. },
                Source::Live,
            ) => {
                self.ages.lock().record(from, ticks, now);
                false
            }
            _ => false,
        }
    }

    /// Returns whether a message of this server may be delivered here before it has an id. While
    /// missed messages are replayed, it would overtake them.
    pub(crate) fn delivers_locally(&self) -> bool {
        !self.is_subscribed.load(Ordering::Relaxed)
    }

    fn act(&self, id: u64, item: Item) {
        match item {
            Item::Command { connection_id, change, ack, .. } => {
                if self.change(&connection_id, &change)
                    && let Some(command_id) = ack
                {
                    self.send(self.dialect.ack(&connection_id, &command_id));
                }
            }
            Item::Ack { command_id } => self.acks.acknowledge(&command_id),
            Item::Probe { source, number } if source == self.source => {
                if let Some((sent, round_trip)) = self.health_probe.returned(number) {
                    self.metrics.round_trips.observe(round_trip.as_secs_f64());
                    let unconfirmed = self.connections.probe_returned(sent, id);
                    unconfirmed.iter().for_each(|place| self.announce(place));
                }
            }
            Item::Attached { source, attached } if source == self.source => {
                self.connections.announced(&attached);
            }
            Item::Attached { attached, .. } => {
                if let Some(place) = self.connections.attached_elsewhere(&attached) {
                    self.announce(&place);
                }
            }
            Item::Reached { source, id } if source != self.source => {
                if let Some(gap) = self.connections.reached_elsewhere(id) {
                    self.report_gap(gap);
                }
            }
            Item::Probe { .. } | Item::Reached { .. } | Item::Foreign | Item::Invocation(_) => {}
        }
    }

    /// Announces the place of a reconnected connection to the other servers. An announcement
    /// without a round trip is repeated.
    pub(crate) fn announce(&self, place: &Attached) {
        debug!(connection = place.connection_id, "announced a reconnected connection");
        self.send(self.dialect.attached(&self.source, place));
    }

    /// Sends a message without waiting for the outcome.
    pub(crate) fn send(&self, body: Bytes) {
        // The task ends only with the backplane.
        let _ = self.outgoing.send(body);
    }

    /// Applies a change to a connection. Returns false if it is not attached here.
    pub(crate) fn change(&self, connection_id: &str, change: &Change) -> bool {
        match change {
            Change::Initialize => self.connections.is_attached(connection_id),
            Change::Join { signal } => self.connections.join(connection_id, signal),
            Change::Leave { signal } => self.connections.leave(connection_id, signal),
            Change::Abort => self.connections.end(connection_id, Disconnect::Aborted),
        }
    }
}

impl Sink for Receiver {
    fn misses_before(&self, payload: &[u8]) -> bool {
        let ids = self.connections.last().zip(Signalr2::id(payload));
        ids.is_some_and(|(last, id)| id > last + 1 && id <= last.saturating_add(LEAP_MAX))
    }

    fn recover(&self, payload: &[u8]) {
        if self.take(payload, Source::Replay) {
            self.metrics.recovered.inc();
        }
    }

    fn receive(&self, payload: &[u8]) -> bool {
        self.take(payload, Source::Live)
    }

    fn release(&self) {
        self.connections.release();
    }

    async fn wait_for_readers(&self) {
        if !self.connections.has_crowded() {
            return;
        }
        let begun = Instant::now();
        // Readers start to read when they are woken.
        let (mut until, mut is_common) = (begun + 2 * CAPACITY_INTERVAL, false);
        loop {
            let Crowd { capacity, taken, is_near_limit, is_most } = self.connections.crowd();
            let now = Instant::now();
            // If most connections are behind, or one reads fast, this process is behind. Otherwise
            // some clients read slowly, and the others wait for them only a little.
            is_common |= is_most || taken >= TAKEN_MIN;
            let limit = match is_common {
                true => CAPACITY_TIMEOUT,
                false => self.patience.lock().left(now),
            };
            if capacity == Capacity::Draining {
                until = now + READ_TIMEOUT;
            }
            if !is_near_limit || now >= until.min(begun + limit) {
                break;
            }
            self.connections.release();
            sleep(CAPACITY_INTERVAL).await;
        }
        if !is_common {
            self.patience.lock().spend(begun.elapsed());
        }
    }

    /// Waits for capacity in the mailboxes of all active readers, up to a limit. Replayed messages
    /// arrive faster than connections read, and the store may evict them before. Connections that
    /// do not read are not waited for.
    async fn wait_for_capacity(&self) {
        // Readers start to read when they are woken.
        yield_now().await;
        let begun = Instant::now();
        let mut read = begun;
        loop {
            let (capacity, now) = (self.connections.crowd().capacity, Instant::now());
            match capacity {
                Capacity::Enough | Capacity::Deferred => return,
                Capacity::Draining => read = now,
                Capacity::Full => {}
            }
            if now >= begun + CAPACITY_TIMEOUT || now >= read + READ_TIMEOUT {
                return;
            }
            sleep(CAPACITY_INTERVAL).await;
        }
    }

    fn resubscribed(&self) {
        self.is_subscribed.store(true, Ordering::Relaxed);
        self.connections.resubscribed();
    }

    fn unsubscribed(&self) {
        self.is_subscribed.store(false, Ordering::Relaxed);
    }

    fn run_began(&self, issued: u64) {
        let known = self.connections.run_began(issued);
        if known > 0 {
            self.send(self.dialect.reached(&self.source, known));
        }
    }
}

impl Ids for Receiver {
    fn missed_after_reset(&self, to: u64) {
        if let Some(gap) = self.connections.missed_after_reset(to) {
            self.report_gap(gap);
        }
    }

    async fn counter_reset(&self) {
        self.counter_reset.notified().await;
    }

    fn last_id(&self) -> Option<u64> {
        self.connections.last()
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// The time that all connections wait for a few slow ones: a quarter of a second, and then 2 % of the
/// time.
#[derive(Debug)]
struct Patience {
    spent: Duration,
    at: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        Self { spent: Duration::ZERO, at: Instant::now() }
    }
}

impl Patience {
    fn left(&mut self, now: Instant) -> Duration {
        let earned = now.duration_since(self.at) / 50;
        (self.spent, self.at) = (self.spent.saturating_sub(earned), now);
        CAPACITY_TIMEOUT.saturating_sub(self.spent)
    }

    fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

impl Delivered {
    fn record(&mut self, source: Option<Guid>, delivered_to: DeliveredMark) {
        let Some(source) = source else { return };
        if self.order.len() == DELIVERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sources.remove(&oldest);
        }
        self.order.push_back(source);
        self.sources.insert(source, delivered_to);
    }

    /// Returns the sources of the messages that were delivered locally.
    fn among(&self, messages: &[Envelope]) -> HashMap<Guid, DeliveredMark> {
        let known = messages.iter().filter_map(|message| {
            let source = message.source?;
            Some((source, *self.sources.get(&source)?))
        });
        known.collect()
    }

    /// Forgets a source: each message arrives once.
    fn forget(&mut self, source: Guid) {
        if self.sources.remove(&source).is_some() {
            while self.order.front().is_some_and(|oldest| !self.sources.contains_key(oldest)) {
                self.order.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::connections::Attachment;
    use crate::invocation::Invocation;
    use crate::target::Target;

    const MISSED: u64 = 3000;

    /// Returns a receiver, and payloads that it has missed.
    fn receiver() -> (Receiver, Vec<Bytes>) {
        let (receiver, _) = Receiver::new(&Options::default(), &Span::none());
        let invocation = Invocation::new("say", ["hi"]).unwrap();
        let source = || "another".to_owned();
        let bodies = receiver.dialect.invocation(source, &Target::all(), &invocation);
        let missed = (1..=MISSED).map(|id| Signalr2::payload(id, &bodies[0]));
        (receiver, missed.collect())
    }

    fn attach(receiver: &Receiver, id: &str) -> Connection {
        let signals = receiver.dialect.signals(id, None);
        let attachment = Attachment { id, user: None, signals, cursor: None };
        Connection::attach(&receiver.connections, attachment)
    }

    #[tokio::test]
    async fn a_replayed_command_without_a_waiting_sender_is_skipped() {
        let late =
            i64::try_from(Options::default().ack_timeout.as_millis() + 1000).unwrap() * 10_000;
        for (is_known, source, age, is_joined) in [
            (true, Source::Replay, late, false),
            (true, Source::Replay, late / 2, true),
            // The time of a live command is that of its own transport.
            (true, Source::Live, late, true),
            (false, Source::Replay, late, true),
        ] {
            let (receiver, _) = receiver();
            let connection = attach(&receiver, "c1");
            // The clock of the sender is an hour behind.
            let sent = |body: &Bytes, id, age: i64| {
                let ticks: i64 = Signalr2::ticks_now() - 36_000_000_000 - age;
                let mut payload = Signalr2::payload(id, body).to_vec();
                let start = payload.len() - 8;
                payload[start..].copy_from_slice(&ticks.to_le_bytes());
                payload
            };
            if is_known {
                receiver.receive(&sent(&receiver.dialect.probe("other", 1), 1, 0));
            }
            let change = Change::Join { signal: receiver.dialect.group_signal("room") };
            let command = receiver.dialect.command("other", "c1", "command", &change);
            receiver.take(&sent(&command, 2, age), source);
            assert_eq!(connection.groups().len(), usize::from(is_joined), "{is_known} {source:?}");
        }
    }

    #[test]
    fn messages_are_delivered_locally_only_without_a_subscription() {
        let (receiver, _) = receiver();
        assert!(receiver.delivers_locally());
        // Missed messages may be replayed from now on.
        receiver.resubscribed();
        assert!(!receiver.delivers_locally());
        receiver.unsubscribed();
        assert!(receiver.delivers_locally());
    }

    #[test]
    fn the_id_of_a_malformed_payload_is_no_gap() {
        let (receiver, payloads) = receiver();
        assert!(receiver.receive(&payloads[0]));
        assert!(receiver.receive(b"2 a word"));
        assert!(receiver.receive(b"no id"));
        assert!(receiver.receive(b"9 foreign"));
        assert!(receiver.receive(&payloads[2]));
        let Metrics { unreadable, lost, .. } = &receiver.metrics;
        assert_eq!((unreadable.get(), lost.get()), (3, 0));
    }

    /// Reads one message every two milliseconds.
    fn read_slowly(mut connection: Connection) -> tokio::task::JoinHandle<Disconnect> {
        tokio::spawn(async move {
            loop {
                match connection.recv().await {
                    Ok(_) => sleep(Duration::from_millis(2)).await,
                    Err(end) => return end,
                }
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_does_not_delay_the_others() {
        let (receiver, payloads) = receiver();
        let slow = read_slowly(attach(&receiver, "slow"));
        let mut others = ["a", "b", "c"].map(|id| attach(&receiver, id));
        let begun = Instant::now();
        for payload in &payloads {
            receiver.receive(payload);
            for other in &mut others {
                receiver.release();
                other.recv().await.unwrap();
            }
            receiver.wait_for_readers().await;
        }
        assert!(begun.elapsed() < 2 * CAPACITY_TIMEOUT, "{:?}", begun.elapsed());
        assert_eq!(slow.await.unwrap(), Disconnect::SlowConnection);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_closes_no_connection_of_a_process_that_is_behind() {
        let (receiver, payloads) = receiver();
        let readers: Vec<_> = (0..10).map(|id| attach(&receiver, &id.to_string())).collect();
        let reading = readers.into_iter().map(|mut reader| {
            tokio::spawn(async move {
                for _ in 0..MISSED {
                    reader.recv().await?;
                    sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, Disconnect>(())
            })
        });
        let reading: Vec<_> = reading.collect();
        for payload in &payloads {
            receiver.receive(payload);
            receiver.wait_for_readers().await;
        }
        receiver.release();
        for reader in reading {
            assert_eq!(reader.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_read_is_waited_for_once() {
        let (receiver, missed) = receiver();
        let (mut reads, mut does_not) = (attach(&receiver, "a"), attach(&receiver, "b"));
        let reading = tokio::spawn(async move {
            for _ in 0..MISSED {
                reads.recv().await.unwrap();
            }
        });
        let begun = Instant::now();
        for some in missed.chunks(500) {
            receiver.wait_for_capacity().await;
            some.iter().for_each(|payload| receiver.recover(payload));
        }
        reading.await.unwrap();
        assert!(begun.elapsed() <= READ_TIMEOUT + CAPACITY_INTERVAL, "{:?}", begun.elapsed());
        for _ in 0..MISSED {
            does_not.recv().await.unwrap();
        }
    }
}
