//! The end of a turn: writes every outbox with new bytes.
//!
//! Under load, a flush of many outboxes first waits for more messages, since two messages in one
//! write cost little more than one. The wait is a fraction of the expected duration of the flush.
//! Meanwhile the flush writes to clients without subscriptions: publishers get their replies, and
//! their next messages are under way. If no message arrives, the next flushes do not wait. Nor does
//! a flush after a longer pause than its wait, since the next message will not come sooner. So
//! messages at a moderate rate are not delayed.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::Worker;
use crate::pubsub::client_output::ClientOutput;
use crate::session::context::Context;

/// Flushes of fewer outboxes do not wait: they take less time than clients need to send more.
const GATHERED_MIN: usize = 64;
/// Divisor for the extra wait: a flush waits at most this fraction of its expected duration.
const GATHERED_PART: u32 = 4;
/// Maximum of the extra wait.
const GATHERING_MAX: Duration = Duration::from_millis(1);
/// Number of flushes that do not wait, after one that waited in vain.
const HASTY_FLUSHES: u32 = 3;

impl Worker {
    /// Writes every outbox with new bytes, at the end of each turn.
    pub(super) async fn flush(self: Rc<Self>) {
        let mut dirty = Vec::new();
        let mut hasty = 0;
        let mut each = Duration::ZERO;
        let mut last_end = Instant::now();
        loop {
            self.until_dirty().await;
            let count = self.context.borrow_mut().flush_queue().dirty_count();
            if count >= GATHERED_MIN {
                let wait = time(each, count);
                hasty = match hasty {
                    _ if last_end.elapsed() > wait => hasty,
                    0 if self.gather(wait, &mut dirty).await => 0,
                    0 => HASTY_FLUSHES,
                    left => left - 1,
                };
            }
            let mut context = self.context.borrow_mut();
            context.flush_queue().take_dirty(&mut dirty);
            let written = u32::try_from(dirty.len()).unwrap_or(u32::MAX);
            let start = (count >= GATHERED_MIN).then(Instant::now);
            self.write(&mut dirty, &mut context);
            if let Some(start) = start {
                last_end = Instant::now();
                each = (last_end - start) / written.max(1);
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

    /// Lets other tasks run for a time, and returns whether they queued more.
    async fn gather(&self, time: Duration, dirty: &mut Vec<Rc<ClientOutput>>) -> bool {
        let end = Instant::now() + time;
        let before = self.context.borrow_mut().flush_queue().queued_count();
        loop {
            {
                let mut context = self.context.borrow_mut();
                context.flush_queue().take_dirty_without_subscription(dirty);
                self.write(dirty, &mut context);
            }
            if self.shutting_down.get() || Instant::now() >= end {
                return self.context.borrow_mut().flush_queue().queued_count() != before;
            }
            // All tasks that are ready run before this one continues.
            yield_now().await;
        }
    }

    fn write(&self, dirty: &mut Vec<Rc<ClientOutput>>, context: &mut Context) {
        for output in dirty.drain(..) {
            if let Some(connection) = self.connection(&output) {
                connection.flush(&self.server, context);
            }
        }
    }
}

/// Returns the extra wait of a flush of `count` outboxes.
fn time(each: Duration, count: usize) -> Duration {
    let flush = each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    (flush / GATHERED_PART).min(GATHERING_MAX)
}
