//! The drain of a server: all clients end, spread over a window, before the server does.

use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// The drain of a server, if there is one.
#[derive(Debug)]
pub(crate) struct Drain {
    window: watch::Sender<Option<Window>>,
    /// Notified when a client ends during a drain.
    client_ended: Notify,
}

/// The time over which the clients end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    begun: Instant,
    pub(crate) time: Duration,
}

/// The channel on which a server announces its drain, with the seconds as `{"seconds":5}`.
pub(crate) const CHANNEL: &str = "__broker__:draining";

impl Default for Drain {
    fn default() -> Self {
        Self { window: watch::Sender::new(None), client_ended: Notify::new() }
    }
}

impl Drain {
    /// Begins a drain, in place of one under way.
    pub(crate) fn begin(&self, time: Duration) {
        self.window.send_replace(Some(Window { begun: Instant::now(), time }));
    }

    /// Ends the drain, so that the clients that are left stay. Returns whether there was one.
    pub(crate) fn cancel(&self) -> bool {
        self.window.send_if_modified(|window| window.take().is_some())
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.window.borrow().is_some()
    }

    /// Returns the present drain and the later ones.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Window>> {
        self.window.subscribe()
    }

    /// Records that a client has ended.
    pub(crate) fn client_ended(&self) {
        if self.is_under_way() {
            self.client_ended.notify_one();
        }
    }

    /// Waits until another client ends.
    pub(crate) async fn next_end(&self) {
        self.client_ended.notified().await;
    }
}

impl Window {
    /// Returns the end of the window.
    pub(crate) fn end(&self) -> Instant {
        self.begun + self.time
    }

    /// Returns the moment of one of `count` clients. Their moments have about equal distances;
    /// `chance` moves each of them within its part of the window.
    pub(crate) fn moment(&self, index: usize, count: usize, chance: u32) -> Instant {
        let part = self.time.as_secs_f64() / count.max(1) as f64;
        let at = part * (index as f64 + f64::from(chance) / f64::from(u32::MAX));
        self.begun + Duration::from_secs_f64(at).min(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_over_the_window() {
        let window = Window { begun: Instant::now(), time: Duration::from_secs(10) };
        for count in [1, 2, 10, 1_000] {
            let moment = |index, chance| window.moment(index, count, chance) - window.begun;
            let part = window.time / u32::try_from(count).unwrap();
            for index in 0..count {
                let begin = part * u32::try_from(index).unwrap();
                let near = |time: Duration, expected: Duration| {
                    time.abs_diff(expected) < Duration::from_micros(1)
                };
                assert!(near(moment(index, 0), begin));
                assert!(near(moment(index, u32::MAX), begin + part));
            }
        }
        assert_eq!(window.moment(0, 0, u32::MAX), window.end());
    }

    #[test]
    fn a_drain_is_replaced_and_cancelled() {
        let drain = Drain::default();
        assert!(!drain.is_under_way() && !drain.cancel());
        let mut changes = drain.changes();
        for seconds in [5, 1] {
            drain.begin(Duration::from_secs(seconds));
            let window = changes.borrow_and_update().map(|window| window.time);
            assert_eq!(window, Some(Duration::from_secs(seconds)));
        }
        assert!(drain.is_under_way() && drain.cancel());
        assert_eq!(*changes.borrow_and_update(), None);
    }
}
