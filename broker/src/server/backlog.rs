//! The age of the oldest byte that a client has not read.
//!
//! A mark is an instant and the number of bytes that had been queued by then. The next byte waits
//! since the first mark beyond the bytes that the socket has taken. Marks are thinned out with
//! their age, so that a client of any age has few of them.
//!
//! Only clients with unread bytes have a backlog.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Marks of a client with unread bytes, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog(VecDeque<Mark>);

#[derive(Debug)]
struct Mark {
    at: Instant,
    /// The bytes that were queued by then, since the client has connected.
    queued: u64,
}

/// The bytes of a client, since it has connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) written: u64,
    pub(crate) queued: u64,
}

/// A mark is this part of the lag younger than the next one, so the lag is exact to an eighth.
const PARTS: u32 = 8;
/// Beyond so many marks, only the oldest one moves. It bounds the memory whatever the clock does.
const MARKS_MAX: usize = 256;

impl Backlog {
    /// Records the progress of a client, and returns since when its oldest unread byte waits.
    pub(crate) fn record(&mut self, now: Instant, progress: Progress) -> Option<Instant> {
        while self.0.front().is_some_and(|mark| mark.queued <= progress.written) {
            self.0.pop_front();
        }
        if progress.queued > progress.written && self.needs_mark(now) {
            self.0.push_back(Mark { at: now, queued: progress.queued });
        }
        self.0.front().map(|mark| mark.at)
    }

    fn needs_mark(&self, now: Instant) -> bool {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return true };
        let lag = now.saturating_duration_since(first.at);
        let spacing = (lag / PARTS).max(Duration::from_millis(1));
        self.0.len() < MARKS_MAX && now.saturating_duration_since(last.at) >= spacing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_the_oldest_unread_byte() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        let mut record = |millis, written, queued| {
            let now = start + Duration::from_millis(millis);
            let since = backlog.record(now, Progress { written, queued });
            since.map(|since| u64::try_from((now - since).as_millis()).unwrap())
        };
        assert_eq!(record(0, 10, 10), None);
        assert_eq!(record(100, 10, 20), Some(0));
        assert_eq!(record(200, 10, 30), Some(100));
        assert_eq!(record(1_000, 19, 30), Some(900));
        // The bytes of the first mark are written, so the second one counts.
        assert_eq!(record(1_100, 20, 30), Some(900));
        assert_eq!(record(1_200, 30, 30), None);
        assert_eq!(record(1_300, 30, 31), Some(0));
    }

    #[test]
    fn a_client_that_stays_behind_has_few_marks_and_an_exact_lag() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        // One byte a millisecond, of which each waits for a second and a half.
        for millis in 1..100_000_u64 {
            let now = start + Duration::from_millis(millis);
            let written = millis.saturating_sub(1_500);
            let since = backlog.record(now, Progress { written, queued: millis });
            let lag = now - since.unwrap();
            let exact = Duration::from_millis(millis - written - 1);
            assert!(lag <= exact && lag >= exact * 3 / 4, "{lag:?} {exact:?}");
            assert!(backlog.0.len() <= 60, "{}", backlog.0.len());
        }
    }
}
