//! What other threads have for one worker. It lies within the order.

use std::task::{Context, Poll, Waker};

use super::Broker;
use crate::audience::{Audience, Deliveries};
use crate::registry::WorkerId;

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

impl Inbox {
    /// Moves all deliveries to the worker's audience, which has to [`Audience::take_in`] them before it
    /// takes more, and notes whom to wake since there is room.
    pub(super) fn take(&mut self, audience: &mut Audience) {
        if !self.deliveries.is_empty() {
            debug_assert!(audience.taken.is_empty(), "what was taken has not been delivered");
            std::mem::swap(&mut self.deliveries, &mut audience.taken);
            audience.to_wake.append(&mut self.waiting);
        }
    }
}

impl Broker {
    /// Delivers what other threads published, once there is something.
    pub(crate) fn poll_inbox(&self, audience: &mut Audience, cx: &Context<'_>) -> Poll<()> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[audience.worker().index()];
        if inbox.deliveries.is_empty() {
            inbox.worker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        inbox.take(audience);
        drop(order);
        audience.take_in();
        Poll::Ready(())
    }

    /// Returns once a worker is not far behind with what others publish.
    pub(crate) fn poll_room(&self, worker: WorkerId, cx: &Context<'_>) -> Poll<()> {
        let mut order = self.shared.order.lock();
        let inbox = &mut order.inboxes[worker.index()];
        if inbox.deliveries.bytes() < INBOX_BYTES_MAX {
            return Poll::Ready(());
        }
        inbox.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
