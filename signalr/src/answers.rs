//! Messages of this server for one of its connections, on their way to the writer.
//!
//! These are results, items of streams and invocations that expect a result. They do not pass the
//! backplane, so each names the message of the backplane that it follows. An empty queue holds no
//! memory.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use backplane::Cursor;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};

use crate::signal::Signal;

/// A message for the client.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Empty if the client expects nothing. The end of the connection still waits for the messages
    /// of the method.
    pub(crate) message: Bytes,
    /// The last message that the connection's methods had sent.
    pub(crate) after: Option<Cursor>,
    pub(crate) queued: Instant,
}

/// Queues messages for the writer.
#[derive(Clone, Debug)]
pub(crate) struct Answers(Arc<Queue>);

/// The writer's end of the queue. Dropping it closes the queue.
#[derive(Debug)]
pub(crate) struct ToWrite(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    has_changed: Signal,
    /// One permit for each message that the queue can take. It serves those who wait in order.
    room: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    is_ending: bool,
}

impl Answers {
    /// Returns an empty queue.
    pub(crate) fn channel() -> (Self, ToWrite) {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            has_changed: Signal::default(),
            room: Semaphore::new(ANSWERS_MAX),
        });
        (Self(Arc::clone(&queue)), ToWrite(queue))
    }

    /// Queues a message, and waits for room. Returns whether the writer is still there.
    pub(crate) async fn send(&self, message: Bytes, after: Option<Cursor>) -> bool {
        if message.is_empty() && after.is_none() {
            return true;
        }
        let queued = Instant::now();
        let Ok(permit) = self.0.room.acquire().await else { return false };
        // Returned when the message is taken.
        permit.forget();
        self.0.state.lock().answers.push_back(Answer { message, after, queued });
        self.0.has_changed.set();
        true
    }

    /// Tells the writer that no answer follows.
    pub(crate) fn end(&self) {
        self.0.state.lock().is_ending = true;
        self.0.has_changed.set();
    }
}

impl ToWrite {
    /// Takes the next answer, or `None` if no answer follows, or registers the task.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        loop {
            {
                let mut state = self.0.state.lock();
                if let Some(answer) = state.answers.pop_front() {
                    if state.answers.is_empty() {
                        state.answers = VecDeque::new();
                    }
                    self.0.room.add_permits(1);
                    return Poll::Ready(Some(answer));
                }
                if state.is_ending {
                    return Poll::Ready(None);
                }
            }
            std::task::ready!(self.0.has_changed.poll_set(cx));
        }
    }

    /// Refuses further answers, and ends the wait for room.
    pub(crate) fn close(&self) {
        self.0.room.close();
    }
}

impl Drop for ToWrite {
    fn drop(&mut self) {
        self.close();
    }
}

/// Maximum number of queued messages. A stream waits while its client reads too slowly.
const ANSWERS_MAX: usize = 4;
