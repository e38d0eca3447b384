//! The loop that writes messages to the client.
//!
//! It sends answers of this server, messages of the backplane, and pings. Ready messages share a
//! frame. An answer does not overtake the messages that its method sent before. The writer holds it
//! until the backplane returns a mark behind the last of them.

use std::{collections::VecDeque, future, mem, time::Duration};

use backplane::{Cursor, Received};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::{
    select,
    sync::mpsc,
    time::{self, Instant},
};
use tracing::debug;

use super::{Conversation, sequence::Sequence};
use crate::{
    answers::{Answer, ToWrite},
    disconnect::Disconnect,
    handshake,
    metrics::Metrics,
    options::Options,
    protocol::Encoding,
    transport::Outgoing,
};

/// The loop that writes messages.
pub(super) struct Writer<'a, O> {
    options: &'a Options,
    metrics: &'a Metrics,
    /// Counted since the last flush.
    delivered: u64,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<&'a Sequence>,
    /// Whether a stateful client has no transport. Messages are kept until it has one.
    is_lost: bool,
    /// Messages to send again, before all others.
    repeated: VecDeque<Bytes>,
    /// The reason for the end of the connection, behind messages that are still written.
    end: Option<Disconnect>,
    connection: backplane::Connection,
    pub(super) to_write: mpsc::Receiver<ToWrite>,
    /// Whether the reader has ended and no further answer comes.
    is_ending: bool,
    /// Answers that wait for messages of their methods, in order.
    held: VecDeque<Answer>,
    /// The place of the last requested mark.
    marked: Option<Cursor>,
    /// Answers after messages up to this place are due.
    reached: Option<Cursor>,
    outgoing: &'a mut O,
}

impl<'a, O: Outgoing> Writer<'a, O> {
    pub(super) fn new(
        Conversation { hub, encoding, sequence, .. }: Conversation<'a>,
        connection: backplane::Connection,
        to_write: mpsc::Receiver<ToWrite>,
        outgoing: &'a mut O,
    ) -> Self {
        Self {
            options: hub.options(),
            metrics: hub.metrics(),
            delivered: 0,
            encoding,
            sequence,
            is_lost: false,
            repeated: VecDeque::new(),
            end: None,
            connection,
            to_write,
            is_ending: false,
            held: VecDeque::new(),
            marked: None,
            reached: None,
            outgoing,
        }
    }

    /// Writes until the reader has ended and its last result is written, with all messages before
    /// it. A message that the broker does not return delays a result by the write timeout at most.
    ///
    /// The handshake reply comes first, in a frame of its own, since clients refuse any other
    /// message before it.
    pub(super) async fn run(&mut self) -> Result<(), Disconnect> {
        let write_timeout = self.options.write_timeout;
        self.outgoing.set_binary(self.encoding.is_binary());
        let accept = async {
            self.outgoing.queue(handshake::ACCEPTED).await?;
            self.outgoing.flush().await
        };
        in_time(write_timeout, accept).await?;
        let mut next_ping = Instant::now() + self.options.keep_alive;
        loop {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            if self.is_ending && self.held.is_empty() {
                return Ok(());
            }
            let may_send = self.may_send();
            let overdue = self.held.front().map_or(next_ping, |held| held.queued + write_timeout);
            let confirmation = self.sequence.and_then(Sequence::confirmation);
            let next = select! {
                // A result becomes overdue only if no message is ready.
                biased;
                () = self.outgoing.replaced() => {
                    self.repeat();
                    None
                }
                next = self.to_write.recv(), if may_send && self.has_room() => {
                    self.take(next.unwrap_or(ToWrite::End));
                    self.due()
                }
                received = self.connection.recv_or_gap(), if may_send => {
                    self.message(received?)?.or_else(|| self.due())
                }
                () = changed(self.sequence) => None,
                () = time::sleep_until(confirmation.unwrap_or(next_ping)),
                    if confirmation.is_some() => self.confirm(),
                () = time::sleep_until(next_ping), if self.outgoing.needs_pings() => {
                    Some(Next::Plain(self.encoding.ping()))
                }
                () = time::sleep_until(overdue), if may_send && !self.held.is_empty() => {
                    debug!("a message of a method did not return in time");
                    self.reached = self.held.front().and_then(|held| held.after);
                    self.due()
                }
            };
            let next = next.or_else(|| self.repeated.pop_front().map(Next::Plain));
            if let Some(next) = next {
                match in_time(write_timeout, self.write(next)).await {
                    Err(Disconnect::Lost(_) | Disconnect::WriteTimeout)
                        if self.sequence.is_some() =>
                    {
                        self.is_lost = true;
                    }
                    written => written?,
                }
                next_ping = Instant::now() + self.options.keep_alive;
            }
        }
    }

    /// Writes one message and all other ready messages, in few frames and with one flush.
    async fn write(&mut self, first: Next) -> Result<(), Disconnect> {
        let mut frame = Gathered::One(self.note(first));
        let mut written = 0;
        for _ in 1..BATCH_MAX {
            let Some(next) = self.ready() else { break };
            let message = self.note(next);
            if let Some(full) = frame.add(message)
                && !self.is_lost
            {
                written += full.len();
                self.outgoing.queue(full).await?;
            }
        }
        if self.is_lost {
            return Ok(());
        }
        let last = frame.into_bytes();
        written += last.len();
        self.outgoing.queue(last).await?;
        self.outgoing.flush().await?;
        self.metrics.written.inc_by(written as u64);
        self.metrics.delivered.inc_by(mem::take(&mut self.delivered));
        Ok(())
    }

