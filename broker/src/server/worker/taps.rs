//! Decodes messages for the taps of a worker, between the requests of its clients.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::Worker;
use crate::pubsub::taps::TapQueue;

/// Time for taps in one turn. The rest waits until other clients have been served.
const TURN_TIME_MAX: Duration = Duration::from_micros(200);

impl Worker {
    /// Queues lines for the taps of this worker.
    pub(super) async fn serve_taps(self: Rc<Self>) {
        loop {
            let queue = self.tapped().await;
            let (messages, lost) = queue.into_parts();
            let mut start = Instant::now();
            for message in messages {
                self.context.borrow_mut().local.subscribers.deliver_tapped(&message);
                if start.elapsed() >= TURN_TIME_MAX {
                    yield_now().await;
                    start = Instant::now();
                }
            }
            for (pattern, count) in lost {
                self.context.borrow().local.subscribers.lose_tapped(&pattern, count);
            }
            yield_now().await;
        }
    }

    /// Takes messages for taps out of the inbox.
    async fn tapped(&self) -> TapQueue {
        poll_fn(|cx| {
            let mut context = self.context.borrow_mut();
            let worker = context.worker();
            let taken = self.with_turn(&mut context, |_, turn| match turn.lock() {
                Some(mut lock) => lock.guard().poll_tapped(worker, cx),
                None => self.poll_again(cx).map(|()| TapQueue::default()),
            });
            context.local.deliver_taken();
            context.local.after_release.run();
            taken
        })
        .await
    }
}
