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
    task::{Context, Poll, ready},
};

use backplane::{Cursor, Invocation, Received, Target};
use bytes::{Bytes, BytesMut};
use smallvec::smallvec;
use tokio::{
    select,
    task::coop::unconstrained,
    time::{self, Duration, Instant, Sleep},
};
use tracing::debug;

use super::{
    Conversation, part_of_close_window,
    places::{self, Places},
    sequence::Sequence,
};
use crate::{
    answers::{Answer, ToWrite},
    close_handle::CloseHandle,
    disconnect::Disconnect,
    handshake,
    hub::Hub,
    protocol::Encoding,
    transport::{Frames, Outgoing, Urgent},
};

/// The loop that writes messages.
pub(super) struct Writer<O> {
    hub: Arc<Hub>,
    close_handle: Arc<CloseHandle>,
    /// Counted since the last flush.
    delivered: u64,
    /// Size of the messages of the current flush.
    gathered: usize,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<Arc<Sequence>>,
    /// Set for a resumable client.
    places: Option<Box<Places>>,
    /// Whether a stateful client has no transport. Messages are kept until it has one.
    is_lost: bool,
    /// Messages to send again, before all others. The first one is at the end.
    repeated: Vec<Bytes>,
    /// The reason for the end of the connection, behind messages that are still written.
    end: Option<Box<Disconnect>>,
    connection: backplane::Connection,
    to_write: ToWrite,
    /// Whether the transport or the queue of answers has raised an interrupt.
    is_interrupted: bool,
    /// Whether there may be answers to take.
    has_answers: bool,
    /// Whether the reader has ended and no further answer comes.
    is_ending: bool,
    /// Answers that wait for messages of their methods, in order.
    held: VecDeque<Answer>,
    /// The place of the last requested mark.
    marked: Option<Cursor>,
    /// Answers after messages up to this place are due.
    reached: Option<Cursor>,
    /// The time of the last write.
    written: Instant,
    /// Rings when something is due, or earlier: a write moves the next ping and not the alarm.
    alarm: Pin<Box<Sleep>>,
    /// The time at which the alarm rings and wakes the task. `None` before the task is registered.
    rings_at: Option<Instant>,
    outgoing: O,
}

impl<O: Outgoing> Writer<O> {
    pub(super) fn new(
        Conversation { hub, encoding, sequence, close_handle, .. }: Conversation,
        connection: backplane::Connection,
        to_write: ToWrite,
        outgoing: O,
    ) -> Self {
        let written = Instant::now();
        let alarm = Box::pin(time::sleep_until(written + hub.options().keep_alive));
        Self {
            hub,
            close_handle,
            delivered: 0,
            gathered: 0,
            encoding,
            sequence,
            places: None,
            is_lost: false,
            repeated: Vec::new(),
            end: None,
            connection,
            to_write,
            is_interrupted: true,
            has_answers: true,
            is_ending: false,
            held: VecDeque::new(),
            marked: None,
            reached: None,
            written,
            alarm,
            rings_at: None,
            outgoing,
        }
    }

    /// Sets that a connection from another server has no transport yet.
    pub(super) fn without_transport(mut self) -> Self {
        self.is_lost = true;
        self
    }

    /// Sets that the client gets the place of each message.
    pub(super) fn with_places(mut self, places: Option<Box<Places>>) -> Self {
        self.places = places;
        self
    }

    /// Returns the transport. If the connection leaves, its queued messages are for its next server.
    pub(super) fn into_outgoing(self, leaves: bool) -> O {
        if let Some(sequence) = self.sequence.filter(|_| leaves) {
            sequence.left_at(self.connection.hand_over());
        }
        self.outgoing
    }

    /// Closes the connection if the writer has failed. Otherwise returns whether the connection leaves.
    pub(super) async fn end(&mut self, ended: Result<(), Disconnect>) -> bool {
        let is_leaving = self.sequence.as_ref().is_some_and(|sequence| sequence.is_leaving());
        let ended = match ended {
            Ok(()) if is_leaving => self.find_place().await,
            ended => ended,
        };
        let Err(disconnect) = ended else { return is_leaving };
        self.note_waiting();
        if matches!(disconnect, Disconnect::SlowConnection | Disconnect::WriteTimeout) {
            let unread = self.delivered + self.connection.unread_messages() as u64;
            self.hub.metrics().dropped(unread);
        }
        if matches!(disconnect, Disconnect::Gap(_)) {
            // All clients of this server have the same gap. Meanwhile answers are dropped, since
            // methods must not wait for the writer.
            let window = part_of_close_window(self.hub.options());
            select! {
                () = window => {}
                () = self.drop_answers() => {}
            }
        }
        self.close_handle.close(disconnect);
        // Methods do not wait for room for further answers.
        self.to_write.close();
        false
    }

