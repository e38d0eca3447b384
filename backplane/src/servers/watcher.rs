//! The changes that one watcher of a group has still to take.
//!
//! Changes are queued under the lock of the members, so they are in order. The watcher is woken
//! after its release, since a waker is foreign code.

use std::collections::VecDeque;

use locks::Mutex;
use tokio::sync::Notify;

use super::member::PresenceChange;

#[derive(Debug, Default)]
pub(crate) struct Watcher {
    inner: Mutex<Inner>,
    pushed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    changes: VecDeque<PresenceChange>,
    /// Whether changes were dropped, since too many waited.
    is_behind: bool,
    is_ended: bool,
}

/// What a watcher takes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Change(PresenceChange),
    /// All members, since changes were dropped.
    Reset,
    /// Nothing more comes.
    End,
}

/// Changes that wait for one watcher.
const CHANGES_MAX: usize = 1024;

impl Watcher {
    /// Queues a change. Call [`wake`](Self::wake) afterwards.
    pub(super) fn push(&self, change: PresenceChange) {
        let mut inner = self.inner.lock();
        if inner.is_behind {
            return;
        }
        if inner.changes.len() == CHANGES_MAX {
            inner.changes.clear();
            inner.is_behind = true;
            return;
        }
        inner.changes.push_back(change);
    }

    /// Forgets the queued changes: the watcher gets all members.
    pub(super) fn reset(&self) {
        let mut inner = self.inner.lock();
        inner.changes.clear();
        inner.is_behind = false;
    }

    /// Ends the watcher once it has taken the queued changes.
    pub(super) fn end(&self) {
        self.inner.lock().is_ended = true;
    }

    pub(super) fn wake(&self) {
        self.pushed.notify_one();
    }

    /// Waits for the next change. Cancel safe.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            // A wake-up since the look above is kept.
            self.pushed.notified().await;
        }
    }

    fn take(&self) -> Option<Next> {
        let mut inner = self.inner.lock();
        match inner.changes.pop_front() {
            Some(change) => Some(Next::Change(change)),
            None if inner.is_ended => Some(Next::End),
            None => inner.is_behind.then_some(Next::Reset),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_watcher_that_falls_behind_gets_all_members() {
        let watcher = Watcher::default();
        let change = || PresenceChange::Reset(Vec::new());
        assert!(watcher.next().now_or_never().is_none());
        watcher.push(change());
        watcher.wake();
        assert_eq!(watcher.next().await, Next::Change(change()));
        (0..=CHANGES_MAX).for_each(|_| watcher.push(change()));
        assert_eq!(watcher.next().await, Next::Reset);
        watcher.reset();
        watcher.push(change());
        watcher.end();
        assert_eq!(watcher.next().await, Next::Change(change()));
        assert_eq!(watcher.next().await, Next::End);
    }
}
