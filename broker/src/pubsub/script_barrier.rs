//! Stop-the-world barrier for scripts.
//!
//! Each worker has a [`Gate`], which it enters once for each poll of a connection, not for each
//! request. To run a script, a worker leaves its own gate, closes all gates and acquires the order:
//! [`StopTheWorld`]. The other workers then wait before they begin a turn, never within one. They
//! wait for `busy-reply-threshold`. After that the script is *late* and they begin turns without a
//! permit. They then run commands with the flag `AllowBusy`, or let them wait if they need the
//! order. All others get `BUSY`.
//!
//! A worker that waits still delivers the messages of the script to its clients, once they take much
//! memory: [`StopTheWorld::hand_over`]. So they count for the output limits of these clients.
//!
//! Invariant: a worker waits for a gate only without a permit of its own and without the order. It
//! closes gates in worker order, so two scripts cannot deadlock.

#![cfg_attr(not(feature = "lua"), allow(dead_code, reason = "only scripts stop the world"))]

use std::fmt;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use locks::atomic::{AtomicBool, Ordering};
use locks::{ArcMutexGuard, Condvar, Mutex, RawMutex};

use super::inbox::Offer;
use super::local::Local;
use super::order::{OrderGuard, OrderLock, OwnedOrder};
use super::shared::Shared;
use crate::ids::WorkerId;

type GateMutex = Arc<Mutex<()>>;
type Permit = ArcMutexGuard<RawMutex, ()>;

/// The gates of a broker, and the script that has closed them.
#[derive(Default)]
pub(super) struct ScriptBarrier {
    /// Indexed by worker.
    gates: Mutex<Vec<GateMutex>>,
    running: Mutex<Option<Arc<ScriptRun>>>,
    /// Tasks that wait for the end of the script.
    waiting: Mutex<Vec<Waker>>,
    /// Messages of the script that other workers are to deliver now.
    offers: Mutex<Vec<Offer>>,
    /// Notified when a worker has delivered its messages.
    delivered: Condvar,
}

/// A running script, as other threads see it.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    since: Instant,
    /// How long other workers wait before they report the server as busy; `None` is forever.
    patience: Option<Duration>,
    killed: AtomicBool,
    wrote: AtomicBool,
}

/// One worker's gate. Entering it begins a turn.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    own: GateMutex,
    worker: WorkerId,
}

/// A pass through a gate, for one poll of a connection or one piece of housekeeping. A worker
/// acquires the order only through it.
pub(crate) struct Turn<'g> {
    gate: &'g mut Gate,
    /// `None` while a script is late.
    permit: Option<Permit>,
}

/// Permission to run a script: all gates are closed and the order is held.
pub(crate) struct StopTheWorld {
    // Declared first: the order is released before the gates open.
    order: OwnedOrder,
    shared: Arc<Shared>,
    worker: WorkerId,
    gates: ClosedGates,
}

/// All gates, closed. Dropping them opens them, and wakes the tasks that wait.
struct ClosedGates {
    barrier: Arc<ScriptBarrier>,
    permits: Vec<Permit>,
    run: Arc<ScriptRun>,
}

/// A worker that waits for a gate delivers within milliseconds, and one that flushes soon after.
#[cfg(feature = "lua")]
const OFFER_TIME_MAX: Duration = Duration::from_millis(100);

/// Another script is late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy;

impl ScriptRun {
    fn new(threshold: Duration) -> Self {
        Self {
            since: Instant::now(),
            patience: (!threshold.is_zero()).then_some(threshold),
            killed: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
        }
    }

    /// Returns the time until which other workers wait.
    fn deadline(&self) -> Option<Instant> {
        self.patience.and_then(|patience| self.since.checked_add(patience))
    }

    #[cfg(feature = "lua")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns whether other workers have stopped waiting.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    #[cfg(feature = "lua")]
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Records that the script has changed data, so that `SCRIPT KILL` must not end it.
    #[cfg(feature = "lua")]
    pub(crate) fn record_write(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_written(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }
}

impl ScriptBarrier {
    /// Makes the gate of a worker, and returns its mutex.
    fn gate(&self, worker: WorkerId) -> GateMutex {
        let mut gates = self.gates.lock();
        if gates.len() <= worker.index() {
            gates.resize_with(worker.index() + 1, GateMutex::default);
        }
        gates[worker.index()].clone()
    }

    /// Waits for a gate. Returns `None` if a late script has closed it. Meanwhile the worker of
    /// `local` delivers the messages that the script offers.
    fn pass(&self, gate: &GateMutex, local: &mut Local) -> Option<Permit> {
        /// The time between two looks for an offer. No script may be registered yet, or any more.
        const INTERVAL: Duration = Duration::from_millis(1);

        loop {
            if let Some(permit) = gate.try_lock_arc() {
                return Some(permit);
            }
            self.take_offer(local);
            if self.running().is_some_and(|run| run.is_late()) {
                return None;
            }
            if let Some(permit) = gate.try_lock_arc_for(INTERVAL) {
                return Some(permit);
            }
        }
    }

