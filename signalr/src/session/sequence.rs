//! The numbers of the messages of a stateful connection, in both directions.
//!
//! Each side numbers the messages that it sends and keeps them until the other side has confirmed
//! them. On a new transport it names the number of the first message that it sends again.

use std::{
    collections::VecDeque,
    mem,
    task::{Context, Poll},
};

use backplane::Cursor;
use bytes::Bytes;
use locks::Mutex;
use tokio::time::{Duration, Instant};

use crate::{disconnect::Disconnect, protocol::message::ClientMessage, signal::Signal};

/// The numbers of one connection, which its reader and its writer share.
#[derive(Debug)]
pub(super) struct Sequence {
    state: Mutex<State>,
    /// Wakes the writer after each change by the reader.
    changed: Signal,
    /// Asks the reader to drop the transport, so that the client goes on at another server.
    cut: Signal,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Messages that the client has not confirmed, from number `confirmed` + 1.
    unconfirmed: VecDeque<Bytes>,
    unconfirmed_bytes: usize,
    /// The time of the last confirmation, or of the first message that has to wait.
    full_since: Option<Instant>,
    /// Number of messages that the client has confirmed.
    confirmed: u64,
    /// Number of messages that the session has handled.
    handled: u64,
    /// Number of the last message that the client has sent on the current transport.
    current: u64,
    /// Whether the client has still to name the number of its first message.
    awaits_sequence: bool,
    /// The time of the next confirmation.
    confirmation: Option<Instant>,
    /// Whether the session leaves for another server.
    is_leaving: bool,
    /// Whether the session ends here. Its last messages do not wait for the client.
    is_over: bool,
    /// The place of the connection that has left.
    left_at: Option<LeftAt>,
}

/// The groups of a connection that has left, and its place in the order.
pub(super) type LeftAt = (Vec<String>, Cursor);

/// The numbers of a connection, and its messages that the client has not confirmed.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) confirmed: u64,
    pub(super) unconfirmed: Vec<Bytes>,
    pub(super) handled: u64,
}

impl Sequence {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (changed, cut) = (Signal::default(), Signal::default());
        Self { state: Mutex::default(), changed, cut, bytes_max }
    }

    /// Returns the numbers of a connection that comes from another server. The client has still to name
    /// its first one.
    pub(super) fn of(numbers: Numbers, bytes_max: usize) -> Self {
        let Numbers { confirmed, unconfirmed, handled } = numbers;
        let unconfirmed_bytes = unconfirmed.iter().map(Bytes::len).sum();
        let state = State {
            unconfirmed_bytes,
            full_since: (unconfirmed_bytes >= bytes_max).then(Instant::now),
            unconfirmed: unconfirmed.into(),
            confirmed,
            handled,
            current: handled,
            awaits_sequence: true,
            confirmation: None,
            is_leaving: false,
            is_over: false,
            left_at: None,
        };
        Self { state: Mutex::new(state), ..Self::new(bytes_max) }
    }

    /// Returns the numbers for the next server.
    pub(super) fn numbers(&self) -> Numbers {
        let State { confirmed, unconfirmed, handled, .. } = &*self.state.lock();
        Numbers {
            confirmed: *confirmed,
            unconfirmed: unconfirmed.iter().cloned().collect(),
            handled: *handled,
        }
    }

    /// Lets the writer take the last results of the session at any size, since it leaves.
    pub(super) fn leave(&self) {
        self.state.lock().is_leaving = true;
    }

    /// Lets the writer take the last results of the session at any size. A client that has left confirms
    /// none.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.set();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.state.lock().is_leaving
    }

    /// Takes note of the place of a connection that has left. It has none if it has just ended.
    pub(super) fn left_at(&self, left_at: Option<LeftAt>) {
        self.state.lock().left_at = left_at;
    }

    /// Returns the place of a connection that has left.
    pub(super) fn take_left_at(&self) -> Option<LeftAt> {
        self.state.lock().left_at.take()
    }

    /// Asks the reader to drop the transport.
    pub(super) fn cut(&self) {
        self.cut.set();
    }

    /// Returns whether the transport is to be dropped, or registers the reader.
    pub(super) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.cut.poll_set(cx)
    }

    /// Takes note of a message that is sent.
    pub(super) fn sent(&self, message: Bytes) {
        let mut state = self.state.lock();
        state.unconfirmed_bytes += message.len();
        state.unconfirmed.push_back(message);
        if state.full_since.is_none() && state.unconfirmed_bytes >= self.bytes_max {
            state.full_since = Some(Instant::now());
        }
    }

    /// Returns whether another message may be sent before the client confirms some.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.unconfirmed_bytes < self.bytes_max || state.is_leaving || state.is_over
    }

    /// Returns the time since which the client must confirm messages before another one is sent, and has
    /// confirmed none.
    pub(super) fn full_since(&self) -> Option<Instant> {
        self.state.lock().full_since
    }

    /// Returns the number of the first message to send again, and all of them.
    pub(super) fn to_repeat(&self) -> (u64, Vec<Bytes>) {
        let state = self.state.lock();
        (state.confirmed + 1, state.unconfirmed.iter().cloned().collect())
    }

    /// Returns the time at which the next confirmation is due.
    pub(super) fn confirmation(&self) -> Option<Instant> {
        self.state.lock().confirmation
    }

    /// Returns the number to confirm.
    pub(super) fn confirm(&self) -> u64 {
        let mut state = self.state.lock();
        state.confirmation = None;
        state.handled
    }

    /// Returns whether the reader has changed something, or registers the writer.
    pub(super) fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.changed.poll_set(cx)
    }

    /// Called when the client has opened another transport.
    pub(super) fn resumed(&self) {
        let mut state = self.state.lock();
        state.awaits_sequence = true;
        // The client could confirm nothing meanwhile.
        state.full_since = state.full_since.map(|_| Instant::now());
    }

    /// Takes note of a message of the client, and returns whether the session handles it.
    ///
    /// # Errors
    ///
    /// Returns an error if messages of the client are missing.
    pub(super) fn admit(&self, message: &ClientMessage<'_>) -> Result<bool, Disconnect> {
        let mut state = self.state.lock();
        let is_handled = match message {
            ClientMessage::Ack(number) => {
                if state.confirm_up_to(*number) {
                    let is_full = state.unconfirmed_bytes >= self.bytes_max;
                    state.full_since = is_full.then(Instant::now);
                }
                false
            }
            ClientMessage::Sequence(number) => {
                if *number > state.handled + 1 {
                    return Err(Disconnect::Sequence);
                }
                state.current = number.saturating_sub(1);
                state.awaits_sequence = false;
                false
            }
            _ if state.awaits_sequence => return Ok(false),
            ClientMessage::Ping | ClientMessage::Close | ClientMessage::Other => return Ok(true),
            _ => {
                state.current += 1;
                let is_new = state.current > state.handled;
                if is_new {
                    state.handled = state.current;
                }
                if state.current == state.handled && state.confirmation.is_none() {
                    state.confirmation = Some(Instant::now() + CONFIRMATION_DELAY);
                }
                is_new
            }
        };
        drop(state);
        self.changed.set();
        Ok(is_handled)
    }
}

