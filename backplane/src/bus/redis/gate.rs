//! When queued messages may leave.
//!
//! A message reaches the servers that are subscribed when it is published. After an outage, each
//! server subscribes again at its own time. A message that leaves earlier is accepted by the broker
//! and lost to the late servers.
//!
//! So the gate opens when the subscription of this server is confirmed. After a long absence, or on
//! another process of the broker, it also waits until the channel has as many subscribers as
//! before, up to a limit. Servers of SignalR 2 take up to 4 s.
//!
//! The gate reads no clock: its callers pass the time.

use std::time::Duration;

use locks::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
    /// Notified when the subscription is confirmed.
    subscribed: Notify,
}

#[derive(Debug)]
struct Inner {
    is_subscribed: bool,
    /// Number of subscribers of the channel at the last count.
    subscribers: u64,
    /// Number of subscribers to wait for.
    expected: u64,
    passage: Passage,
}

/// Whether messages may leave, apart from the own subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passage {
    Open,
    /// A connection is or was lost since then.
    Lost(Instant),
    /// All subscribers of the channel are lost: the broker is another process.
    AllLost,
    /// Waits for the other subscribers until then.
    Counting(Instant),
}

/// The next step of a caller that wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send,
    /// Wait for [`Gate::subscribed`].
    Wait,
    /// Count the subscribers, and call [`Gate::counted`].
    Count,
}

/// After a shorter absence, the other servers are still subscribed.
const SHORT: Duration = Duration::from_secs(1);
/// Maximum wait for the other subscribers.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Interval between two counts while the gate waits, and while it is open.
pub(super) const COUNT_INTERVAL: Duration = Duration::from_millis(50);
pub(super) const OPEN_COUNT_INTERVAL: Duration = Duration::from_secs(1);

impl Gate {
    /// Returns a gate before the first connection.
    pub(super) fn new(now: Instant) -> Self {
        let passage = Passage::Lost(now);
        let inner = Inner { is_subscribed: false, subscribers: 0, expected: 0, passage };
        Self { inner: Mutex::new(inner), subscribed: Notify::new() }
    }

    /// Returns whether messages may leave now.
    pub(super) fn is_open(&self) -> bool {
        let inner = self.inner.lock();
        inner.is_subscribed && inner.passage == Passage::Open
    }

    /// Records that one of the connections was lost. `since` is the last sign of life.
    pub(super) fn lost(&self, since: Instant) {
        let mut inner = self.inner.lock();
        match inner.passage {
            Passage::Open => {
                inner.expected = inner.subscribers;
                inner.passage = Passage::Lost(since);
            }
            // The wait begins again with the next connection.
            Passage::Counting(_) => inner.passage = Passage::AllLost,
            Passage::Lost(_) | Passage::AllLost => {}
        }
    }

    /// Records that the broker is another process, without any of the subscribers.
    pub(super) fn server_changed(&self) {
        self.inner.lock().passage = Passage::AllLost;
    }

    /// Records that the subscription was lost.
    pub(super) fn unsubscribed(&self, since: Instant) {
        self.inner.lock().is_subscribed = false;
        self.lost(since);
    }

    /// Records that the subscription is confirmed.
    pub(super) fn confirmed(&self) {
        self.inner.lock().is_subscribed = true;
        self.subscribed.notify_one();
    }

    /// Waits until the subscription is confirmed. Cancel safe.
    pub(super) async fn subscribed(&self) {
        while !self.inner.lock().is_subscribed {
            self.subscribed.notified().await;
        }
    }

    /// Returns the next step of the caller, which has a connection for commands.
    pub(super) fn step(&self, now: Instant) -> Step {
        let mut inner = self.inner.lock();
        if !inner.is_subscribed {
            return Step::Wait;
        }
        match inner.passage {
            Passage::Lost(since) if now.duration_since(since) < SHORT => {
                inner.passage = Passage::Open;
            }
            Passage::Lost(_) | Passage::AllLost => {
                inner.passage = Passage::Counting(now + WAIT_MAX)
            }
            Passage::Counting(until) if now >= until => inner.passage = Passage::Open,
            Passage::Open | Passage::Counting(_) => {}
        }
        match inner.passage {
            Passage::Open => Step::Send,
            _ => Step::Count,
        }
    }

    /// Records the number of subscribers, or `None` if the server does not report it.
    pub(super) fn counted(&self, subscribers: Option<u64>) {
        let mut inner = self.inner.lock();
        let is_complete = subscribers.is_none_or(|subscribers| subscribers >= inner.expected);
        inner.subscribers = subscribers.unwrap_or_default();
        if matches!(inner.passage, Passage::Counting(_)) && is_complete {
            inner.passage = Passage::Open;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns a gate that is open, with three subscribers.
    fn open(now: Instant) -> Gate {
        let gate = Gate::new(now);
        gate.confirmed();
        assert_eq!(gate.step(now), Step::Send);
        gate.counted(Some(3));
        assert!(gate.is_open());
        gate
    }

    #[test]
    fn the_gate_is_closed_without_the_own_subscription() {
        let now = Instant::now();
        let gate = Gate::new(now);
        assert_eq!(gate.step(now), Step::Wait);
        let gate = open(now);
        gate.unsubscribed(now);
        assert_eq!(gate.step(now), Step::Wait);
        gate.confirmed();
        assert!(!gate.is_open());
        assert_eq!(gate.step(now), Step::Send);
    }

    #[test]
    fn after_a_long_absence_the_gate_waits_for_the_other_subscribers() {
        let now = Instant::now();
        let gate = open(now);
        gate.lost(now);
        assert_eq!(gate.step(now + SECOND), Step::Count);
        gate.counted(Some(2));
        assert_eq!(gate.step(now + SECOND), Step::Count);
        gate.counted(Some(3));
        assert_eq!(gate.step(now + SECOND), Step::Send);
    }

    #[test]
    fn a_loss_during_the_wait_does_not_shorten_it() {
        let now = Instant::now();
        let gate = open(now);
        gate.lost(now);
        assert_eq!(gate.step(now + SECOND), Step::Count);
        gate.counted(Some(1));
        gate.unsubscribed(now + SECOND);
        gate.confirmed();
        assert_eq!(gate.step(now + SECOND), Step::Count);
        gate.counted(Some(2));
        assert_eq!(gate.step(now + SECOND), Step::Count);
    }

    #[test]
    fn the_wait_is_limited() {
        let now = Instant::now();
        let gate = open(now);
        gate.lost(now);
        assert_eq!(gate.step(now + SECOND), Step::Count);
        gate.counted(Some(2));
        assert_eq!(gate.step(now + SECOND + WAIT_MAX), Step::Send);
        // The subscriber that is gone for good is not awaited again.
        gate.lost(now + 2 * WAIT_MAX);
        assert_eq!(gate.step(now + 3 * WAIT_MAX), Step::Count);
        gate.counted(Some(2));
        assert!(gate.is_open());
    }

    #[test]
    fn another_process_has_no_subscribers_even_after_a_short_absence() {
        let now = Instant::now();
        let gate = open(now);
        gate.lost(now);
        gate.server_changed();
        assert_eq!(gate.step(now), Step::Count);
        gate.counted(Some(1));
        assert_eq!(gate.step(now), Step::Count);
        gate.counted(Some(3));
        assert_eq!(gate.step(now), Step::Send);
    }

    #[test]
    fn a_server_that_does_not_count_is_not_waited_for() {
        let now = Instant::now();
        let gate = open(now);
        gate.server_changed();
        assert_eq!(gate.step(now), Step::Count);
        gate.counted(None);
        assert_eq!(gate.step(now), Step::Send);
    }
}
