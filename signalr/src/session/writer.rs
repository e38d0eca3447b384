//! The loop that writes messages to the client.
//!
//! It sends answers of this server, messages of the backplane, and pings. Ready messages share a
//! frame. An answer does not overtake the messages that its method sent before. The writer holds it
//! until the backplane returns a mark behind the last of them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use backplane::{Cursor, Received};
use bytes::{Bytes, BytesMut};
use tokio::time::{self, Duration, Instant, Sleep};
use tracing::debug;

use super::{Conversation, sequence::Sequence};
use crate::{
    answers::{Answer, ToWrite},
    disconnect::Disconnect,
    handshake,
    hub::Hub,
    protocol::Encoding,
    transport::{Outgoing, Urgent},
};

/// The loop that writes messages.
pub(super) struct Writer<O> {
    hub: Arc<Hub>,
    /// Counted since the last flush.
    delivered: u64,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<Arc<Sequence>>,
    /// Whether a stateful client has no transport. Messages are kept until it has one.
    is_lost: bool,
    /// Messages to send again, before all others.
    repeated: VecDeque<Bytes>,
    /// The reason for the end of the connection, behind messages that are still written.
    end: Option<Disconnect>,
    connection: backplane::Connection,
    to_write: ToWrite,
    /// Whether the reader has ended and no further answer comes.
    is_ending: bool,
    /// Answers that wait for messages of their methods, in order.
    held: VecDeque<Answer>,
    /// The place of the last requested mark.
    marked: Option<Cursor>,
    /// Answers after messages up to this place are due.
    reached: Option<Cursor>,
    /// Whether there was no next message, and the task has been registered everywhere since it was
    /// woken.
    is_registered: bool,
    /// The time of the last write.
    written: Instant,
    /// Rings when something is due, or earlier: a write moves the next ping and not the alarm.
    alarm: Pin<Box<Sleep>>,
    outgoing: O,
}

impl<O: Outgoing> Writer<O> {
    pub(super) fn new(
        Conversation { hub, encoding, sequence, .. }: Conversation,
        connection: backplane::Connection,
        to_write: ToWrite,
        outgoing: O,
    ) -> Self {
        let written = Instant::now();
        let alarm = Box::pin(time::sleep_until(written + hub.options().keep_alive));
        Self {
            hub,
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
            is_registered: false,
            written,
            alarm,
            outgoing,
        }
    }

    /// Returns the transport.
    pub(super) fn into_outgoing(self) -> O {
        self.outgoing
    }

    /// Refuses further answers, so methods do not wait for room for theirs.
    pub(super) fn refuse_answers(&self) {
        self.to_write.close();
    }

    /// Drops all answers until none follows.
    pub(super) async fn drop_answers(&mut self) {
        while poll_fn(|cx| self.to_write.poll_recv(cx)).await.is_some() {}
    }

    /// Writes until the reader has ended and its last result is written, with all messages before
    /// it. A message that the broker does not return delays a result by the write timeout at most.
    ///
    /// The handshake reply comes first, in a frame of its own, since clients refuse any other
    /// message before it.
    pub(super) async fn run(&mut self) -> Result<(), Disconnect> {
        self.outgoing.set_binary(self.encoding.is_binary());
        self.send(Next::Plain(handshake::ACCEPTED), 1).await?;
        loop {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            if self.is_ending && self.held.is_empty() {
                return Ok(());
            }
            if mem::take(&mut self.is_registered) {
                woken().await;
            }
            let Some(next) = poll_fn(|cx| self.poll_next(cx)).await else { continue };
            match self.send(next, BATCH_MAX).await {
                Err(Disconnect::Lost(_) | Disconnect::WriteTimeout) if self.sequence.is_some() => {
                    self.is_lost = true;
                }
                sent => sent?,
            }
        }
    }