impl State {
    /// Returns whether the client has confirmed something new.
    fn confirm_up_to(&mut self, number: u64) -> bool {
        let before = self.confirmed;
        while self.confirmed < number
            && let Some(message) = self.unconfirmed.pop_front()
        {
            self.confirmed += 1;
            self.unconfirmed_bytes -= message.len();
        }
        if self.unconfirmed.is_empty() {
            mem::take(&mut self.unconfirmed);
        }
        self.confirmed > before
    }
}

/// Time from a message to its confirmation, which is for all messages up to then. As in ASP.NET
/// Core.
const CONFIRMATION_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_message_is_handled_once() {
        let sequence = Sequence::new(100);
        assert!(sequence.admit(&call()).unwrap());
        assert!(sequence.admit(&call()).unwrap());
        sequence.resumed();
        assert!(!sequence.admit(&call()).unwrap(), "before the first number is known");
        assert!(!sequence.admit(&ClientMessage::Sequence(2)).unwrap());
        assert!(!sequence.admit(&call()).unwrap());
        assert!(sequence.admit(&call()).unwrap());
        assert_eq!(sequence.confirm(), 3);
        assert!(matches!(sequence.admit(&ClientMessage::Sequence(5)), Err(Disconnect::Sequence)));
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_kept_until_they_are_confirmed() {
        let sequence = Sequence::new(4);
        for message in [&b"ab"[..], b"cd"] {
            assert!(sequence.has_room());
            sequence.sent(Bytes::from_static(message));
        }
        assert!(!sequence.has_room());
        assert_eq!(sequence.to_repeat(), (1, vec!["ab".into(), "cd".into()]));
        sequence.admit(&ClientMessage::Ack(1)).unwrap();
        assert!(sequence.has_room());
        assert_eq!(sequence.to_repeat(), (2, vec!["cd".into()]));
        // Numbers that were never sent confirm nothing more.
        sequence.admit(&ClientMessage::Ack(99)).unwrap();
        assert_eq!(sequence.to_repeat(), (3, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmation_is_due_a_second_after_a_message() {
        let sequence = Sequence::new(4);
        sequence.admit(&ClientMessage::Ping).unwrap();
        assert_eq!(sequence.confirmation(), None);
        let start = Instant::now();
        sequence.admit(&call()).unwrap();
        assert_eq!(sequence.confirmation(), Some(start + CONFIRMATION_DELAY));
        assert_eq!(sequence.confirm(), 1);
        assert_eq!(sequence.confirmation(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_go_on_at_another_server() {
        let here = Sequence::new(2);
        here.sent(Bytes::from_static(b"ab"));
        here.sent(Bytes::from_static(b"cd"));
        here.admit(&ClientMessage::Ack(1)).unwrap();
        here.admit(&call()).unwrap();
        assert!(!here.has_room());
        here.leave();
        assert!(here.has_room(), "the last results");

        let there = Sequence::of(here.numbers(), 100);
        assert_eq!(there.to_repeat(), (2, vec!["cd".into()]));
        assert!(!there.admit(&call()).unwrap(), "before the first number is known");
        there.admit(&ClientMessage::Sequence(1)).unwrap();
        assert!(!there.admit(&call()).unwrap(), "the repeated call");
        assert!(there.admit(&call()).unwrap());
        assert_eq!(there.confirm(), 2);
    }

    fn call() -> ClientMessage<'static> {
        ClientMessage::CancelInvocation { id: "1".into() }
    }
}
