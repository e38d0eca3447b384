//! Messages that wait to be sent: in order, within limits, and never twice.
//!
//! While the server is connected, only the age is limited: the senders wait and hold their bodies
//! anyway. So concurrent sends may exceed the limits that apply while it is unreachable.
//!
//! The ticket of an item waits for the outcome. Until the item is taken, the ticket can withdraw
//! it, and then the message was certainly not sent.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
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
    /// Number of queued items, for the metrics.
    length: Gauge,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
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

    /// Takes the next item, or waits for one. Cancel safe.
    pub(super) async fn take(&self) -> Item {
        loop {
            let pushed = self.pushed.notified();
            if let Some(item) = self.try_take() {
                return item;
            }
            pushed.await;
        }
    }

    fn try_take(&self) -> Option<Item> {
        let mut waiting = self.waiting.lock();
        let item = waiting.items.pop_front()?;
        waiting.bytes -= item.body.len();
        self.length.dec();
        Some(item)
    }

    /// Puts back items that were taken and certainly not sent, in their order.
    pub(super) fn put_back(&self, items: Vec<Item>) {
        let mut waiting = self.waiting.lock();
        for item in items.into_iter().rev() {
            waiting.bytes += item.body.len();
            waiting.items.push_front(item);
            self.length.inc();
        }
        drop(waiting);
        self.pushed.notify_one();
        self.returned.notify_waiters();
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
        true
    }
}

impl Item {
    /// Reports the outcome to the ticket.
    pub(super) fn complete(self, outcome: Result<u64, SendError>) {
        // The ticket may be gone.
        let _ = self.outcome.send(outcome);
    }

    /// Returns whether the ticket is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.outcome.is_closed()
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

    async fn next(queue: &Queue) -> Bytes {
        queue.take().await.body
    }

    #[tokio::test]
    async fn items_are_taken_in_order_even_after_they_were_put_back() {
        let queue = queue(10, 100);
        let _tickets = ["1", "2", "3"].map(|body| push(&queue, body).unwrap());
        let items = vec![queue.take().await, queue.take().await];
        queue.put_back(items);
        for expected in ["1", "2", "3"] {
            assert_eq!(next(&queue).await, expected);
        }
        assert!(queue.take().now_or_never().is_none());
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
        let item = queue.take().await;
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
        let item = queue.take().await;
        let (outcome, ()) = tokio::join!(ticket.outcome(), async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            queue.put_back(vec![item]);
        });
        assert_eq!(outcome, None);
        assert_eq!(queue.length().get(), 0);
    }

    #[tokio::test]
    async fn closing_fails_all_tickets() {
        let queue = queue(10, 100);
        let ticket = push(&queue, "1").unwrap();
        let under_way = push(&queue, "2").unwrap();
        drop(queue.take().await);
        let error = SendError::Disconnected { reason: "the end".into() };
        queue.close(&error);
        assert!(matches!(ticket.outcome().await, Some(Err(SendError::Failed { .. }))));
        assert_eq!(under_way.outcome().await, Some(Err(error)));
        assert_eq!(push(&queue, "2").unwrap_err(), Refused::Closed);
    }
}