    /// Gives the connection a place in the order, for its next server. On a server that has received
    /// no message yet, it has none.
    async fn find_place(&mut self) -> Result<(), Disconnect> {
        if !self.connection.cursor().is_start() {
            return Ok(());
        }
        self.ask_for_place().await?;
        let write_timeout = self.hub.options().write_timeout;
        let reaching = async {
            loop {
                let received = self.connection.recv_or_gap().await;
                let received = received.map_err(|end| Disconnect::of(end, &self.connection))?;
                if matches!(received, Received::Mark(_)) {
                    return Ok(());
                }
                if let Some(next) = self.message(received)? {
                    self.note(next);
                }
            }
        };
        time::timeout(write_timeout, reaching).await.map_err(|_| Disconnect::WriteTimeout)?
    }

    /// Asks for a mark behind a message of its own, so that the connection has a place after it.
    async fn ask_for_place(&mut self) -> Result<(), Disconnect> {
        let nobody = Target::connection(NOBODY);
        let Ok(invocation) = Invocation::new(NOBODY, ()) else { return Ok(()) };
        let sent = self.hub.backplane().send_placed(nobody, invocation).await;
        let place = sent.map_err(|error| Disconnect::Lost(error.to_string()))?;
        self.connection.mark_after(place);
        Ok(())
    }

    /// Drops all answers until none follows.
    async fn drop_answers(&mut self) {
        loop {
            match self.to_write.try_recv() {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return,
                Poll::Pending => self.connection.interrupted().await,
            }
        }
    }

    /// Writes until the reader has ended and its last result is written, with all messages before
    /// it. A message that the broker does not return delays a result by the write timeout at most.
    ///
    /// The handshake reply comes first, in a frame of its own, since clients refuse any other
    /// message before it. The client of a connection from another server has got it there.
    pub(super) async fn run(&mut self) -> Result<(), Disconnect> {
        self.outgoing.set_binary(self.encoding.is_binary());
        self.written = Instant::now();
        if !self.is_lost {
            // In a box, as each wait for the transport, since an idle writer does not wait for it.
            Box::pin(self.write(smallvec![handshake::ACCEPTED])).await?;
        }
        if self.places.is_some() && self.connection.cursor().is_start() {
            // Without a broker, the client has its place after the first message.
            let _ = Box::pin(time::timeout(PLACE_TIMEOUT, self.ask_for_place())).await;
        }
        loop {
            let write = {
                let turn = poll_fn(|cx| self.poll_turn(cx)).await;
                let Some(unsent) = turn? else { return Ok(()) };
                Box::pin(self.write(unsent))
            };
            let written = write.await;
            self.resumable(written)?;
        }
    }

