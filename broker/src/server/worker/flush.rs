//! The end of a turn: writes every outbox with new bytes.
//!
//! A flush of many outboxes has several parts, and other tasks run in a pause after each part.
//! Messages that arrive meanwhile join the outboxes that are still to be written, and two messages
//! in one write cost little more than one. So there are fewer writes the faster messages arrive,
//! and no message waits for the next one.
//!
//! A publisher gets its replies in the pauses, and could send so fast that outboxes only grow. So
//! the pauses of a flush have a limit, and a flush writes all outboxes that it has found.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::Worker;
use crate::pubsub::client_output::ClientOutput;

/// Fewer outboxes have no pause: they take less time than clients need to send more.
const PAUSED_MIN: usize = 64;
/// Outboxes in one part. A pause in which nothing arrives takes less time than one of them.
const PART: usize = 8;
/// The maximum sum of all pauses in one flush. After that the rest is written in one part.
const PAUSES_MAX: Duration = Duration::from_millis(2);

impl Worker {
    /// Writes every outbox with new bytes, at the end of each turn.
    pub(super) async fn flush(self: Rc<Self>) {
        let mut dirty = Vec::new();
        loop {
            self.until_dirty().await;
            let mut rest = Rest::of(self.context.borrow_mut().flush_queue().dirty_count());
            while let Some(part) = rest.next_part() {
                if self.write_part(part, &mut dirty) {
                    break;
                }
                rest.paused += self.pause().await;
            }
        }
    }

    async fn until_dirty(&self) {
        poll_fn(|cx| {
            let mut context = self.context.borrow_mut();
            if !context.flush_queue().is_clean() {
                return Poll::Ready(());
            }
            context.flush_queue().wake_flush_by(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Writes the outboxes with replies and `count` others. Returns whether no others are left.
    fn write_part(&self, count: usize, dirty: &mut Vec<Rc<ClientOutput>>) -> bool {
        let mut context = self.context.borrow_mut();
        context.flush_queue().take_dirty(dirty, count);
        for output in dirty.drain(..) {
            if let Some(connection) = self.connection(&output) {
                connection.flush(&self.server, &mut context);
            }
        }
        context.flush_queue().is_clean()
    }

    /// Lets all tasks run that are ready, and returns the time that this took.
    async fn pause(&self) -> Duration {
        let start = Instant::now();
        yield_now().await;
        // With many outboxes this takes longer than the requests themselves.
        self.context.borrow_mut().flush_queue().end_batch();
        start.elapsed()
    }
}

/// What is left of a flush.
struct Rest {
    /// Outboxes that are left.
    count: usize,
    part: usize,
    /// The sum of all pauses.
    paused: Duration,
}

impl Rest {
    fn of(count: usize) -> Self {
        let part = if count < PAUSED_MIN { count } else { PART };
        Self { count, part, paused: Duration::ZERO }
    }

    /// Returns the number of outboxes in the next part, or `None` at the end.
    fn next_part(&mut self) -> Option<usize> {
        let part = if self.paused < PAUSES_MAX { self.part.min(self.count) } else { self.count };
        self.count -= part;
        (part > 0).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the parts of a flush with pauses of equal length.
    fn parts(count: usize, pause: Duration) -> Vec<usize> {
        let mut rest = Rest::of(count);
        let next = || {
            let part = rest.next_part();
            rest.paused += pause;
            part
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_flush_of_few_outboxes_has_no_pause() {
        for count in 1..PAUSED_MIN {
            assert_eq!(parts(count, Duration::ZERO), [count]);
        }
    }

    #[test]
    fn a_flush_ends_with_the_outboxes_that_it_has_found() {
        assert_eq!(parts(3 * PART + PAUSED_MIN + 1, Duration::ZERO).len(), 12);
        for count in PAUSED_MIN..1_000 {
            let parts = parts(count, Duration::ZERO);
            assert_eq!(parts.iter().sum::<usize>(), count);
            assert!(parts.iter().all(|&part| part <= PART), "{parts:?}");
        }
    }

    #[test]
    fn pauses_end_at_their_limit() {
        let parts = parts(100_000, PAUSES_MAX / 4);
        assert_eq!(parts, [PART, PART, PART, PART, 100_000 - 4 * PART]);
    }
}
