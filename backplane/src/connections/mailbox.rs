//! What waits for one connection.
//!
//! It is filled while the table is locked and emptied by the connection, on whatever thread that
//! runs. Its own lock is held only to move an item. Whoever pushes gets the reader's waker and wakes
//! it when no lock is held any more: woken earlier, the reader would only wait for the lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::task::coop::poll_proceed;

use super::INVOCATIONS_MAX;
use super::connection::{Disconnect, Queued};

#[derive(Debug)]
pub(super) struct Mailbox {
    /// The connection's.
    pub(super) id: Arc<str>,
    /// Tells connections apart that had the same id.
    pub(super) number: u64,
    items_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Queued>,
    end: Option<Disconnect>,
    reader: Option<Waker>,
}

/// More would wait than may for the connection of this id.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) id: Arc<str>,
}

impl Mailbox {
    /// `missed` does not count towards what may wait.
    pub(super) fn new(id: Arc<str>, number: u64, missed: VecDeque<Queued>) -> Self {
        let items_max = INVOCATIONS_MAX + missed.len();
        let state = Mutex::new(State { items: missed, end: None, reader: None });
        Self { id, number, items_max, state }
    }

    /// Queues an item, and returns whom to wake.
    pub(super) fn push(&self, item: Queued) -> Result<Option<Waker>, Full> {
        let mut state = self.state.lock();
        if state.items.len() >= self.items_max {
            return Err(Full { id: self.id.clone() });
        }
        state.items.push_back(item);
        Ok(state.reader.take())
    }

    /// Nothing is queued any more. What was queued before is still taken.
    pub(super) fn close(&self, reason: Disconnect) {
        let mut state = self.state.lock();
        state.end.get_or_insert(reason);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Whether half of what may wait has room still, or nobody reads any more.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.end.is_some() || state.items.len() + INVOCATIONS_MAX / 2 <= self.items_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    /// Takes the next item, and waits for one if there is none.
    ///
    /// Cancel safe: an item is taken only when the future is ready.
    pub(super) async fn take(&self) -> Result<Queued, Disconnect> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<Queued, Disconnect>> {
        // A connection that always has something would starve the other tasks of its thread.
        let budget = ready!(poll_proceed(cx));
        let mut state = self.state.lock();
        let taken = match (state.take(), state.end) {
            (Some(item), _) => Ok(item),
            (None, Some(reason)) => Err(reason),
            (None, None) => {
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        budget.made_progress();
        Poll::Ready(taken)
    }
}

impl State {
    fn take(&mut self) -> Option<Queued> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            // A burst must not stay allocated.
            self.items.shrink_to(ITEMS_KEPT);
        }
        Some(item)
    }
}

/// Room that stays when nothing waits.
const ITEMS_KEPT: usize = 8;

#[cfg(test)]
impl Mailbox {
    pub(super) fn try_take(&self) -> Option<Queued> {
        self.state.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::event::Gap;

    fn item(number: u64) -> Queued {
        Queued::Gap(Gap { from: number, to: number }, number)
    }

    async fn next(mailbox: &Mailbox) -> Result<u64, Disconnect> {
        mailbox.take().await.map(|item| match item {
            Queued::Gap(gap, _) => gap.from,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test]
    async fn what_was_queued_is_taken_before_the_end_is_told() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::from([item(1)]));
        assert!(mailbox.push(item(2)).unwrap().is_none(), "nobody waits");
        mailbox.close(Disconnect::Replaced);
        mailbox.close(Disconnect::Shutdown);
        assert_eq!(next(&mailbox).await, Ok(1));
        assert_eq!(next(&mailbox).await, Ok(2));
        assert_eq!(next(&mailbox).await, Err(Disconnect::Replaced));
        assert_eq!(next(&mailbox).await, Err(Disconnect::Replaced));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_an_item_and_by_the_end() {
        let mailbox = Arc::new(Mailbox::new("a".into(), 1, VecDeque::new()));
        assert!(next(&mailbox).now_or_never().is_none());
        assert!(mailbox.push(item(1)).unwrap().is_some());
        assert_eq!(next(&mailbox).await, Ok(1));
        let reader = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { next(&mailbox).await }
        });
        while mailbox.state.lock().reader.is_none() {
            tokio::task::yield_now().await;
        }
        mailbox.close(Disconnect::Shutdown);
        assert_eq!(reader.await.unwrap(), Err(Disconnect::Shutdown));
    }

    #[tokio::test]
    async fn what_was_missed_does_not_count_towards_the_limit() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::from([item(0)]));
        for number in 1..=INVOCATIONS_MAX as u64 {
            assert!(mailbox.push(item(number)).is_ok());
        }
        assert!(mailbox.push(item(0)).is_err());
    }

    #[tokio::test]
    async fn a_reader_that_always_has_something_lets_others_run() {
        let mailbox = Mailbox::new("a".into(), 1, (0..1000).map(item).collect());
        let taken = async { while next(&mailbox).await.is_ok() {} };
        assert!(taken.now_or_never().is_none());
        assert!(!mailbox.is_empty(), "it has taken all of it in one go");
    }
}
