//! The queue of one in-process subscriber, with its limit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use locks::Mutex;

use crate::observe::disconnect::Disconnect;
use crate::pubsub::id_set::Identified;
use crate::pubsub::message::Message;

/// Messages that one in-process subscriber has not read yet.
#[derive(Debug)]
pub(crate) struct Mailbox {
    number: u64,
    bytes_max: usize,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    closed: Option<Disconnect>,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(crate) fn new(number: u64, bytes_max: usize) -> Self {
        Self { number, bytes_max, state: Mutex::new(State::default()) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Queues a message. A mailbox over its limit closes itself.
    pub(crate) fn push(&self, message: Message) -> Push {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Push::Refused(message);
        }
        state.bytes += message.bytes();
        state.messages.push_back(message);
        if state.bytes > self.bytes_max {
            state.closed = Some(Disconnect::SlowSubscriber);
            let dropped = std::mem::take(&mut state.messages);
            return Push::Overflowed(state.reader.take(), dropped);
        }
        Push::Queued(state.reader.take())
    }

    pub(super) fn poll_take(&self, cx: &task::Context<'_>) -> Poll<Result<Message, Disconnect>> {
        let mut state = self.state.lock();
        match (state.take(), state.closed) {
            (Some(message), _) => Poll::Ready(Ok(message)),
            (None, Some(reason)) => Poll::Ready(Err(reason)),
            (None, None) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The result of [`Mailbox::push`]. The caller wakes the reader and drops messages once it holds no
/// lock, since both may run code of the program around the broker.
#[derive(Debug)]
pub(crate) enum Push {
    Queued(Option<Waker>),
    /// The mailbox went over its limit with this message and is closed.
    Overflowed(Option<Waker>, VecDeque<Message>),
    /// The mailbox was closed before.
    Refused(Message),
}

impl State {
    pub(super) fn take(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        if self.messages.is_empty() {
            // A burst must not stay allocated.
            self.messages.shrink_to(64);
        }
        Some(message)
    }
}

impl Identified for Arc<Mailbox> {
    fn id(&self) -> u64 {
        self.number
    }
}
