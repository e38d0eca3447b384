//! The event loops of the workers: their turns and the time that these take.
//!
//! The runtime of a worker counts both for itself, so a turn costs nothing more. A turn lasts from
//! the end of one wait for events to the next wait.

use std::time::Duration;

use locks::Mutex;
use tokio::runtime::RuntimeMetrics;

/// The loops of all workers of a server.
#[derive(Debug, Default)]
pub(crate) struct EventLoops(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    workers: Vec<RuntimeMetrics>,
    /// The figures at the last reset.
    base: Turns,
}

/// A number of turns and their time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turns {
    pub(crate) count: u64,
    pub(crate) time: Duration,
}

impl EventLoops {
    /// Adds the loop of a worker.
    pub(crate) fn add(&self, worker: RuntimeMetrics) {
        self.0.lock().workers.push(worker);
    }

    /// Returns the turns since the start or the last reset.
    pub(crate) fn turns(&self) -> Turns {
        let State { workers, base } = &*self.0.lock();
        let all = sum(workers);
        Turns {
            count: all.count.saturating_sub(base.count),
            time: all.time.saturating_sub(base.time),
        }
    }

    /// Returns the time of the turns of each worker, since the start.
    #[cfg(feature = "http")]
    pub(crate) fn busy(&self) -> Vec<Duration> {
        self.0.lock().workers.iter().map(|worker| worker.worker_total_busy_duration(0)).collect()
    }

    /// `CONFIG RESETSTAT`
    pub(crate) fn reset(&self) {
        let mut state = self.0.lock();
        state.base = sum(&state.workers);
    }
}

fn sum(workers: &[RuntimeMetrics]) -> Turns {
    // The runtime of a worker has one thread.
    Turns {
        count: workers.iter().map(|worker| worker.worker_park_count(0)).sum(),
        time: workers.iter().map(|worker| worker.worker_total_busy_duration(0)).sum(),
    }
}
