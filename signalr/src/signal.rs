//! Wakes the one task that waits for a change.
//!
//! It has no list of waiters, so it costs an idle connection two words. A signal that nobody waits
//! for is kept. Several of them count as one.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// A signal for one waiter.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    waiter: AtomicWaker,
}

impl Signal {
    /// Wakes the waiter, now or when it waits next.
    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.waiter.wake();
    }

    /// Takes the signal, or registers the task.
    pub(crate) fn poll_set(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.take() {
            return Poll::Ready(());
        }
        self.waiter.register(cx.waker());
        // It may have been set since the first check.
        if self.take() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for the signal. Cancel safe. One task waits at a time.
    pub(crate) async fn wait(&self) {
        poll_fn(|cx| self.poll_set(cx)).await;
    }

    fn take(&self) -> bool {
        self.is_set.load(Ordering::Relaxed) && self.is_set.swap(false, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_signal_is_kept_until_somebody_waits() {
        let signal = Signal::default();
        signal.set();
        signal.set();
        signal.wait().await;
        assert!(signal.wait().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_waiter_is_woken() {
        let signal = Signal::default();
        let ((), ()) = tokio::join!(signal.wait(), async { signal.set() });
    }
}
