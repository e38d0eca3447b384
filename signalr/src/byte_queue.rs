//! Bytes between the requests of a client and its session, bounded in bytes.
//!
//! A push waits for room, so a reader that is slow slows down the writer. A piece over the whole
//! limit passes if the queue is empty. Bytes that were queued before the close can still be taken.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use locks::Mutex;
use tokio::sync::Notify;

/// A queue of bytes with a limit.
#[derive(Debug)]
pub(crate) struct ByteQueue {
    bytes_max: usize,
    state: Mutex<State>,
    /// Wakes readers after a push and after the close.
    filled: Notify,
    /// Wakes writers after a take and after the close.
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    bytes: usize,
    is_closed: bool,
}

/// The queue is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl ByteQueue {
    /// Creates an empty queue that holds `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (filled, taken) = (Notify::new(), Notify::new());
        Self { bytes_max, state: Mutex::default(), filled, taken }
    }

    /// Waits for room and adds a piece. Cancel safe: either all of it is added or nothing.
    pub(crate) async fn push(&self, piece: Bytes) -> Result<(), Closed> {
        when(&self.taken, || self.try_push(&piece)).await?;
        self.filled.notify_waiters();
        Ok(())
    }

    /// Waits for bytes and takes all of them, or returns `None` at the end. Cancel safe.
    pub(crate) async fn take(&self) -> Option<Bytes> {
        let taken = when(&self.filled, || self.try_take()).await;
        self.taken.notify_waiters();
        taken
    }

    /// Refuses further pieces.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.filled.notify_waiters();
        self.taken.notify_waiters();
    }

    fn try_push(&self, piece: &Bytes) -> Option<Result<(), Closed>> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Some(Err(Closed));
        }
        if state.bytes > 0 && state.bytes + piece.len() > self.bytes_max {
            return None;
        }
        if !piece.is_empty() {
            state.bytes += piece.len();
            state.pieces.push(piece.clone());
        }
        Some(Ok(()))
    }

    fn try_take(&self) -> Option<Option<Bytes>> {
        let mut state = self.state.lock();
        let bytes = std::mem::take(&mut state.bytes);
        match &mut *std::mem::take(&mut state.pieces) {
            [] => state.is_closed.then_some(None),
            [only] => Some(Some(std::mem::take(only))),
            several => {
                let mut all = BytesMut::with_capacity(bytes);
                several.iter().for_each(|piece| all.extend_from_slice(piece));
                Some(Some(all.freeze()))
            }
        }
    }
}

/// Waits until `ready` returns a value. It is called again after each notification.
async fn when<T>(notify: &Notify, mut ready: impl FnMut() -> Option<T>) -> T {
    let mut notified = pin!(notify.notified());
    loop {
        // Enabled before the check, so no notification is lost in between.
        notified.as_mut().enable();
        if let Some(value) = ready() {
            return value;
        }
        notified.as_mut().await;
        notified.set(notify.notified());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn bytes_come_in_order_and_as_one() {
        let queue = ByteQueue::new(8);
        for piece in ["ab", "", "c"] {
            queue.push(piece.into()).await.unwrap();
        }
        assert_eq!(queue.take().await, Some("abc".into()));
        assert_eq!(queue.take().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_push_waits_for_room() {
        let queue = ByteQueue::new(4);
        queue.push("abc".into()).await.unwrap();
        let mut second = Box::pin(queue.push("de".into()));
        assert_eq!((&mut second).now_or_never(), None);
        assert_eq!(queue.take().await, Some("abc".into()));
        second.await.unwrap();
        assert_eq!(queue.take().await, Some("de".into()));
    }

    #[tokio::test]
    async fn a_piece_over_the_limit_passes_an_empty_queue() {
        let queue = ByteQueue::new(4);
        queue.push("abcdefgh".into()).await.unwrap();
        assert_eq!(queue.push("i".into()).now_or_never(), None);
        assert_eq!(queue.take().await, Some("abcdefgh".into()));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_the_rest_and_takes_nothing() {
        let queue = ByteQueue::new(4);
        queue.push("abc".into()).await.unwrap();
        let waiting = queue.push("de".into());
        queue.close();
        assert_eq!(waiting.await, Err(Closed));
        assert_eq!(queue.take().await, Some("abc".into()));
        assert_eq!(queue.take().await, None);
    }

    #[tokio::test]
    async fn a_close_ends_the_wait_for_bytes() {
        let queue = ByteQueue::new(4);
        let mut taking = Box::pin(queue.take());
        assert_eq!((&mut taking).now_or_never(), None);
        queue.close();
        assert_eq!(taking.await, None);
    }
}

#[cfg(all(test, shuttle))]
mod interleavings;
