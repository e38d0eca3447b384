//! Messages that wait to be sent: in order, within limits, and never twice.
//!
//! While the server is connected, only the age is limited: the senders wait and hold their bodies
//! anyway. So concurrent sends may exceed the limits that apply while it is unreachable.
//!
//! The ticket of an item waits for the outcome. Until the item is taken, the ticket can withdraw
//! it, and then the message was certainly not sent.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use locks::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::bus::error::SendError;
use crate::options::Queue as Limits;

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    waiting: Mutex<Waiting>,
    pushed: Notify,
    /// Notified when items were put back.
    returned: Notify,
    /// Notified when no item is queued or in flight.
    drained: Notify,
    /// Number of queued items, for the metrics.
    length: Gauge,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// Number of items that were taken, and have neither ended nor returned.
    under_way: usize,
    last_number: u64,
    is_closed: bool,
}

/// One queued body.
#[derive(Debug)]
pub(super) struct Item {
    number: u64,
    pub(super) body: Bytes,
    outcome: oneshot::Sender<Result<u64, SendError>>,
}

/// Waits for the outcome of one body. Dropping it withdraws the item, unless the item was taken.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    deadline: Instant,
    outcome: oneshot::Receiver<Result<u64, SendError>>,
    queue: Arc<Queue>,
}

/// The limits that apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    /// All limits: the server is unreachable.
    All,
    /// Only the age: the server is connected.
    Age,
}