    /// Writes up to `batch_max` messages within the write timeout.
    async fn send(&mut self, first: Next, batch_max: usize) -> Result<(), Disconnect> {
        let write_timeout = self.hub.options().write_timeout;
        // Before the write, which must not end with a ping that is due without it.
        self.written = Instant::now();
        {
            let mut write = pin!(self.write(first, batch_max));
            // Nearly all writes complete at once, without a timer.
            match poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
                Poll::Ready(written) => return written,
                // In a box, since an idle writer needs no timer for it.
                Poll::Pending => Box::pin(time::timeout(write_timeout, write))
                    .await
                    .map_err(|_| Disconnect::WriteTimeout)??,
            }
        }
        // A source that woke the task meanwhile has forgotten it.
        self.is_registered = false;
        Ok(())
    }

    /// Writes one message and other ready messages, in few frames and with one flush.
    async fn write(&mut self, first: Next, batch_max: usize) -> Result<(), Disconnect> {
        let mut frame = Gathered::One(self.note(first));
        let mut written = 0;
        for _ in 1..batch_max {
            // The reason for the end of the connection is kept, and messages before it are written.
            let next = poll_fn(|cx| Poll::Ready(self.poll_next(cx))).await;
            self.is_registered = next.is_pending();
            let Poll::Ready(Some(next)) = next else { break };
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
        if !last.is_empty() {
            written += last.len();
            self.outgoing.queue(last).await?;
        }
        self.outgoing.flush().await?;
        let metrics = self.hub.metrics();
        metrics.written.inc_by(written as u64);
        metrics.delivered.inc_by(mem::take(&mut self.delivered));
        Ok(())
    }

    /// Takes note of a message that the client confirms, before it is sent.
    fn note(&self, next: Next) -> Bytes {
        match (next, &self.sequence) {
            (Next::Numbered(message), Some(sequence)) => {
                sequence.sent(message.clone());
                message
            }
            (Next::Numbered(message) | Next::Plain(message), _) => message,
            (Next::Nothing, _) => Bytes::new(),
        }
    }

    /// Sends all that the client has not confirmed again, on a new transport.
    fn repeat(&mut self) {
        let Some(sequence) = &self.sequence else { return };
        let (number, messages) = sequence.to_repeat();
        self.is_lost = false;
        self.repeated = VecDeque::from(messages);
        self.repeated.push_front(self.encoding.sequence(number));
    }

    /// Returns the next message, or registers the task. Returns `None` if the end of the connection
    /// is near.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        match self.outgoing.poll_urgent(cx) {
            Poll::Ready(Urgent::Replaced) => self.repeat(),
            Poll::Ready(Urgent::Flush) => return Poll::Ready(Some(Next::Nothing)),
            Poll::Pending => {}
        }
        if let Some(message) = self.repeated.pop_front() {
            return Poll::Ready(Some(Next::Plain(message)));
        }
        while self.end.is_none() && self.may_send() {
            if let Some(result) = self.due() {
                return Poll::Ready(Some(result));
            }
            if self.has_room()
                && let Poll::Ready(answer) = self.to_write.poll_recv(cx)
            {
                self.take(answer);
                continue;
            }
            let received = self.poll_received(cx);
            match received {
                Poll::Pending => break,
                Poll::Ready(Ok(received)) => match self.message(received) {
                    Ok(None) => {}
                    Ok(message) => return Poll::Ready(message),
                    Err(end) => self.end = Some(end),
                },
                Poll::Ready(Err(end)) => {
                    self.end = Some(Disconnect::of(end, &self.connection));
                }
            }
        }
        if self.end.is_some() || (self.is_ending && self.held.is_empty()) {
            return Poll::Ready(None);
        }
        if let Some(sequence) = &self.sequence
            && sequence.poll_changed(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        self.poll_overdue(cx).map(Some)
    }

    fn poll_received(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, backplane::Disconnect>> {
        match self.sequence {
            // Each message has a number.
            Some(_) => pin!(self.connection.recv_or_gap()).poll(cx),
            None => pin!(self.connection.recv_run()).poll(cx),
        }
    }

    /// Returns a message that is due, or registers the task.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut alarm_at = self.next_alarm();
        if alarm_at < self.alarm.deadline() {
            self.alarm.as_mut().reset(alarm_at);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if let Some(next) = self.overdue(Instant::now()) {
                return Poll::Ready(next);
            }
            alarm_at = self.next_alarm();
            self.alarm.as_mut().reset(alarm_at);
        }
        Poll::Pending
    }

    /// Returns the time at which something is due next.
    fn next_alarm(&self) -> Instant {
        [self.ping_at(), self.result_at(), self.confirmation_at()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR)
    }

    fn overdue(&mut self, now: Instant) -> Option<Next> {
        if self.confirmation_at().is_some_and(|at| at <= now) {
            let number = self.sequence.as_ref()?.confirm();
            return Some(Next::Plain(self.encoding.ack(number)));
        }
        if self.ping_at().is_some_and(|at| at <= now) {
            self.written = now;
            return Some(Next::Plain(self.encoding.ping()));
        }
        if self.result_at().is_some_and(|at| at <= now) {
            debug!("a message of a method did not return in time");
            self.reached = self.held.front().and_then(|held| held.after);
            return self.due();
        }
        None
    }

    fn ping_at(&self) -> Option<Instant> {
        self.outgoing.needs_pings().then(|| self.written + self.hub.options().keep_alive)
    }

    /// Returns the time from which the first held answer waits no longer.
    fn result_at(&self) -> Option<Instant> {
        let held = self.held.front().filter(|_| self.may_send())?;
        Some(held.queued + self.hub.options().write_timeout)
    }

    fn confirmation_at(&self) -> Option<Instant> {
        self.sequence.as_ref()?.confirmation()
    }

    /// Returns whether the client has confirmed enough for more messages.
    fn may_send(&self) -> bool {
        self.repeated.is_empty()
            && self.sequence.as_ref().is_none_or(|sequence| sequence.has_room())
    }

    /// Returns whether another answer can be held.
    fn has_room(&self) -> bool {
        !self.is_ending && self.held.len() < HELD_MAX
    }

    fn take(&mut self, answer: Option<Answer>) {
        match answer {
            Some(answer) => self.hold(answer),
            None => self.is_ending = true,
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
            Received::Run(run) => {
                self.delivered += run.iter().count() as u64;
                Ok(Some(Next::Plain(self.encoding.run(&run))))
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

/// Waits until the task is woken.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| match mem::replace(&mut is_woken, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// A message to write.
enum Next {
    /// A stateful client confirms it.
    Numbered(Bytes),
    Plain(Bytes),
    /// The transport has bytes of its own.
    Nothing,
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
/// Stands for never.
const FAR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