    /// Sends messages as long as there are any and the transport takes them at once, then
    /// registers the task. Returns frames that the transport takes later, or `None` at the end of
    /// the connection.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frames>, Disconnect>> {
        loop {
            if let Some(end) = self.end.take() {
                return Poll::Ready(Err(*end));
            }
            if self.is_ending && self.held.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let Some(next) = ready!(self.poll_next(None, cx)) else { continue };
            // Before the write, which must not end with a ping that is due without it.
            self.written = Instant::now();
            let (mut frames, is_registered) = self.gather(next, cx);
            if !self.is_lost {
                self.gathered = frames.iter().map(Bytes::len).sum();
                match self.outgoing.poll_send(&mut frames, cx) {
                    Poll::Pending => return Poll::Ready(Ok(Some(frames))),
                    Poll::Ready(Ok(())) => self.count(),
                    Poll::Ready(sent) => self.resumable(sent)?,
                }
            }
            if is_registered {
                return Poll::Pending;
            }
        }
    }

    /// Returns one message and others that are ready in few frames, and whether the task is
    /// registered for the next one.
    fn gather(&mut self, first: Next, cx: &mut Context<'_>) -> (Frames, bool) {
        let mut frames = Frames::new();
        let mut last = Gathered::One(self.note(first));
        let mut is_registered = false;
        for _ in 1..BATCH_MAX {
            // The reason for the end of the connection is kept, and messages before it are written.
            let next = self.poll_next(Some(self.written), cx);
            is_registered = next.is_pending();
            let Poll::Ready(Some(next)) = next else { break };
            let message = self.note(next);
            frames.extend(last.add(message));
        }
        let last = last.into_bytes();
        if !last.is_empty() {
            frames.push(last);
        }
        (frames, is_registered)
    }

    /// Queues frames and sends all that is queued, within the write timeout.
    async fn write(&mut self, frames: Frames) -> Result<(), Disconnect> {
        let write_timeout = self.hub.options().write_timeout;
        let outgoing = &mut self.outgoing;
        let writing = async {
            for frame in frames {
                outgoing.queue(frame).await?;
            }
            outgoing.flush().await
        };
        let written = time::timeout(write_timeout, writing).await;
        self.note_waiting();
        written.map_err(|_| Disconnect::WriteTimeout)??;
        self.count();
        Ok(())
    }

    /// Records the size of the messages that wait for the client, with those of the current flush.
    fn note_waiting(&self) {
        self.hub.metrics().waiting(self.gathered + self.connection.unread_bytes());
    }

    /// Counts the frames of the last flush.
    fn count(&mut self) {
        let metrics = self.hub.metrics();
        metrics.written.inc_by(mem::take(&mut self.gathered) as u64);
        metrics.delivered.inc_by(mem::take(&mut self.delivered));
    }

    /// Takes note of the loss of a transport that the client may replace.
    ///
    /// # Errors
    ///
    /// Returns other failures.
    fn resumable(&mut self, sent: Result<(), Disconnect>) -> Result<(), Disconnect> {
        match sent {
            Err(Disconnect::Lost(_) | Disconnect::WriteTimeout) if self.sequence.is_some() => {
                self.is_lost = true;
                Ok(())
            }
            sent => sent,
        }
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
        self.gathered = messages.iter().map(Bytes::len).sum();
        self.note_waiting();
        self.hub.metrics().replayed.inc_by(messages.len() as u64);
        self.repeated = messages;
        self.repeated.reverse();
        self.repeated.push(self.encoding.sequence(number));
    }

    /// Returns the next message, or registers the task. Returns `None` if the end of the connection
    /// is near. `now` is the time if it is known.
    fn poll_next(&mut self, now: Option<Instant>, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        loop {
            if self.is_interrupted {
                match self.outgoing.urgent() {
                    Some(Urgent::Replaced) => self.repeat(),
                    Some(Urgent::Lost) => self.is_lost = true,
                    Some(Urgent::Flush) => return Poll::Ready(Some(Next::Nothing)),
                    None => self.is_interrupted = false,
                }
                continue;
            }
            if let Some(message) = self.repeated.pop() {
                return Poll::Ready(Some(Next::Plain(message)));
            }
            match self.poll_message(cx) {
                Poll::Pending if self.is_interrupted => {}
                Poll::Pending => break,
                ready => return ready,
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
        self.poll_overdue(now, cx).map(Some)
    }

    /// Returns the next message of the backplane or of this server, if the client has confirmed
    /// enough. Otherwise it registers the task, unless there was an interrupt.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        while self.end.is_none() && self.may_send() {
            if let Some(news) = self.due_news() {
                return Poll::Ready(Some(news));
            }
            if let Some(result) = self.due() {
                return Poll::Ready(Some(result));
            }
            if self.has_answers && self.has_room() {
                match self.to_write.try_recv() {
                    Poll::Ready(answer) => self.take(answer),
                    Poll::Pending => self.has_answers = false,
                }
                continue;
            }
            match self.poll_received(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Received::Interrupted)) => {
                    self.interrupted();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(received)) => match self.message(received) {
                    Ok(None) => {}
                    Ok(message) => return Poll::Ready(message),
                    Err(end) => self.end = Some(Box::new(end)),
                },
                Poll::Ready(Err(end)) => {
                    self.end = Some(Box::new(Disconnect::of(end, &self.connection)));
                }
            }
        }
        if pin!(self.connection.interrupted()).poll(cx).is_ready() {
            self.interrupted();
        }
        // It has fallen behind, or the application has ended it. Its queued messages are dropped.
        if let Some(end) = self.connection.ended().filter(|_| !self.may_send()) {
            self.end = Some(Box::new(Disconnect::of(end, &self.connection)));
        }
        Poll::Pending
    }

    fn interrupted(&mut self) {
        self.is_interrupted = true;
        self.has_answers = true;
    }

    fn poll_received(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, backplane::Disconnect>> {
        // Each message has a number, or a place.
        match self.sequence.is_some() || self.places.is_some() {
            true => pin!(self.connection.recv_or_gap()).poll(cx),
            false => pin!(self.connection.recv_run()).poll(cx),
        }
    }

    /// Returns a message that is due, or registers the task.
    fn poll_overdue(&mut self, now: Option<Instant>, cx: &mut Context<'_>) -> Poll<Next> {
        let mut alarm_at = self.next_alarm();
        // An alarm that has not rung yet wakes the task later. So most messages leave it alone.
        let is_early =
            |rings_at: &Instant| *rings_at <= alarm_at && now.is_some_and(|now| now < *rings_at);
        if self.rings_at.as_ref().is_some_and(is_early) {
            return Poll::Pending;
        }
        if alarm_at < self.alarm.deadline() {
            self.alarm.as_mut().reset(alarm_at);
        }
        // Without a budget, so that the alarm knows the task if it is pending.
        while pin!(unconstrained(self.alarm.as_mut())).poll(cx).is_ready() {
            if let Some(next) = self.overdue(Instant::now()) {
                self.rings_at = None;
                return Poll::Ready(next);
            }
            alarm_at = self.next_alarm();
            self.alarm.as_mut().reset(alarm_at);
        }
        self.rings_at = Some(self.alarm.deadline());
        Poll::Pending
    }

    /// Returns the time at which something is due next.
    fn next_alarm(&self) -> Instant {
        [self.ping_at(), self.result_at(), self.confirmation_at(), self.unconfirmed_until()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR)
    }

    fn overdue(&mut self, now: Instant) -> Option<Next> {
        if self.unconfirmed_until().is_some_and(|at| at <= now) {
            self.end = Some(Box::new(Disconnect::SlowConnection));
            return Some(Next::Nothing);
        }
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

    /// Returns the time until which the client has to confirm messages. A client that only sends pings
    /// would keep its session for ever.
    fn unconfirmed_until(&self) -> Option<Instant> {
        let since = self.sequence.as_ref()?.full_since()?;
        // A client without a transport has its own time to come back, and that one is not longer.
        let options = self.hub.options();
        Some(since + options.client_timeout.max(options.disconnect_timeout))
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

    /// Returns what a resumable client has to know about its connection.
    fn due_news(&mut self) -> Option<Next> {
        let (news, at) = self.places.as_mut()?.due(&self.hub, &self.connection)?;
        Some(Next::Numbered(self.encoding.invocation_at(&news, at)))
    }

    /// Returns the message for the client, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error for a gap, unless the client is resumable: SignalR has no message that reports
    /// lost messages to a client.
    fn message(&mut self, received: Received) -> Result<Option<Next>, Disconnect> {
        match received {
            Received::Invocation(invocation) => {
                self.delivered += 1;
                let message = match self.places {
                    None => self.encoding.invocation(&invocation),
                    Some(_) => {
                        self.encoding.invocation_at(&invocation, self.connection.last_place())
                    }
                };
                Ok(Some(Next::Numbered(message)))
            }
            Received::Run(run) => {
                self.delivered += run.iter().count() as u64;
                Ok(Some(Next::Plain(self.encoding.run(&run))))
            }
            Received::Gap(gap) if self.places.is_some() => {
                self.hub.metrics().gap("report");
                let missed = places::missed(gap);
                let message = self.encoding.invocation_at(&missed, self.connection.last_place());
                Ok(Some(Next::Numbered(message)))
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
/// Maximum wait of a new client for a place, in which it gets no other message.
const PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// The name of no connection and of no method.
const NOBODY: &str = "-";
/// Stands for never.
const FAR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
