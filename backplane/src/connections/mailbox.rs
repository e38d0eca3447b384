//! The queue of one connection.
//!
//! Replayed messages arrive faster than connections read. If the queue is full of them, the rest is
//! deferred: the connection fetches it from the store when it reads. So one slow reader does not
//! delay the others.
//!
//! Other threads push while they hold the lock of the table, and the connection pops on its own
//! thread. The lock of the queue is held only to move an item. A push returns the reader's waker,
//! to call after the release of the table's lock; an earlier wake-up would only wait for that lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use locks::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::coop::poll_proceed;

use super::disconnect::Disconnect;
use super::queued::{INVOCATION_BYTES_MAX, INVOCATIONS_MAX, Queued};

#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The id of the connection.
    pub(crate) id: Arc<str>,
    /// Distinguishes connections that have used the same id.
    pub(crate) number: u64,
    /// One more than the last id that the connection received from another server, or 0. Written
    /// under the lock of the table.
    seen: AtomicU64,
    state: Mutex<State>,
    /// Wakes senders that wait for room.
    room: Notify,
}

#[derive(Debug)]
struct State {
    /// The item before all `items`. Most connections have one at a time, which needs no other
    /// memory here.
    first: Option<Queued>,
    items: VecDeque<Queued>,
    items_max: usize,
    /// Size of the queued invocations.
    bytes: usize,
    /// Whether a sender waits for room.
    awaits_room: bool,
    /// The share of the limit of the queued items.
    counted: usize,
    /// Marks behind the deferred messages.
    deferred_marks: Vec<Option<u64>>,
    /// Number of items that were taken since the last call of `look`.
    taken: usize,
    rest: Option<Rest>,
    /// Whether the reader wants to know of changes of its groups.
    reports_groups: bool,
    /// Whether the groups have changed since the last report. One report stands for all changes.
    has_new_groups: bool,
    /// Whether the reader is to look at something else. One report stands for all interrupts.
    is_interrupted: bool,
    /// Whether the table lists the queue as crowded.
    is_listed: bool,
    end: Option<Disconnect>,
    reader: Option<Waker>,
}

/// Messages that the connection fetches from the store.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Index of the first of them in the store.
    place: u64,
    /// Number of live messages among them since the last fetch.
    live: usize,
}

/// The origin of an item that is also in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Its index in the store.
    pub(super) place: u64,
    /// Whether it was replayed.
    pub(super) is_late: bool,
}

/// Whether a mailbox can accept a batch of replayed messages. Of several mailboxes, the greatest
/// value decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Capacity {
    Enough,
    /// The connection does not read, and its messages are deferred to the store.
    Deferred,
    /// Full, and no item was taken since the last call.
    Full,
    /// Full, but the connection takes items.
    Draining,
}

/// A look at a crowded queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) capacity: Capacity,
    /// Number of items that were taken since the last look.
    pub(super) taken: usize,
    /// Whether more than three quarters of a limit are in use, so that some more messages would close
    /// the connection.
    pub(super) is_near_limit: bool,
}

/// The outcome of an accepted item.
#[derive(Debug)]
pub(super) struct Pushed {
    /// The waker of the reader, if it waits.
    pub(super) reader: Option<Waker>,
    /// Whether the queue has become crowded, so that the table lists it for
    /// [`Mailbox::look`].
    pub(super) is_crowded: bool,
}

/// The error for a connection with too many queued messages.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) id: Arc<str>,
}

impl Mailbox {
    /// The items in `missed` do not count towards the limit.
    pub(super) fn new(id: Arc<str>, number: u64, missed: VecDeque<Queued>) -> Self {
        let items_max = INVOCATIONS_MAX + missed.len();
        let state = State {
            bytes: missed.iter().map(Queued::bytes).sum(),
            counted: missed.len(),
            first: None,
            items: missed,
            items_max,
            awaits_room: false,
            deferred_marks: Vec::new(),
            taken: 0,
            rest: None,
            reports_groups: false,
            has_new_groups: false,
            is_interrupted: false,
            is_listed: false,
            end: None,
            reader: None,
        };
        let seen = AtomicU64::new(0);
        Self { id, number, seen, state: Mutex::new(state), room: Notify::new() }
    }