    /// Takes note of a message that the client confirms, before it is sent.
    fn note(&self, next: Next) -> Bytes {
        match (next, self.sequence) {
            (Next::Numbered(message), Some(sequence)) => {
                sequence.sent(message.clone());
                message
            }
            (Next::Numbered(message) | Next::Plain(message), _) => message,
        }
    }

    /// Sends all that the client has not confirmed again, on a new transport.
    fn repeat(&mut self) {
        let Some(sequence) = self.sequence else { return };
        let (number, messages) = sequence.to_repeat();
        self.is_lost = false;
        self.repeated = VecDeque::from(messages);
        self.repeated.push_front(self.encoding.sequence(number));
    }

    fn confirm(&self) -> Option<Next> {
        let number = self.sequence?.confirm();
        Some(Next::Plain(self.encoding.ack(number)))
    }

    /// Returns a message that is ready now.
    ///
    /// The reason for the end of the connection is kept, and the messages before it are written.
    fn ready(&mut self) -> Option<Next> {
        if let Some(message) = self.repeated.pop_front() {
            return Some(Next::Plain(message));
        }
        while self.end.is_none() && self.may_send() {
            if let Some(result) = self.due() {
                return Some(result);
            }
            if self.has_room()
                && let Ok(next) = self.to_write.try_recv()
            {
                self.take(next);
                continue;
            }
            match self.connection.recv_or_gap().now_or_never()?.map_err(Into::into) {
                Ok(received) => match self.message(received) {
                    Ok(Some(message)) => return Some(message),
                    Ok(None) => {}
                    Err(end) => self.end = Some(end),
                },
                Err(end) => self.end = Some(end),
            }
        }
        None
    }

    /// Returns whether the client has confirmed enough for more messages.
    fn may_send(&self) -> bool {
        self.repeated.is_empty() && self.sequence.is_none_or(Sequence::has_room)
    }

    /// Returns whether another answer can be held.
    fn has_room(&self) -> bool {
        !self.is_ending && self.held.len() < HELD_MAX
    }

    fn take(&mut self, next: ToWrite) {
        match next {
            ToWrite::Answer(answer) => self.hold(answer),
            ToWrite::End => self.is_ending = true,
        }
    }

    /// Holds an answer until the connection has received the messages before it.
    fn hold(&mut self, answer: Answer) {
        if answer.after > self.marked
            && let Some(place) = answer.after
        {
            self.connection.mark_after(place);
            self.marked = answer.after;
        }
        self.held.push_back(answer);
    }

    /// Returns the next result, if the messages before it have been received.
    fn due(&mut self) -> Option<Next> {
        let reached = self.reached;
        while let Some(answer) = self.held.pop_front_if(|answer| answer.after <= reached) {
            if !answer.message.is_empty() {
                return Some(Next::Numbered(answer.message));
            }
        }
        None
    }

    /// Returns the message for the client, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error for a gap: SignalR has no message that reports lost messages to a client.
    fn message(&mut self, received: Received) -> Result<Option<Next>, Disconnect> {
        match received {
            Received::Invocation(invocation) => {
                self.delivered += 1;
                Ok(Some(Next::Numbered(self.encoding.invocation(&invocation))))
            }
            Received::Gap(gap) => Err(Disconnect::Gap(gap)),
            Received::Mark(place) => {
                self.reached = self.reached.max(Some(place));
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

/// Waits for a change of the numbers, if there are any. Cancel safe.
async fn changed(sequence: Option<&Sequence>) {
    match sequence {
        Some(sequence) => sequence.changed().await,
        None => future::pending().await,
    }
}

/// A message to write.
enum Next {
    /// A stateful client confirms it.
    Numbered(Bytes),
    Plain(Bytes),
}

/// Waits for a write, at most for the write timeout.
async fn in_time(
    write_timeout: Duration,
    write: impl Future<Output = Result<(), Disconnect>>,
) -> Result<(), Disconnect> {
    time::timeout(write_timeout, write).await.map_err(|_| Disconnect::WriteTimeout)?
}

/// Messages for one frame. A single message is not copied.
enum Gathered {
    One(Bytes),
    Several(BytesMut),
}

impl Gathered {
    /// Adds a message. If it does not fit, it begins the next frame, and the full one is returned.
    fn add(&mut self, next: Bytes) -> Option<Bytes> {
        let bytes = match self {
            Self::One(one) => one.len(),
            Self::Several(several) => several.len(),
        };
        if bytes + next.len() > FRAME_BYTES_MAX {
            return Some(mem::replace(self, Self::One(next)).into_bytes());
        }
        match self {
            Self::One(one) => {
                let mut several = BytesMut::with_capacity(FRAME_BYTES_MAX);
                several.extend_from_slice(one);
                several.extend_from_slice(&next);
                *self = Self::Several(several);
            }
            Self::Several(several) => several.extend_from_slice(&next),
        }
        None
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several.freeze(),
        }
    }
}

/// Maximum number of results that wait for messages of their methods.
const HELD_MAX: usize = 64;
/// Maximum number of messages for one flush, since all of them share one write timeout.
const BATCH_MAX: usize = 64;
/// Maximum size of a frame with several messages. Two of them fit the buffer of the WebSocket.
const FRAME_BYTES_MAX: usize = 8 * 1024;
