//! Everything but one: while a script runs, no worker runs a command.
//!
//! Each worker has a **gate**, which it passes once for all requests of a read. Whoever runs a
//! script shuts all gates and holds the order, so that workers wait before they begin, never in the
//! middle. They wait for as long as Redis would; then they go on without passing, and answer that
//! the server is busy. What needs the order meanwhile has to wait for the end of the script.
//!
//! Whoever shuts gates has left its own, and shuts them in one order, so that two cannot wait for
//! each other. Whoever holds the order never waits for a gate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{ArcMutexGuard, Mutex, RawMutex};

use super::{Broker, HeldOrder};
use crate::pubsub::subscribers::Context;

pub(crate) type Gate = Arc<Mutex<()>>;
type Passage = ArcMutexGuard<RawMutex, ()>;

/// The gates of a broker, and the script that has shut them.
#[derive(Default)]
pub(super) struct Exclusion {
    /// By the number of the worker.
    gates: Mutex<Vec<Gate>>,
    running: Mutex<Option<Arc<ScriptRun>>>,
    /// Those who wait for the end of the script.
    waiting: Mutex<Vec<Waker>>,
}

/// A script that runs, as others see it.
#[derive(Debug)]
pub(crate) struct ScriptRun {
    since: Instant,
    /// How long others wait before they say that the server is busy; for ever if there is none.
    patience: Option<Duration>,
    killed: AtomicBool,
    wrote: AtomicBool,
}

/// What one worker has of its gate and of others'.
#[derive(Default)]
pub(crate) struct Entrance {
    own: Gate,
    /// Held while the worker runs requests.
    inside: Option<Passage>,
    exclusive: Option<Exclusive>,
    /// Whether the worker goes on although it could not pass.
    pub(crate) is_busy: bool,
}

/// The right to run a script: nobody else runs anything while it lives.
pub(crate) struct Exclusive {
    exclusion: Arc<Exclusion>,
    order: Option<HeldOrder>,
    gates: Vec<Passage>,
    pub(crate) run: Arc<ScriptRun>,
}

/// Another script has been running for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy;

impl ScriptRun {
    /// Returns until when others wait.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.patience.and_then(|patience| self.since.checked_add(patience))
    }

    #[cfg(feature = "lua")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether others do not wait any longer.
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

    #[cfg(feature = "lua")]
    /// Notes that the script has changed something, so that it cannot be ended in the middle.
    pub(crate) fn record_write(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_written(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }
}

impl Exclusion {
    /// Passes a gate, unless a script has shut it for too long.
    fn pass(&self, gate: &Gate) -> Option<Passage> {
        /// Somebody is about to begin a script, or to end one.
        const SOON: Duration = Duration::from_millis(1);

        loop {
            if let Some(passage) = gate.try_lock_arc() {
                return Some(passage);
            }
            let run = self.running.lock().clone();
            match run.map(|run| run.deadline()) {
                Some(None) => return Some(gate.lock_arc()),
                Some(Some(deadline)) => {
                    if let Some(passage) = gate.try_lock_arc_until(deadline) {
                        return Some(passage);
                    }
                    let running = self.running.lock().clone();
                    if running.is_some_and(|run| run.is_late()) {
                        return None;
                    }
                }
                None => {
                    if let Some(passage) = gate.try_lock_arc_for(SOON) {
                        return Some(passage);
                    }
                }
            }
        }
    }
}

impl Broker {
    /// Makes the gate of a worker.
    pub(super) fn open_gate(&self, index: usize) {
        let mut gates = self.shared.exclusion.gates.lock();
        if gates.len() <= index {
            gates.resize_with(index + 1, Gate::default);
        }
    }

    /// Returns a worker's way in.
    pub(crate) fn entrance(&self, index: usize) -> Entrance {
        let own = self.shared.exclusion.gates.lock()[index].clone();
        Entrance { own, ..Entrance::default() }
    }

    /// Passes the worker's gate; called before it takes the order. Waits while a script runs, for a
    /// time, and returns whether it has passed.
    pub(crate) fn enter(&self, context: &mut Context) -> bool {
        let entrance = &mut context.entrance;
        if entrance.inside.is_none() && entrance.exclusive.is_none() {
            entrance.inside = self.shared.exclusion.pass(&entrance.own);
            entrance.is_busy = entrance.inside.is_none();
        }
        !entrance.is_busy
    }

    /// Ends [`Broker::enter`].
    pub(crate) fn leave_gate(&self, context: &mut Context) {
        context.entrance.inside = None;
        if context.held.is_none() {
            context.wake();
        }
    }

    /// Returns once no script runs.
    pub(crate) fn poll_idle(&self, cx: &task::Context<'_>) -> Poll<()> {
        let exclusion = &self.shared.exclusion;
        let mut waiting = exclusion.waiting.lock();
        if exclusion.running.lock().is_none() {
            return Poll::Ready(());
        }
        waiting.push(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the script that runs.
    pub(crate) fn running_script(&self) -> Option<Arc<ScriptRun>> {
        self.shared.exclusion.running.lock().clone()
    }

    /// Shuts all gates and takes the order, for a script.
    pub(crate) fn exclude(&self, context: &mut Context) -> Result<(), Busy> {
        let exclusion = &self.shared.exclusion;
        context.entrance.inside = None;
        let all = exclusion.gates.lock().clone();
        let mut gates = Vec::with_capacity(all.len());
        for gate in &all {
            match exclusion.pass(gate) {
                Some(passage) => gates.push(passage),
                None => {
                    context.entrance.is_busy = true;
                    return Err(Busy);
                }
            }
        }
        let threshold = context.config.busy_reply_threshold;
        let run = Arc::new(ScriptRun {
            since: Instant::now(),
            patience: (!threshold.is_zero()).then_some(threshold),
            killed: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
        });
        *exclusion.running.lock() = Some(run.clone());
        self.hold(context);
        let exclusion = exclusion.clone();
        context.entrance.exclusive = Some(Exclusive { exclusion, order: None, gates, run });
        Ok(())
    }

    /// Ends [`Broker::exclude`], and stays inside.
    pub(crate) fn include(&self, context: &mut Context) {
        self.release(context);
        let own = usize::from(context.worker().0);
        if let Some(mut exclusive) = context.entrance.exclusive.take() {
            context.entrance.inside = Some(exclusive.gates.swap_remove(own));
        }
    }
}

#[cfg(feature = "lua")]
impl Context {
    /// Takes the right to run a script along, with the order.
    pub(crate) fn hand_over(&mut self) -> Option<Exclusive> {
        let mut exclusive = self.entrance.exclusive.take()?;
        exclusive.order = self.held.take();
        Some(exclusive)
    }

    /// Whether it has the right to run a script.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.entrance.exclusive.is_some()
    }

    /// Takes over what [`Context::hand_over`] gave.
    pub(crate) fn take_over(&mut self, mut exclusive: Exclusive) {
        self.held = exclusive.order.take();
        self.entrance.exclusive = Some(exclusive);
        self.entrance.is_busy = false;
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        self.order = None;
        *self.exclusion.running.lock() = None;
        self.gates.clear();
        let waiting = std::mem::take(&mut *self.exclusion.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Exclusive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").field("run", &self.run).finish_non_exhaustive()
    }
}
