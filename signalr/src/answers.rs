//! Messages of this server for one of its connections, on their way to the writer.
//!
//! These are results, items of streams and invocations that expect a result. They do not pass the
//! backplane, so each names the message of the backplane that it follows. An empty queue holds no
//! memory.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use backplane::{Cursor, Interrupt};
use bytes::Bytes;
use locks::Mutex;
use tokio::{sync::Semaphore, time::Instant};

/// A message for the client.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Empty at the end, which also waits for the messages of the methods.
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
    /// Raised after each change.
    interrupt: Interrupt,
    /// One permit for each message that the queue can take. Waiters get them in order.
    room: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    is_ending: bool,
}

impl Answers {
    /// Returns an empty queue, which interrupts the writer when there is an answer.
    pub(crate) fn channel(interrupt: Interrupt) -> (Self, ToWrite) {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            interrupt,
            room: Semaphore::new(ANSWERS_MAX),
        });
        (Self(Arc::clone(&queue)), ToWrite(queue))
    }

    /// Queues a message, and waits for room. Returns whether the writer is still there. An empty
    /// message is for a client that expects nothing.
    pub(crate) async fn send(&self, message: Bytes, after: Option<Cursor>) -> bool {
        if message.is_empty() {
            return true;
        }
        let queued = Instant::now();
        let Ok(permit) = self.0.room.acquire().await else { return false };
        // Returned when the message is taken.
        permit.forget();
        self.0.push(Answer { message, after, queued });
        true
    }

    /// Tells the writer that no answer follows, and where the last message of the methods is.
    pub(crate) fn end(&self, after: Option<Cursor>) {
        self.0.state.lock().is_ending = true;
        self.0.push(Answer { message: Bytes::new(), after, queued: Instant::now() });
    }
}

impl Queue {
    fn push(&self, answer: Answer) {
        self.state.lock().answers.push_back(answer);
        self.interrupt.raise();
    }
}

impl ToWrite {
    /// Takes the next answer, or `None` if no answer follows. It is pending until the next
    /// interrupt.
    pub(crate) fn try_recv(&self) -> Poll<Option<Answer>> {
        let mut state = self.0.state.lock();
        if let Some(answer) = state.answers.pop_front() {
            if state.answers.is_empty() {
                state.answers = VecDeque::new();
            }
            self.0.room.add_permits(1);
            return Poll::Ready(Some(answer));
        }
        if state.is_ending { Poll::Ready(None) } else { Poll::Pending }
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
const ANSWERS_MAX: usize = 16;