    /// Returns the last id that the connection received from another server, if that one is later
    /// than all ids here.
    pub(super) fn seen(&self) -> Option<u64> {
        self.seen.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn set_seen(&self, id: Option<u64>) {
        self.seen.store(id.map_or(0, |id| id.saturating_add(1)), Ordering::Relaxed);
    }

    /// Returns whether the connection received a message with this id from another server.
    pub(super) fn has_seen(&self, id: Option<u64>) -> bool {
        id.is_some_and(|id| id < self.seen.load(Ordering::Relaxed))
    }

    /// Queues an item. If messages are deferred, an item that is in the store is not queued.
    pub(super) fn push(&self, item: Queued, stored: Option<Stored>) -> Result<Pushed, Full> {
        let mut state = self.state.lock();
        let is_late = stored.is_some_and(|stored| stored.is_late);
        let has_capacity = match &mut state.rest {
            Some(rest) => {
                rest.live += if is_late { 0 } else { item.count() };
                rest.live <= INVOCATIONS_MAX
            }
            None => {
                let fits = state.counted + item.count() <= state.items_max;
                fits && state.bytes < INVOCATION_BYTES_MAX
            }
        };
        let item = match stored {
            Some(_) if has_capacity && state.rest.is_some() => {
                return Ok(Pushed { reader: None, is_crowded: false });
            }
            _ if has_capacity => item,
            Some(Stored { place, is_late: true }) => {
                state.rest = Some(Rest { place, live: 0 });
                Queued::Rest
            }
            _ => {
                state.queue_start(&item);
                return Err(Full { id: self.id.clone() });
            }
        };
        state.queue(item);
        let is_crowded = !state.is_listed && !state.has_capacity();
        state.is_listed |= is_crowded;
        Ok(Pushed { reader: state.reader.take(), is_crowded })
    }

    /// Queues a mark behind all messages, also behind deferred ones, and returns the waker of the
    /// reader. The limit does not apply, since the reader has requested the mark.
    pub(super) fn push_mark(&self, at: Option<u64>) -> Option<Waker> {
        let mut state = self.state.lock();
        state.deferred_marks.push(at);
        if state.rest.is_none() {
            state.queue_marks();
        }
        state.reader.take()
    }

    /// Reports changes of the groups from now on.
    pub(crate) fn report_groups(&self) {
        self.state.lock().reports_groups = true;
    }

    pub(crate) fn take_new_groups(&self) -> bool {
        std::mem::take(&mut self.state.lock().has_new_groups)
    }

    /// Records a change of the groups, and returns the waker of a reader that wants to know of it.
    /// The report precedes all queued messages.
    pub(super) fn groups_changed(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        if !state.reports_groups {
            return None;
        }
        state.has_new_groups = true;
        state.reader.take()
    }

    /// Reports an interrupt to the reader, before all queued messages. Call it without the table's
    /// lock.
    pub(crate) fn interrupt(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.is_interrupted = true;
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    /// Waits for an interrupt. Cancel safe.
    pub(crate) async fn interrupted(&self) {
        poll_fn(|cx| {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.is_interrupted) {
                return Poll::Ready(());
            }
            State::wait(state, cx)
        })
        .await;
    }

    /// Returns the index in the store of the first deferred message.
    pub(super) fn rest(&self) -> Option<u64> {
        self.state.lock().rest.map(|rest| rest.place)
    }

    /// Queues some of the deferred messages. The rest starts at `place`, if there is more.
    pub(super) fn refill(&self, items: Vec<Queued>, place: Option<u64>) {
        let mut state = self.state.lock();
        let Some(rest) = state.rest.take() else { return };
        // They do not count towards the limit, like the messages missed before the connection was
        // attached.
        let is_late = items.len().saturating_sub(rest.live);
        state.items_max = INVOCATIONS_MAX.max(state.counted) + is_late;
        items.into_iter().for_each(|item| state.queue(item));
        match place {
            Some(place) => {
                state.rest = Some(Rest { place, live: 0 });
                state.queue(Queued::Rest);
            }
            None => state.queue_marks(),
        }
    }

    /// Returns the number of queued invocations.
    pub(crate) fn unread_messages(&self) -> usize {
        let state = self.state.lock();
        state.first.iter().chain(&state.items).map(Queued::invocations).sum()
    }

    /// Returns the size of the queued invocations.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Rejects further items. Queued items can still be taken. Call [`wake`](Self::wake) after the
    /// release of the table's lock.
    pub(super) fn close(&self, reason: Disconnect) {
        self.state.lock().end.get_or_insert(reason);
    }

    /// Returns the reason for which further items are rejected.
    pub(crate) fn ended(&self) -> Option<Disconnect> {
        self.state.lock().end
    }

    /// Wakes the reader, and the senders that wait for room.
    pub(super) fn wake(&self) {
        let reader = self.state.lock().reader.take();
        self.room.notify_waiters();
        reader.into_iter().for_each(Waker::wake);
    }

    /// Looks at a queue that the table lists as crowded. The table lists it until its capacity is
    /// `Enough`.
    pub(super) fn look(&self) -> Look {
        let mut state = self.state.lock();
        let taken = std::mem::take(&mut state.taken);
        let is_near_limit = state.is_near_limit();
        let capacity = match &state.rest {
            _ if state.has_capacity() => {
                state.is_listed = false;
                Capacity::Enough
            }
            _ if taken > 0 => Capacity::Draining,
            Some(_) => Capacity::Deferred,
            None => Capacity::Full,
        };
        Look { capacity, taken, is_near_limit }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().is_empty()
    }

    /// Returns the position of a reader at `position`. If the next message has the same id, as one of
    /// several in a payload, the reader is still before that id. Call it under the lock of the table.
    pub(super) fn position_before_next(&self, position: Option<u64>) -> Option<u64> {
        let state = self.state.lock();
        let mut items = state.first.iter().chain(&state.items);
        let is_split = items.find_map(|item| match item {
            Queued::Invocation(id, _) => Some(*id == position),
            Queued::Run(run) => Some(run.get(0).is_some_and(|(id, _)| id == position)),
            // Not read from the store here: a message may come twice, and none is lost.
            Queued::Rest => Some(true),
            _ => None,
        });
        before(position, is_split.unwrap_or(false))
    }

    /// Takes the next item, or waits for one.
    ///
    /// Cancel safe: no item is lost.
    pub(crate) async fn take(&self) -> Result<Queued, Disconnect> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    /// Waits until at most half of the limits is in use, or the connection has ended. Cancel safe.
    pub(crate) async fn has_room(&self) {
        loop {
            let mut notified = pin!(self.room.notified());
            // Registered before the check, so no wake-up is missed.
            notified.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.has_room() {
                    return;
                }
                state.awaits_room = true;
            }
            notified.await;
        }
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<Queued, Disconnect>> {
        // A connection that always has an item would starve the other tasks of its thread.
        let budget = ready!(poll_proceed(cx));
        let mut state = self.state.lock();
        let item = state.take();
        let has_new_room = state.awaits_room && state.has_room();
        state.awaits_room &= !has_new_room;
        let taken = match (item, state.end) {
            (Some(item), _) => Ok(item),
            (None, Some(reason)) => Err(reason),
            (None, None) => return State::wait(state, cx),
        };
        drop(state);
        if has_new_room {
            self.room.notify_waiters();
        }
        budget.made_progress();
        Poll::Ready(taken)
    }
}

/// Returns a position, or the one before it.
pub(crate) fn before(position: Option<u64>, is_split: bool) -> Option<u64> {
    match is_split {
        true => position.and_then(|id| id.checked_sub(1)),
        false => position,
    }
}

impl State {
    fn queue(&mut self, item: Queued) {
        self.bytes += item.bytes();
        self.counted += item.count();
        match self.is_empty() {
            true => self.first = Some(item),
            false => self.items.push_back(item),
        }
    }

