//! The order: the one lock of a broker, and the guard that its holder passes down.
//!
//! The order serializes publishes, changes of subscriptions and commands on keys. This file alone
//! names the mutex. On a worker, only [`Turn::lock`](super::script_barrier::Turn::lock) and
//! [`Turn::stop_the_world`](super::script_barrier::Turn::stop_the_world) acquire it; programs in
//! this process do so through [`Broker`](super::Broker). All other code takes [`OrderGuard`] as an
//! argument, and so cannot acquire it a second time. Debug builds panic on a second acquisition.
//!
//! Invariant: no foreign code runs while the order is held. Wakers run and payloads are dropped
//! after the release, from [`AfterRelease`].

#![cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts stop the world"))]

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use locks::{ArcMutexGuard, Mutex, MutexGuard, RawMutex};

use super::fan_out::RoutingCache;
use super::inbox::Inbox;
use super::message::{Message, Published};
use super::occupancy::Occupancy;
use super::shared::Shared;
use crate::keyspace::Keyspace;
use crate::observe::clock::since_1970;
use crate::pubsub::patterns::Patterns;
use crate::pubsub::rates::ChannelRates;
use crate::pubsub::replay::Replay;
use crate::pubsub::replica_stream::ReplicaStream;

/// The state behind the order: one thread at a time may use it.
#[derive(Default)]
pub(super) struct Order {
    pub(super) patterns: Patterns,
    /// Indexed by worker, like the routing caches.
    pub(super) inboxes: Vec<Inbox>,
    pub(super) routes: Vec<RoutingCache>,
    pub(super) replay: Replay,
    pub(super) occupancy: Occupancy,
    /// The patterns of taps, without the start of their names.
    pub(super) taps: Patterns,
    /// Rates of channels, while they are requested.
    pub(super) rates: Option<ChannelRates>,
    /// Whether there are taps, rates or replicas, so that publishers look at one flag.
    pub(super) is_observed: bool,
    pub(super) keyspace: Keyspace,
    pub(super) replica_stream: ReplicaStream,
    /// The time since 1970, read once for each acquisition; `None` until it is needed.
    now: Option<Duration>,
}

/// The mutex around [`Order`].
#[derive(Default)]
pub(super) struct OrderMutex(Arc<Mutex<Order>>);

/// The order, acquired for one request or one piece of housekeeping.
pub(crate) struct OrderLock<'t> {
    order: Held<MutexGuard<'t, Order>>,
    shared: &'t Shared,
}

/// The order, acquired for a script and passed between its coroutine and its worker.
pub(super) type OwnedOrder = Held<ArcMutexGuard<RawMutex, Order>>;

/// Access to the order, which code that needs it takes as an argument.
pub(crate) struct OrderGuard<'a> {
    pub(super) order: &'a mut Order,
    pub(super) shared: &'a Shared,
}

/// Work that waits until the order is released, since it may run code of the program around the
/// broker. Dropping it performs the work.
#[derive(Debug, Default)]
pub(crate) struct AfterRelease {
    pub(super) wakers: Vec<Waker>,
    /// Workers with new deliveries.
    pub(super) workers: Vec<Waker>,
    pub(super) messages: Vec<Message>,
    pub(super) payloads: Vec<Arc<Published>>,
}

impl OrderMutex {
    /// Acquires the order; `shared` is the state that this mutex belongs to.
    pub(super) fn lock<'t>(&'t self, shared: &'t Shared) -> OrderLock<'t> {
        let mark = Mark::set();
        let mut order = Held { order: self.0.lock(), _mark: mark };
        order.now = None;
        OrderLock { order, shared }
    }

    /// Acquires the order for a script.
    pub(super) fn lock_owned(&self) -> OwnedOrder {
        let mark = Mark::set();
        let mut order = Held { order: self.0.lock_arc(), _mark: mark };
        order.now = None;
        order
    }
}

impl OrderLock<'_> {
    /// Returns the guard to pass down.
    pub(crate) fn guard(&mut self) -> OrderGuard<'_> {
        OrderGuard { order: &mut self.order, shared: self.shared }
    }
}

impl OrderGuard<'_> {
    /// Returns the time since 1970. It stands still while the order is held, so that all commands
    /// of a transaction or a script see the same time.
    pub(crate) fn time(&mut self) -> Duration {
        *self.order.now.get_or_insert_with(since_1970)
    }

    /// Returns the milliseconds of [`time`](Self::time).
    pub(crate) fn now(&mut self) -> u64 {
        u64::try_from(self.time().as_millis()).unwrap_or(u64::MAX)
    }
}

impl AfterRelease {
    /// Takes over the work of another.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.wakers.append(&mut other.wakers);
        self.workers.append(&mut other.workers);
        self.messages.append(&mut other.messages);
        self.payloads.append(&mut other.payloads);
    }

    /// Returns the number of payloads to drop.
    #[cfg(feature = "lua")]
    pub(crate) fn payload_count(&self) -> usize {
        self.payloads.len()
    }

    /// Drops the payloads after the first `kept` ones. They must belong to no other code than the
    /// broker's.
    #[cfg(feature = "lua")]
    pub(crate) fn drop_payloads(&mut self, kept: usize) {
        self.payloads.truncate(kept);
    }

    /// Wakes workers with new deliveries. These are threads of the broker, so the order may be held.
    #[cfg(feature = "lua")]
    pub(crate) fn wake_workers(&mut self) {
        self.workers.drain(..).for_each(Waker::wake);
    }

    /// Wakes tasks and drops payloads. The order must not be held.
    pub(crate) fn run(&mut self) {
        self.workers.drain(..).for_each(Waker::wake);
        self.wakers.drain(..).for_each(Waker::wake);
        self.messages.clear();
        self.payloads.clear();
    }
}

impl Drop for AfterRelease {
    fn drop(&mut self) {
        self.run();
    }
}

/// A lock guard that marks its thread in debug builds.
pub(super) struct Held<G> {
    order: G,
    _mark: Mark,
}

impl<G: Deref> Deref for Held<G> {
    type Target = G::Target;

    fn deref(&self) -> &Self::Target {
        &self.order
    }
}

impl<G: DerefMut> DerefMut for Held<G> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.order
    }
}

use self::mark::Mark;

#[cfg(debug_assertions)]
mod mark {
    //! Marks the thread that holds the order, so that a second acquisition panics instead of
    //! waiting for itself forever.

    use std::cell::Cell;

    use locks::thread_local;

    thread_local!(static HOLDS: Cell<bool> = const { Cell::new(false) });

    pub(super) struct Mark;

    impl Mark {
        pub(super) fn set() -> Self {
            let holds = HOLDS.with(|holds| holds.replace(true));
            assert!(!holds, "this thread holds the order already");
            Self
        }
    }

    impl Drop for Mark {
        fn drop(&mut self) {
            HOLDS.with(|holds| holds.set(false));
        }
    }
}

#[cfg(not(debug_assertions))]
mod mark {
    //! Costs nothing in release builds.

    pub(super) struct Mark;

    impl Mark {
        pub(super) fn set() -> Self {
            Self
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pubsub::shared::Shared;

    #[test]
    #[should_panic(expected = "holds the order already")]
    #[cfg(debug_assertions)]
    fn a_second_acquisition_panics_in_debug_builds() {
        let shared = Shared::default();
        let _first = shared.lock();
        let _second = shared.lock();
    }

    #[test]
    fn time_stands_still_while_the_order_is_held() {
        let shared = Shared::default();
        let mut lock = shared.lock();
        let first = lock.guard().now();
        std::thread::yield_now();
        assert_eq!(lock.guard().now(), first);
    }
}
