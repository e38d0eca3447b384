//! Health probes.
//!
//! A lost subscription causes no error. So the backplane sends a probe through the broker at every
//! interval, and the probe must return on the subscription.

use std::collections::VecDeque;
use std::time::Duration;

use locks::Mutex;
use tokio::time::Instant;

use crate::metrics::ROUND_TRIPS;
use crate::state::State;

/// The health of a backplane.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// while !backplane.health().is_ready {
///     tokio::task::yield_now().await;
/// }
/// assert!(backplane.health().last_round_trip.is_some());
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Whether the broker is reachable.
    pub state: State,
    /// Whether the backplane is connected and a probe has returned within the last two intervals.
    pub is_ready: bool,
    /// The round-trip time of the last probe.
    pub last_round_trip: Option<Duration>,
    /// The round-trip times of all probes.
    pub round_trips: RoundTrips,
    /// The time since the last probe returned, if it exceeds two intervals.
    pub silent_for: Option<Duration>,
    /// Number of messages with an id that did not arrive, from any server. Probes and
    /// acknowledgements count too.
    pub lost: u64,
    /// Number of missed messages that were replayed by the broker.
    pub recovered: u64,
}

/// A histogram of round-trip times.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let round_trips = backplane.health().round_trips;
/// let slow = round_trips.buckets.iter().filter(|(bound, _)| bound.as_millis() > 100);
/// let count: u64 = slow.map(|(_, count)| count).sum();
/// assert_eq!(count, 0);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoundTrips {
    /// Upper bounds, each with the number of round trips up to it and above the previous bound. The
    /// last bound is `Duration::MAX`.
    pub buckets: Vec<(Duration, u64)>,
}

/// The probes of one backplane.
#[derive(Debug)]
pub(crate) struct HealthProbe {
    interval: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last_number: u64,
    /// Probes in flight, oldest first.
    under_way: VecDeque<Probe>,
    /// The time of the last return, or of the start.
    last_return: Instant,
    last_round_trip: Option<Duration>,
    counts: [u64; ROUND_TRIPS.len() + 1],
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u64,
    sent: Instant,
    /// Whether the broker has accepted it.
    is_taken: bool,
}

/// Maximum probes in flight. A broker may be late by as many intervals.
const UNDER_WAY_MAX: usize = 64;

impl HealthProbe {
    pub(crate) fn new(interval: Duration) -> Self {
        let inner = Inner {
            last_number: 0,
            under_way: VecDeque::new(),
            last_return: Instant::now(),
            last_round_trip: None,
            counts: Default::default(),
        };
        Self { interval, inner: Mutex::new(inner) }
    }

    /// Starts a probe, and returns its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.last_number += 1;
        let number = inner.last_number;
        if inner.under_way.len() == UNDER_WAY_MAX {
            inner.under_way.pop_front();
        }
        inner.under_way.push_back(Probe { number, sent: Instant::now(), is_taken: false });
        number
    }

    /// Returns the time since a probe returned.
    pub(crate) fn silence(&self) -> Duration {
        self.inner.lock().last_return.elapsed()
    }

    /// Records that the broker has accepted a probe.
    pub(crate) fn taken(&self, number: u64) {
        let mut inner = self.inner.lock();
        if let Some(probe) = inner.under_way.iter_mut().find(|probe| probe.number == number) {
            probe.is_taken = true;
        }
    }

    /// Records the return of a probe. Returns the time of its start, and its round-trip time.
    pub(crate) fn returned(&self, number: u64) -> Option<(Instant, Duration)> {
        let mut inner = self.inner.lock();
        let index = inner.under_way.iter().position(|probe| probe.number == number)?;
        let probe = inner.under_way[index];
        inner.under_way.drain(..=index);
        let round_trip = probe.sent.elapsed();
        inner.last_return = Instant::now();
        inner.last_round_trip = Some(round_trip);
        let seconds = round_trip.as_secs_f64();
        let bucket = ROUND_TRIPS.iter().position(|bound| seconds <= *bound);
        inner.counts[bucket.unwrap_or(ROUND_TRIPS.len())] += 1;
        Some((probe.sent, round_trip))
    }

    /// Returns whether an accepted probe has not returned within an interval. Reports each probe
    /// only once.
    pub(crate) fn is_overdue(&self) -> bool {
        let mut inner = self.inner.lock();
        let overdue = self.interval * 9 / 10;
        let is_late = |probe: &Probe| probe.is_taken && probe.sent.elapsed() >= overdue;
        let is_overdue = inner.under_way.iter().any(is_late);
        inner.under_way.iter_mut().for_each(|probe| probe.is_taken &= !is_late(probe));
        is_overdue
    }

    pub(crate) fn health(&self, state: State, lost: u64, recovered: u64) -> Health {
        let inner = self.inner.lock();
        let silence = inner.last_return.elapsed();
        let is_silent = silence >= 2 * self.interval;
        let bounds = ROUND_TRIPS.map(Duration::from_secs_f64).into_iter().chain([Duration::MAX]);
        Health {
            is_ready: state == State::Connected && inner.last_round_trip.is_some() && !is_silent,
            state,
            last_round_trip: inner.last_round_trip,
            round_trips: RoundTrips { buckets: bounds.zip(inner.counts).collect() },
            silent_for: is_silent.then_some(silence),
            lost,
            recovered,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn health(health_probe: &HealthProbe) -> Health {
        health_probe.health(State::Connected, 0, 0)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_once_a_probe_has_returned() {
        let health_probe = HealthProbe::new(INTERVAL);
        let number = health_probe.begin();
        assert!(!health(&health_probe).is_ready);
        advance(Duration::from_millis(2)).await;
        assert!(health_probe.returned(number + 1).is_none());
        let (_, round_trip) = health_probe.returned(number).unwrap();
        assert_eq!(round_trip, Duration::from_millis(2));
        let health = health(&health_probe);
        assert!(health.is_ready);
        assert_eq!(health.last_round_trip, Some(round_trip));
        let counted: Vec<_> =
            health.round_trips.buckets.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&(Duration::from_micros(2500), 1)]);
        assert!(health_probe.returned(number).is_none(), "it came twice");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_ready_after_two_silent_intervals() {
        let health_probe = HealthProbe::new(INTERVAL);
        health_probe.returned(health_probe.begin());
        advance(2 * INTERVAL - Duration::from_millis(1)).await;
        assert!(health(&health_probe).is_ready);
        advance(Duration::from_millis(1)).await;
        assert!(!health(&health_probe).is_ready);
        assert_eq!(health(&health_probe).silent_for, Some(2 * INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_taken_and_does_not_come_back_is_overdue_once() {
        let health_probe = HealthProbe::new(INTERVAL);
        health_probe.begin();
        let number = health_probe.begin();
        health_probe.taken(number);
        assert!(!health_probe.is_overdue());
        advance(INTERVAL).await;
        assert!(health_probe.is_overdue());
        assert!(!health_probe.is_overdue());
        assert!(health_probe.returned(number).is_some(), "late is better than never");
    }
}