    /// Queues the messages of a run that fit, so that the limit is the same as without runs.
    fn queue_start(&mut self, item: &Queued) {
        let Queued::Run(run) = item else { return };
        let mut index = 0;
        while self.rest.is_none()
            && self.counted < self.items_max
            && self.bytes < INVOCATION_BYTES_MAX
            && let Some((id, invocation)) = run.get(index)
        {
            self.queue(Queued::Invocation(id, invocation));
            index += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.items.is_empty()
    }

    /// Returns whether a batch of replayed messages fits: at most half of the limit is in use. An
    /// ended queue needs no wait.
    fn has_capacity(&self) -> bool {
        let is_short = self.counted + INVOCATIONS_MAX / 2 <= self.items_max;
        let is_small = self.bytes <= INVOCATION_BYTES_MAX / 2;
        self.end.is_some() || (self.rest.is_none() && is_short && is_small)
    }

    fn is_near_limit(&self) -> bool {
        let is_long = self.counted + INVOCATIONS_MAX / 4 > self.items_max;
        self.end.is_none() && (is_long || self.bytes > INVOCATION_BYTES_MAX / 4 * 3)
    }

    fn has_room(&self) -> bool {
        let is_short = self.counted <= INVOCATIONS_MAX / 2;
        self.end.is_some() || (is_short && self.bytes <= INVOCATION_BYTES_MAX / 2)
    }

    /// Registers the reader.
    fn wait<T>(mut state: MutexGuard<'_, Self>, cx: &mut Context<'_>) -> Poll<T> {
        let before = state.reader.replace(cx.waker().clone());
        drop(state);
        // It may drop a task, and with it this connection.
        drop(before);
        Poll::Pending
    }

    fn queue_marks(&mut self) {
        self.items.extend(self.deferred_marks.drain(..).map(Queued::Mark));
    }

    fn take(&mut self) -> Option<Queued> {
        if std::mem::take(&mut self.is_interrupted) {
            return Some(Queued::Interrupted);
        }
        if std::mem::take(&mut self.has_new_groups) {
            return Some(Queued::Groups);
        }
        let item = match self.first.take() {
            Some(first) => first,
            None => {
                let item = self.items.pop_front()?;
                if self.items.is_empty() {
                    // Release the memory of a burst.
                    self.items.shrink_to(ITEMS_KEPT);
                }
                item
            }
        };
        self.taken = self.taken.saturating_add(1);
        self.bytes -= item.bytes();
        self.counted -= item.count();
        Some(item)
    }
}

/// Capacity that an empty queue keeps.
const ITEMS_KEPT: usize = 8;

#[cfg(test)]
impl Mailbox {
    pub(crate) fn try_take(&self) -> Option<Queued> {
        self.state.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::event::Gap;
    use crate::invocation::Invocation;

    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

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
    async fn queued_items_are_taken_before_the_end() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::from([item(1)]));
        assert!(mailbox.push(item(2), None).unwrap().reader.is_none(), "no reader waits");
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
        assert!(mailbox.push(item(1), None).unwrap().reader.is_some());
        assert_eq!(next(&mailbox).await, Ok(1));
        let reader = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { next(&mailbox).await }
        });
        let waits = async {
            while mailbox.state.lock().reader.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, waits).await.expect("the reader waits");
        mailbox.close(Disconnect::Shutdown);
        mailbox.wake();
        assert_eq!(reader.await.unwrap(), Err(Disconnect::Shutdown));
    }

    #[tokio::test]
    async fn an_interrupt_precedes_queued_items_and_wakes_the_reader() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::from([item(1)]));
        mailbox.interrupt();
        mailbox.interrupt();
        assert!(matches!(mailbox.take().await, Ok(Queued::Interrupted)));
        assert_eq!(next(&mailbox).await, Ok(1));
        let ((), ()) = tokio::join!(mailbox.interrupted(), async { mailbox.interrupt() });
        assert!(mailbox.interrupted().now_or_never().is_none());
    }

    #[tokio::test]
    async fn missed_items_do_not_count_towards_the_limit() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::from([item(0)]));
        for number in 1..=INVOCATIONS_MAX as u64 {
            assert!(mailbox.push(item(number), None).is_ok());
        }
        assert!(mailbox.push(item(0), None).is_err());
    }

    #[tokio::test]
    async fn a_sender_waits_until_half_of_the_limit_is_free() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::new());
        for number in 0..=INVOCATIONS_MAX as u64 / 2 {
            assert!(mailbox.has_room().now_or_never().is_some());
            assert!(mailbox.push(item(number), None).is_ok());
        }
        let mut room = pin!(mailbox.has_room());
        assert!(room.as_mut().now_or_never().is_none());
        next(&mailbox).await.unwrap();
        assert!(room.as_mut().now_or_never().is_some());

        mailbox.push(item(0), None).unwrap();
        let mut room = pin!(mailbox.has_room());
        assert!(room.as_mut().now_or_never().is_none());
        mailbox.close(Disconnect::Shutdown);
        mailbox.wake();
        assert!(room.as_mut().now_or_never().is_some());
    }

    #[test]
    fn the_queue_is_limited_in_bytes() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::new());
        let large = Arc::new(Invocation::new("say", ["x".repeat(1024 * 1024)]).unwrap());
        let accepted = (0..INVOCATIONS_MAX)
            .take_while(|_| mailbox.push(Queued::Invocation(None, large.clone()), None).is_ok())
            .count();
        assert_eq!(accepted, INVOCATION_BYTES_MAX / (1024 * 1024));
        assert!(mailbox.try_take().is_some());
        assert!(mailbox.push(Queued::Invocation(None, large), None).is_ok());
    }

    #[test]
    fn marks_do_not_count_towards_the_limit() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::new());
        for number in 0..INVOCATIONS_MAX as u64 {
            mailbox.push_mark(Some(number));
            assert!(mailbox.push(item(number), None).is_ok());
        }
        assert!(mailbox.push(item(0), None).is_err());
        assert!(matches!(mailbox.try_take(), Some(Queued::Mark(Some(0)))));
        assert!(mailbox.push(item(0), None).is_err(), "the mark had no share of the limit");
        assert!(matches!(mailbox.try_take(), Some(Queued::Gap(..))));
        assert!(mailbox.push(item(0), None).is_ok());
    }

    #[test]
    fn a_queue_is_crowded_once_until_it_has_capacity() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::new());
        let push = || mailbox.push(item(0), None).unwrap().is_crowded;
        let reports = (0..INVOCATIONS_MAX).filter(|_| push()).count();
        assert_eq!((reports, mailbox.look().capacity), (1, Capacity::Full));
        mailbox.try_take();
        assert_eq!(mailbox.look().capacity, Capacity::Draining);
        while mailbox.try_take().is_some() {}
        assert_eq!(mailbox.look().capacity, Capacity::Enough);
        assert_eq!((0..INVOCATIONS_MAX).filter(|_| push()).count(), 1);
    }

    #[test]
    fn a_full_mailbox_defers_replayed_messages_to_the_store() {
        let mailbox = Mailbox::new("a".into(), 1, VecDeque::new());
        let late = |place| Some(Stored { place, is_late: true });
        let live = |place| Some(Stored { place, is_late: false });
        let last = INVOCATIONS_MAX as u64;
        for place in 0..last {
            mailbox.push(item(place), late(place)).unwrap();
        }
        assert_eq!((mailbox.look().capacity, mailbox.rest()), (Capacity::Full, None));
        mailbox.push(item(last), late(last)).unwrap();
        assert_eq!((mailbox.look().capacity, mailbox.rest()), (Capacity::Deferred, Some(last)));
        mailbox.try_take();
        assert_eq!(mailbox.look().capacity, Capacity::Draining);
        for place in last + 1..=2 * last {
            assert!(mailbox.push(item(place), live(place)).is_ok());
        }
        assert!(mailbox.push(item(0), live(0)).is_err(), "not all of it had been missed");
        while !matches!(mailbox.try_take(), Some(Queued::Rest)) {}
        mailbox.refill(vec![item(last)], None);
        assert_eq!((mailbox.look().capacity, mailbox.rest()), (Capacity::Enough, None));
    }

    #[tokio::test]
    async fn a_reader_that_always_has_something_lets_others_run() {
        let mailbox = Mailbox::new("a".into(), 1, (0..1000).map(item).collect());
        let taken = async { while next(&mailbox).await.is_ok() {} };
        assert!(taken.now_or_never().is_none());
        assert!(!mailbox.is_empty(), "it has taken all of it in one go");
    }
}
