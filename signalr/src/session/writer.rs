//! The loop that writes messages to the client.
//!
//! It sends answers of this server, messages of the backplane, and pings. Ready messages share a
//! frame. An answer does not overtake the messages that its method sent before. The writer holds it
//! until the backplane returns a mark behind the last of them.

use std::{collections::VecDeque, mem, time::Duration};

use backplane::{Cursor, Received};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::{
    select,
    sync::mpsc,
    time::{self, Instant},
};
use tracing::debug;

use crate::{
    answers::{Answer, ToWrite},
    disconnect::Disconnect,
    handshake,
    options::Options,
    protocol::Encoding,
    transport::Outgoing,
};

/// The loop that writes messages.
pub(super) struct Writer<'a, O> {
    options: &'a Options,
    encoding: Encoding,
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
        options: &'a Options,
        encoding: Encoding,
        connection: backplane::Connection,
        to_write: mpsc::Receiver<ToWrite>,
        outgoing: &'a mut O,
    ) -> Self {
        Self {
            options,
            encoding,
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
            if self.is_ending && self.held.is_empty() {
                return Ok(());
            }
            let overdue = self.held.front().map_or(next_ping, |held| held.queued + write_timeout);
            let next = select! {
                // A result becomes overdue only if no message is ready.
                biased;
                next = self.to_write.recv(), if self.has_room() => {
                    self.take(next.unwrap_or(ToWrite::End));
                    self.due()
                }
                received = self.connection.recv_or_gap() => {
                    self.message(received?)?.or_else(|| self.due())
                }
                () = time::sleep_until(next_ping), if self.outgoing.needs_pings() => {
                    Some(self.encoding.ping())
                }
                () = time::sleep_until(overdue), if !self.held.is_empty() => {
                    debug!("a message of a method did not return in time");
                    self.reached = self.held.front().and_then(|held| held.after);
                    self.due()
                }
            };
            if let Some(next) = next {
                in_time(write_timeout, self.write(next)).await?;
                next_ping = Instant::now() + self.options.keep_alive;
            }
        }
    }

    /// Writes one message and all other ready messages, in few frames and with one flush.
    ///
    /// Messages before the end of the connection are still written.
    async fn write(&mut self, first: Bytes) -> Result<(), Disconnect> {
        let mut frame = Gathered::One(first);
        let mut end = Ok(());
        for _ in 1..BATCH_MAX {
            let next = match self.ready() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(disconnect) => {
                    end = Err(disconnect);
                    break;
                }
            };
            if let Some(full) = frame.add(next) {
                self.outgoing.queue(full).await?;
            }
        }
        self.outgoing.queue(frame.into_bytes()).await?;
        self.outgoing.flush().await?;
        end
    }

    /// Returns a message that is ready now.
    fn ready(&mut self) -> Result<Option<Bytes>, Disconnect> {
        loop {
            if let Some(result) = self.due() {
                return Ok(Some(result));
            }
            if self.has_room()
                && let Ok(next) = self.to_write.try_recv()
            {
                self.take(next);
                continue;
            }
            let Some(received) = self.connection.recv_or_gap().now_or_never() else {
                return Ok(None);
            };
            if let Some(message) = self.message(received?)? {
                return Ok(Some(message));
            }
        }
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
    fn due(&mut self) -> Option<Bytes> {
        let reached = self.reached;
        while let Some(answer) = self.held.pop_front_if(|answer| answer.after <= reached) {
            if !answer.message.is_empty() {
                return Some(answer.message);
            }
        }
        None
    }

    /// Returns the message for the client, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error for a gap: SignalR has no message that reports lost messages to a client.
    fn message(&mut self, received: Received) -> Result<Option<Bytes>, Disconnect> {
        match received {
            Received::Invocation(invocation) => Ok(Some(self.encoding.invocation(&invocation))),
            Received::Gap(gap) => Err(Disconnect::Gap(gap)),
            Received::Mark(place) => {
                self.reached = self.reached.max(Some(place));
                Ok(None)
            }
            _ => Ok(None),
        }
    }
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