/// Maximum items of one batch.
const BATCH_MAX: usize = 1024;
/// Maximum size of the bodies of one batch, unless it has only one.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// The reason why a body was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full { messages: usize },
    Closed,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: Mutex::default(),
            pushed: Notify::new(),
            returned: Notify::new(),
            drained: Notify::new(),
            length: Gauge::default(),
        }
    }

    pub(super) fn length(&self) -> Gauge {
        self.length.clone()
    }

    pub(super) fn push(self: &Arc<Self>, body: Bytes, bounds: Bounds) -> Result<Ticket, Refused> {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        let messages = waiting.items.len();
        // An empty queue accepts one body of any size.
        let is_too_large = messages > 0 && waiting.bytes + body.len() > self.limits.bytes;
        let is_full = messages >= self.limits.messages || is_too_large;
        if bounds == Bounds::All && is_full {
            return Err(Refused::Full { messages });
        }
        waiting.last_number += 1;
        waiting.bytes += body.len();
        let number = waiting.last_number;
        let (sender, outcome) = oneshot::channel();
        waiting.items.push_back(Item { number, body, outcome: sender });
        self.length.inc();
        drop(waiting);
        self.pushed.notify_one();
        let deadline = Instant::now() + self.limits.age;
        Ok(Ticket { number, deadline, outcome, queue: self.clone() })
    }

    /// Takes the next items, or waits for one. The items fit into one request. Cancel safe.
    pub(super) async fn take(&self) -> Vec<Item> {
        loop {
            let pushed = self.pushed.notified();
            let batch = self.waiting.lock().take();
            if !batch.is_empty() {
                self.length.dec_by(batch.len() as i64);
                return batch;
            }
            pushed.await;
        }
    }

    /// Puts back items that were taken and certainly not sent, in their order.
    pub(super) fn put_back(&self, items: Vec<Item>) {
        let mut waiting = self.waiting.lock();
        waiting.under_way -= items.len();
        for item in items.into_iter().rev() {
            waiting.bytes += item.body.len();
            waiting.items.push_front(item);
            self.length.inc();
        }
        drop(waiting);
        self.pushed.notify_one();
        self.returned.notify_waiters();
    }

    /// Records that items that were taken have their outcome.
    pub(super) fn ended(&self, items: usize) {
        let mut waiting = self.waiting.lock();
        waiting.under_way -= items;
        self.report_drained(&waiting);
    }

    fn report_drained(&self, waiting: &Waiting) {
        if waiting.is_drained() {
            self.drained.notify_waiters();
        }
    }

    /// Refuses further items, and waits until all others have their outcome.
    pub(super) async fn drained(&self) {
        loop {
            let mut drained = pin!(self.drained.notified());
            // Registered before the check, so no notification is missed.
            drained.as_mut().enable();
            {
                let mut waiting = self.waiting.lock();
                waiting.is_closed = true;
                if waiting.is_drained() {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Closes the queue. All queued items fail with this error.
    pub(super) fn close(&self, error: &SendError) {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        waiting.bytes = 0;
        self.length.set(0);
        waiting.items.drain(..).for_each(|item| item.complete(Err(error.clone())));
    }

    fn withdraw(&self, number: u64) -> bool {
        let mut waiting = self.waiting.lock();
        // Item numbers increase from front to back.
        let Ok(index) = waiting.items.binary_search_by_key(&number, |item| item.number) else {
            return false;
        };
        let item = waiting.items.remove(index).expect("it was found above");
        waiting.bytes -= item.body.len();
        self.length.dec();
        self.report_drained(&waiting);
        true
    }
}

impl Waiting {
    fn is_drained(&self) -> bool {
        self.items.is_empty() && self.under_way == 0
    }

    /// Takes items up to the limits of a batch. The first item may exceed them.
    fn take(&mut self) -> Vec<Item> {
        let mut bytes = 0;
        let fits = self.items.iter().take(BATCH_MAX).take_while(|item| {
            let is_first = bytes == 0;
            bytes += item.body.len();
            is_first || bytes <= BATCH_BYTES_MAX
        });
        let count = fits.count();
        let batch: Vec<_> = self.items.drain(..count).collect();
        self.bytes -= batch.iter().map(|item| item.body.len()).sum::<usize>();
        self.under_way += count;
        batch
    }
}

impl Item {
    /// Reports the outcome to the ticket.
    pub(super) fn complete(self, outcome: Result<u64, SendError>) {
        // The ticket may be gone.
        let _ = self.outcome.send(outcome);
    }
}

impl Ticket {
    /// Waits for the outcome. Returns `None` if the item was withdrawn after its deadline.
    pub(super) async fn outcome(mut self) -> Option<Result<u64, SendError>> {
        tokio::select! {
            biased;
            outcome = &mut self.outcome => return Some(outcome.unwrap_or_else(|_| lost())),
            () = sleep_until(self.deadline) => {}
        }
        loop {
            let returned = self.queue.returned.notified();
            if self.queue.withdraw(self.number) {
                return None;
            }
            // The item is in flight, with timeouts of its own. Check again if it is put back.
            tokio::select! {
                biased;
                outcome = &mut self.outcome => return Some(outcome.unwrap_or_else(|_| lost())),
                () = returned => {}
            }
        }
    }
}

/// The outcome if the backplane ended while the item was in flight.
fn lost() -> Result<u64, SendError> {
    Err(SendError::Failed { reason: "the backplane ended before the server replied".to_owned() })
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.withdraw(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn queue(messages: usize, bytes: usize) -> Arc<Queue> {
        Arc::new(Queue::new(Limits { messages, bytes, age: Duration::from_secs(5) }))
    }

    fn push(queue: &Arc<Queue>, body: &'static str) -> Result<Ticket, Refused> {
        queue.push(body.into(), Bounds::All)
    }

    async fn next(queue: &Queue) -> Vec<Bytes> {
        queue.take().await.into_iter().map(|item| item.body).collect()
    }

    #[tokio::test]
    async fn items_are_taken_in_order_even_after_they_were_put_back() {
        let queue = queue(10, 100);
        let _tickets = ["1", "2"].map(|body| push(&queue, body).unwrap());
        let items = queue.take().await;
        let _ticket = push(&queue, "3").unwrap();
        queue.put_back(items);
        assert_eq!(next(&queue).await, ["1", "2", "3"]);
        assert!(queue.take().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_batch_is_limited() {
        let queue = queue(10_000, usize::MAX);
        let push = |body: Vec<u8>| queue.push(body.into(), Bounds::All).unwrap();
        let mut tickets: Vec<_> = (0..=BATCH_MAX).map(|_| push(vec![0])).collect();
        tickets
            .extend([BATCH_BYTES_MAX, 2 * BATCH_BYTES_MAX, 1, 1].map(|size| push(vec![0; size])));
        let mut batches = Vec::new();
        while let Some(batch) = queue.take().now_or_never() {
            batches.push(batch.len());
        }
        assert_eq!(batches, [BATCH_MAX, 1, 1, 1, 2]);
        assert_eq!((queue.length().get(), queue.waiting.lock().bytes), (0, 0));
    }

    #[tokio::test]
    async fn limits_hold() {
        let queue = queue(3, 10);
        let _large = queue.push(Bytes::from(vec![0; 100]), Bounds::All).unwrap();
        assert_eq!(push(&queue, "1").unwrap_err(), Refused::Full { messages: 1 });
        queue.take().await;
        let tickets = ["1", "2", "3"].map(|body| push(&queue, body).unwrap());
        assert_eq!(push(&queue, "4").unwrap_err(), Refused::Full { messages: 3 });
        let more = queue.push("a server that is there takes it".into(), Bounds::Age).unwrap();
        drop((tickets, more));
        assert_eq!((queue.length().get(), queue.waiting.lock().bytes), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_that_is_not_taken_is_withdrawn_at_its_deadline() {
        let queue = queue(10, 100);
        let ticket = push(&queue, "1").unwrap();
        assert_eq!(ticket.outcome().await, None);
        assert_eq!(queue.length().get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_taken_in_time_may_finish_after_its_deadline() {
        let queue = queue(10, 100);
        let ticket = push(&queue, "1").unwrap();
        let item = queue.take().await.remove(0);
        let (outcome, ()) = tokio::join!(ticket.outcome(), async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            item.complete(Ok(7));
        });
        assert_eq!(outcome, Some(Ok(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_put_back_after_its_deadline_is_withdrawn() {
        let queue = queue(10, 100);
        let ticket = push(&queue, "1").unwrap();
        let items = queue.take().await;
        let (outcome, ()) = tokio::join!(ticket.outcome(), async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            queue.put_back(items);
        });
        assert_eq!(outcome, None);
        assert_eq!(queue.length().get(), 0);
    }

    #[tokio::test]
    async fn draining_refuses_items_and_waits_for_the_others() {
        let queue = queue(10, 100);
        assert!(queue.drained().now_or_never().is_some());
        let queue = self::queue(10, 100);
        let [first, second] = ["1", "2"].map(|body| push(&queue, body).unwrap());
        let mut drained = pin!(queue.drained());
        assert!(drained.as_mut().now_or_never().is_none());
        assert_eq!(push(&queue, "3").unwrap_err(), Refused::Closed);
        drop(second);
        let batch = queue.take().await;
        assert!(drained.as_mut().now_or_never().is_none(), "one is in flight");
        queue.put_back(batch);
        assert!(drained.as_mut().now_or_never().is_none(), "it has returned");
        queue.take().await.remove(0).complete(Ok(7));
        assert!(drained.as_mut().now_or_never().is_none());
        queue.ended(1);
        assert!(drained.as_mut().now_or_never().is_some());
        assert_eq!(first.outcome().await, Some(Ok(7)));
    }

    #[tokio::test]
    async fn closing_fails_all_tickets() {
        let queue = queue(10, 100);
        let under_way = push(&queue, "1").unwrap();
        drop(queue.take().await);
        let ticket = push(&queue, "2").unwrap();
        let error = SendError::Disconnected { reason: "the end".into() };
        queue.close(&error);
        assert!(matches!(under_way.outcome().await, Some(Err(SendError::Failed { .. }))));
        assert_eq!(ticket.outcome().await, Some(Err(error)));
        assert_eq!(push(&queue, "3").unwrap_err(), Refused::Closed);
    }
}
