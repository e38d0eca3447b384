//! What other threads have for one worker. It lies within the order.

use std::task::{self, Poll, Waker};

use super::{Broker, Order};
use crate::pubsub::registry::WorkerId;
use crate::pubsub::subscribers::{Context, Deliveries};

/// One worker's inbox.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) deliveries: Deliveries,
    /// Publishers that wait until there is room.
    pub(super) waiting: Vec<Waker>,
    /// The worker, if it waits for deliveries.
    pub(super) worker: Option<Waker>,
    /// Whether it belongs to a worker.
    pub(super) taken: bool,
}

/// Bytes of messages that a worker may have got from others and not taken yet before those who
/// publish have to wait. What lies about longer is no longer in the processors' caches when it is
/// written, and takes memory.
pub(super) const INBOX_BYTES_MAX: usize = 256 * 1024;

impl Order {
    /// Moves all that lies in a worker's inbox to its audience, which has to [`Context::take_in`] it
    /// before it takes more, and notes whom to wake since there is room.
    pub(super) fn take_inbox(&mut self, context: &mut Context) {
        let inbox = &mut self.inboxes[context.worker().index()];
        if !inbox.deliveries.is_empty() {
            debug_assert!(context.taken.is_empty(), "what was taken has not been delivered");
            std::mem::swap(&mut inbox.deliveries, &mut context.taken);
            context.to_wake.append(&mut inbox.waiting);
        }
    }
}

impl Broker {
    /// Delivers what other threads published, once there is something.
    pub(crate) fn poll_inbox(&self, context: &mut Context, cx: &task::Context<'_>) -> Poll<()> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[context.worker().index()];
        if inbox.deliveries.is_empty() {
            inbox.worker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        order.take_inbox(context);
        drop(order);
        context.take_in();
        Poll::Ready(())
    }

    /// Returns once a worker is not far behind with what others publish.
    pub(crate) fn poll_room(&self, worker: WorkerId, cx: &task::Context<'_>) -> Poll<()> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[worker.index()];
        if inbox.deliveries.bytes() < INBOX_BYTES_MAX {
            return Poll::Ready(());
        }
        inbox.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
