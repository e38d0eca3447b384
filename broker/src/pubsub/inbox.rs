//! Messages from other threads for one worker. Inboxes are part of the order.

use std::task::{self, Poll, Waker};

use super::delivery::Deliveries;
use super::fan_out::RoutingCache;
use super::local::Local;
use super::order::OrderGuard;
use super::taps::TapInbox;
use crate::ids::WorkerId;

/// One worker's inbox.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) deliveries: Deliveries,
    pub(super) taps: TapInbox,
    /// Publishers that wait until there is room.
    waiting: Vec<Waker>,
    /// The task of the worker that waits for deliveries.
    pub(super) worker: Option<Waker>,
    /// Whether a worker owns this inbox.
    is_taken: bool,
}

/// Deliveries of a worker that are not in its inbox any more.
pub(super) struct Offer {
    pub(super) to: WorkerId,
    pub(super) deliveries: Deliveries,
}

/// From this many bytes in an inbox on, publishers wait. Beyond it, messages leave the processor's
/// caches before they are written, and only take memory.
const INBOX_BYTES_MAX: usize = 256 * 1024;

impl Inbox {
    pub(super) fn is_full(&self) -> bool {
        self.deliveries.bytes() >= INBOX_BYTES_MAX
    }
}

impl OrderGuard<'_> {
    /// Opens an inbox for a worker or its script engine, and returns its number.
    pub(crate) fn open_inbox(&mut self) -> WorkerId {
        let order = &mut *self.order;
        let index = match order.inboxes.iter().position(|inbox| !inbox.is_taken) {
            Some(free) => free,
            None => {
                order.inboxes.push(Inbox::default());
                order.routes.push(RoutingCache::default());
                order.inboxes.len() - 1
            }
        };
        order.inboxes[index].is_taken = true;
        WorkerId(u16::try_from(index).expect("io-threads is at most 128"))
    }

    /// Closes the inbox of a worker. All its clients must have left.
    pub(crate) fn close_inbox(&mut self, local: &mut Local) {
        self.close_inbox_of(local.worker(), local);
    }

    /// Closes the inbox of the worker's script engine.
    pub(crate) fn close_inbox_of(&mut self, worker: WorkerId, local: &mut Local) {
        let mut closed = std::mem::take(&mut self.order.inboxes[worker.index()]);
        local.after_release.wakers.append(&mut closed.waiting);
    }

    /// Moves the worker's inbox to [`Local`], which delivers it before anything that comes later
    /// in the order.
    pub(crate) fn take_inbox(&mut self, local: &mut Local) {
        let inbox = &mut self.order.inboxes[local.worker().index()];
        if !inbox.deliveries.is_empty() {
            debug_assert!(local.taken.is_empty(), "taken messages have not been delivered");
            std::mem::swap(&mut inbox.deliveries, &mut local.taken);
            local.after_release.wakers.append(&mut inbox.waiting);
        }
    }

    /// Takes the worker's inbox; pending while it is empty.
    pub(crate) fn poll_inbox(&mut self, local: &mut Local, cx: &task::Context<'_>) -> Poll<()> {
        let inbox = &mut self.order.inboxes[local.worker().index()];
        if inbox.deliveries.is_empty() {
            inbox.worker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.take_inbox(local);
        Poll::Ready(())
    }

    /// Takes the deliveries of all workers but one with at least this many bytes.
    #[cfg(feature = "lua")]
    pub(super) fn take_large(
        &mut self,
        except: WorkerId,
        bytes_min: usize,
        local: &mut Local,
    ) -> Vec<Offer> {
        let inboxes = self.order.inboxes.iter_mut().enumerate();
        let large = inboxes.filter(|(index, inbox)| {
            *index != except.index() && inbox.deliveries.bytes() >= bytes_min
        });
        large
            .map(|(index, inbox)| {
                local.after_release.wakers.append(&mut inbox.waiting);
                let to = WorkerId(u16::try_from(index).expect("io-threads is at most 128"));
                Offer { to, deliveries: std::mem::take(&mut inbox.deliveries) }
            })
            .collect()
    }

    /// Puts deliveries back, before anything else is added.
    #[cfg(feature = "lua")]
    pub(super) fn put_back(&mut self, Offer { to, deliveries }: Offer) {
        self.order.inboxes[to.index()].deliveries = deliveries;
    }

    /// Returns the most bytes in the inbox of a worker, without one of them.
    #[cfg(feature = "lua")]
    pub(crate) fn largest(&self, except: WorkerId) -> usize {
        let inboxes = self.order.inboxes.iter().enumerate();
        let others = inboxes.filter(|(index, _)| *index != except.index());
        others.map(|(_, inbox)| inbox.deliveries.bytes()).max().unwrap_or(0)
    }

    /// Returns whether the inbox of a worker has no room.
    #[cfg(feature = "lua")]
    pub(crate) fn is_full(&self, worker: WorkerId) -> bool {
        self.order.inboxes[worker.index()].is_full()
    }

    /// Returns ready once the inbox of a worker has room again.
    pub(crate) fn poll_room(&mut self, worker: WorkerId, cx: &task::Context<'_>) -> Poll<()> {
        let inbox = &mut self.order.inboxes[worker.index()];
        if !inbox.is_full() {
            return Poll::Ready(());
        }
        inbox.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
