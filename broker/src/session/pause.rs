//! `CLIENT PAUSE`: requests that are held back for a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use locks::Mutex;

/// The pause of a server.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    is_active: AtomicBool,
    until: Mutex<Paused>,
}

/// The times until which requests are held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) all: Option<Instant>,
    pub(crate) writes: Option<Instant>,
}

impl Pause {
    /// Holds back all requests, or writes only, for some time.
    pub(crate) fn begin(&self, time: Duration, all: bool) {
        let until = Instant::now().checked_add(time);
        let mut paused = self.until.lock();
        let end = if all { &mut paused.all } else { &mut paused.writes };
        *end = (*end).max(until);
        self.is_active.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        *self.until.lock() = Paused::default();
        self.is_active.store(false, Ordering::Release);
    }

    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// Returns the time until which a request must wait; `None` if it may run.
    pub(crate) fn holds_back(&self, is_write: bool) -> Option<Instant> {
        if !self.is_active() {
            return None;
        }
        let mut until = self.until.lock();
        let paused = *until;
        let now = Instant::now();
        if paused.all.max(paused.writes).is_none_or(|end| end <= now) {
            // Under the lock, so that a pause that begins now is not lost.
            *until = Paused::default();
            self.is_active.store(false, Ordering::Release);
            return None;
        }
        let end = if is_write { paused.all.max(paused.writes) } else { paused.all };
        end.filter(|&end| end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_writes_lets_the_rest_through() {
        let pause = Pause::default();
        pause.begin(Duration::from_secs(60), false);
        assert!(pause.holds_back(true).is_some());
        assert!(pause.holds_back(false).is_none());
        pause.begin(Duration::from_secs(60), true);
        assert!(pause.holds_back(false).is_some());
        pause.end();
        assert!(pause.holds_back(true).is_none());
    }
}