    /// Delivers the messages that a script offers to the worker of `local`.
    fn take_offer(&self, local: &mut Local) {
        let mut offers = self.offers.lock();
        if let Some(own) = offers.iter().position(|offer| offer.to == local.worker()) {
            local.deliver(offers.swap_remove(own).deliveries);
            drop(offers);
            self.delivered.notify_one();
            local.after_release.run();
        }
    }

    /// Offers messages to workers, and waits until they have delivered them. Returns those that were
    /// not delivered in time.
    #[cfg(feature = "lua")]
    fn offer(&self, all: Vec<Offer>) -> Vec<Offer> {
        let deadline = Instant::now() + OFFER_TIME_MAX;
        let mut offers = self.offers.lock();
        *offers = all;
        // Workers look for an offer when they wait for a gate. While a script is late, none waits.
        self.wake_waiting();
        while !offers.is_empty() && !self.delivered.wait_until(&mut offers, deadline).timed_out() {}
        std::mem::take(&mut *offers)
    }

    /// Wakes the tasks that wait for the end of the script.
    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns ready once no script runs.
    pub(super) fn poll_idle(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if self.running.lock().is_none() {
            return Poll::Ready(());
        }
        waiting.push(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the script that runs.
    pub(super) fn running(&self) -> Option<Arc<ScriptRun>> {
        self.running.lock().clone()
    }
}

impl Gate {
    pub(super) fn new(shared: Arc<Shared>, worker: WorkerId) -> Self {
        let own = shared.barrier.gate(worker);
        Self { shared, own, worker }
    }

    /// Begins a turn of the worker of `local`. Waits while a script runs, until the script is late.
    pub(crate) fn enter(&mut self, local: &mut Local) -> Turn<'_> {
        let permit = self.shared.barrier.pass(&self.own, local);
        Turn { gate: self, permit }
    }
}

impl Turn<'_> {
    /// Returns whether a script is late, so that [`lock`](Self::lock) returns `None`.
    pub(crate) fn is_busy(&self) -> bool {
        self.permit.is_none()
    }

    /// Acquires the order; `None` while a script is late.
    pub(crate) fn lock(&mut self) -> Option<OrderLock<'_>> {
        self.permit.as_ref()?;
        Some(self.gate.shared.lock())
    }

    /// Leaves the own gate, closes all gates and acquires the order, for a script.
    ///
    /// # Errors
    ///
    /// [`Busy`] if another script is late. The turn then has no permit any more.
    pub(crate) fn stop_the_world(
        &mut self,
        local: &mut Local,
        threshold: Duration,
    ) -> Result<StopTheWorld, Busy> {
        self.permit = None;
        // A script of another worker may be waiting for one that this worker was to wake.
        local.after_release.run();
        let shared = &self.gate.shared;
        let all = shared.barrier.gates.lock().clone();
        let mut permits = Vec::with_capacity(all.len());
        for gate in &all {
            permits.push(shared.barrier.pass(gate, local).ok_or(Busy)?);
        }
        let run = Arc::new(ScriptRun::new(threshold));
        *shared.barrier.running.lock() = Some(run.clone());
        let gates = ClosedGates { barrier: shared.barrier.clone(), permits, run };
        let order = shared.lock_owned();
        Ok(StopTheWorld { order, shared: shared.clone(), worker: self.gate.worker, gates })
    }

    /// Ends a script: releases the order, opens the other gates, and keeps the own permit.
    pub(crate) fn resume(&mut self, world: StopTheWorld) {
        let StopTheWorld { order, worker, mut gates, .. } = world;
        debug_assert_eq!(worker, self.gate.worker, "a script ends on the worker that began it");
        drop(order);
        self.permit = Some(gates.permits.swap_remove(worker.index()));
    }
}

impl StopTheWorld {
    /// Returns the guard to pass down.
    pub(crate) fn guard(&mut self) -> OrderGuard<'_> {
        OrderGuard { order: &mut self.order, shared: &self.shared }
    }

    pub(crate) fn run(&self) -> &Arc<ScriptRun> {
        &self.gates.run
    }

    /// Lets all workers but one deliver the messages in their inboxes, although the script has not
    /// ended. Inboxes with fewer bytes stay, and those of workers that do not do so in time. Returns
    /// whether all have. `local` belongs to the script.
    #[cfg(feature = "lua")]
    pub(crate) fn hand_over(
        &mut self,
        except: WorkerId,
        bytes_min: usize,
        local: &mut Local,
    ) -> bool {
        local.after_release.wake_workers();
        let offers = self.guard().take_large(except, bytes_min, local);
        let left = self.gates.barrier.offer(offers);
        let all_taken = left.is_empty();
        left.into_iter().for_each(|offer| self.guard().put_back(offer));
        all_taken
    }
}

impl Drop for ClosedGates {
    fn drop(&mut self) {
        *self.barrier.running.lock() = None;
        self.permits.clear();
        self.barrier.wake_waiting();
    }
}

impl fmt::Debug for StopTheWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopTheWorld").field("run", &self.gates.run).finish_non_exhaustive()
    }
}
