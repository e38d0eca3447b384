//! The loop that reads messages and runs methods.
//!
//! Reading goes on while methods run, so a cancellation, an item of a stream, a result of the
//! client and the end of the connection take effect at once. A message that has no room yet, such
//! as a call while another runs, stops the handling of messages. Bytes are still read then, up to
//! the maximum size of a message, so the end of the connection is noticed.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{self, Instant, Sleep},
};

use super::{
    Conversation,
    calls::{Calls, Finished},
};
use crate::{
    answers::Answers,
    backlog::Backlog,
    call::Part,
    caller::Caller,
    disconnect::Disconnect,
    dispatch,
    handoff::Leave,
    protocol::{
        frames::Frames,
        message::{ClientMessage, Raw},
    },
    results::Entry,
    transport::{Incoming, Input},
};

/// The loop that reads messages and runs methods.
pub(super) struct Reader<I> {
    conversation: Conversation,
    frames: Frames,
    incoming: I,
    calls: Calls,
    /// In a box, since mostly there is none.
    waiting: Option<Box<Waiting>>,
    /// Messages of a stateful client behind that one, taken from their frames to find confirmations among
    /// them. In a box as well.
    behind: Option<Box<Backlog<Bytes>>>,
    /// Whether the hook for a renewed user is due.
    owes_refreshed: bool,
    has_pinged: bool,
    heard: Instant,
    /// Rings at the client timeout, or earlier. Clients that send no pings have none.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether a stateful client has no transport.
    is_lost: bool,
    /// Whether this server has dropped the transport.
    is_cut: bool,
    /// Whether the connection comes from another server, where the hook for a new one has run.
    has_come: bool,
    /// Set while another server wants to go on with the client. In a box, since mostly none does.
    leaving: Option<Box<Leaving>>,
    entry: Entry,
}

/// The wait for a moment at which the session can leave.
struct Leaving {
    until: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

/// A message that has no room yet.
struct Waiting {
    message: Bytes,
    room: Room,
}

/// What a message waits for.
enum Room {
    /// The end of a running call.
    Call,
    /// An item that the method takes from a stream of the client.
    Upload(mpsc::Sender<Part>),
}

impl<I: Incoming> Reader<I> {
    pub(super) fn new(
        conversation: Conversation,
        caller: Caller,
        frames: Frames,
        incoming: I,
        answers: Answers,
        entry: Entry,
    ) -> Self {
        let Conversation { hub, encoding, .. } = &conversation;
        Self {
            calls: Calls::new(hub, caller, answers, *encoding),
            conversation,
            frames,
            incoming,
            waiting: None,
            behind: None,
            owes_refreshed: false,
            has_pinged: false,
            heard: Instant::now(),
            alarm: None,
            is_lost: false,
            is_cut: false,
            has_come: false,
            leaving: None,
            entry,
        }
    }

    /// Sets that the connection comes from another server, and has no transport yet.
    pub(super) fn without_transport(mut self) -> Self {
        (self.has_come, self.is_lost) = (true, true);
        self
    }

    pub(super) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// Returns the transport.
    pub(super) fn into_incoming(self) -> I {
        self.incoming
    }

    pub(super) fn caller(&self) -> &Caller {
        self.calls.caller()
    }

    /// Returns the number of the last question to the client.
    pub(super) fn last_question(&self) -> u64 {
        self.entry.last_id()
    }

    /// Returns those who wait until the session has left.
    pub(super) fn take_waiting(&mut self) -> Vec<oneshot::Sender<()>> {
        self.leaving.take().map(|leaving| leaving.waiting).unwrap_or_default()
    }

    /// Reads until the connection ends, and returns the reason.
    pub(super) async fn run(&mut self) -> Disconnect {
        if !self.has_come {
            self.calls.start_connected();
        }
        let Err(disconnect) = self.read().await;
        if let (Disconnect::Moved, Some(sequence)) = (&disconnect, &self.conversation.sequence) {
            // The writer takes the last results.
            sequence.leave();
            self.calls.end_answers();
            return disconnect;
        }
        self.entry.end();
        if let Some(sequence) = &self.conversation.sequence {
            sequence.end();
        }
        // In a box, since an idle session has not come to its end.
        Box::pin(async {
            self.calls.end().await;
            if !matches!(disconnect, Disconnect::Refused(_)) {
                dispatch::disconnected(&self.conversation.hub, self.calls.caller().clone()).await;
            }
        })
        .await;
        self.calls.end_answers();
        disconnect
    }

    async fn read(&mut self) -> Result<Infallible, Disconnect> {
        loop {
            if self.owes_refreshed && self.calls.has_room() {
                self.owes_refreshed = false;
                self.calls.start_refreshed();
            }
            self.handle_all()?;
            if self.leaving.is_some() && self.is_quiet() {
                return Err(Disconnect::Moved);
            }
            match self.event().await {
                Event::Closing(disconnect) => return Err(disconnect),
                Event::TimedOut => return Err(Disconnect::ClientTimeout),
                Event::Stays => self.leaving = None,
                Event::Cut => self.cut(),
                Event::Refreshed => self.owes_refreshed = true,
                Event::Finished(Finished { refused: Some(refused), .. }) => {
                    return Err(Disconnect::Refused(refused));
                }
                Event::Finished(finished) if finished.is_hook => self.calls.open_slots(),
                Event::Finished(_) | Event::Room => {}
                // A client that comes back to this server goes the ordinary way.
                Event::Input(Ok(Input::Resumed)) if self.is_cut => {
                    return Err(Disconnect::Shutdown);
                }
                Event::Input(input) => self.take(input?),
            }
        }
    }

    /// Returns whether nothing happens on the connection, so that its state can leave. From then on the
    /// application asks the client for no result here.
    fn is_quiet(&self) -> bool {
        self.waiting.is_none()
            && !self.owes_refreshed
            && self.calls.is_idle()
            && self.conversation.close_handle.reason().is_none()
            && self.entry.end_if_idle()
    }

    /// Waits for the next event.
    async fn event(&mut self) -> Event {
        let Self { conversation, frames, incoming, calls, waiting, behind, .. } = self;
        let options = conversation.hub.options();
        let unhandled = frames.len() + behind.as_ref().map_or(0, |behind| behind.bytes());
        let reads = waiting.is_none() || unhandled < options.message_bytes_max;
        // Some clients send no pings. While a message waits, pings behind it wait as well.
        let timeout = match &self.leaving {
            Some(leaving) => Some(leaving.until),
            None => (self.has_pinged && waiting.is_none() && !self.is_lost)
                .then(|| self.heard + options.client_timeout),
        };
        let is_leaving = self.leaving.is_some();
        let mut room = match waiting.as_ref().map(|waiting| &waiting.room) {
            Some(Room::Upload(upload)) => Some(Box::pin(room(upload.clone()))),
            _ => None,
        };
        let mut input = pin!(incoming.read());
        poll_fn(|cx| {
            if let Poll::Ready(disconnect) = conversation.close_handle.poll_closing(cx) {
                return Poll::Ready(Event::Closing(disconnect));
            }
            if let Some(sequence) = &conversation.sequence
                && sequence.poll_cut(cx).is_ready()
            {
                return Poll::Ready(Event::Cut);
            }
            // Before the end of a call: the hook runs before the next call.
            if calls.caller().peer().poll_refreshed(cx).is_ready() {
                return Poll::Ready(Event::Refreshed);
            }
            if let Poll::Ready(finished) = calls.poll_finished(cx) {
                return Poll::Ready(Event::Finished(finished));
            }
            if reads && let Poll::Ready(input) = input.as_mut().poll(cx) {
                return Poll::Ready(Event::Input(input));
            }
            if let Some(room) = &mut room
                && room.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::Room);
            }
            match timeout {
                Some(at) => poll_alarm(&mut self.alarm, at, cx)
                    .map(|()| if is_leaving { Event::Stays } else { Event::TimedOut }),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Bytes(bytes) => self.frames.push(&bytes),
            Input::Lost => self.is_lost = true,
            Input::Leave(leave) => {
                self.is_lost = true;
                self.forget_unhandled();
                self.begin_to_leave(leave);
            }
            Input::Resumed => {
                self.is_lost = false;
                self.leaving = None;
                self.forget_unhandled();
                if let Some(sequence) = &self.conversation.sequence {
                    sequence.resumed();
                }
            }
        }
        self.heard = Instant::now();
    }

    fn cut(&mut self) {
        self.incoming.cut(self.conversation.hub.options().close_timeout);
        (self.is_cut, self.is_lost) = (true, true);
        self.forget_unhandled();
    }

    /// Forgets messages that are not handled. The client repeats them on its next transport.
    fn forget_unhandled(&mut self) {
        self.frames = Frames::new(self.conversation.hub.options().message_bytes_max);
        self.behind = None;
    }

    /// Several servers may ask. Too many of them are told at once that the session stays.
    fn begin_to_leave(&mut self, Leave { until, left }: Leave) {
        let leaving =
            self.leaving.get_or_insert_with(|| Box::new(Leaving { until, waiting: Vec::new() }));
        leaving.until = leaving.until.max(until);
        leaving.waiting.retain(|waiting| !waiting.is_closed());
        if leaving.waiting.len() < WAITING_MAX {
            leaving.waiting.push(left);
        }
    }

    /// Handles messages until all are handled or one has no room.
    fn handle_all(&mut self) -> Result<(), Disconnect> {
        loop {
            let (message, is_new) = match self.waiting.take() {
                Some(waiting) if matches!(waiting.room, Room::Call) && !self.calls.has_room() => {
                    self.waiting = Some(waiting);
                    return self.take_confirmations();
                }
                Some(waiting) => (waiting.message, false),
                None => match self.next_message()? {
                    Some(message) => (message, true),
                    None => return Ok(()),
                },
            };
            if let Some(disconnect) = self.conversation.close_handle.reason() {
                return Err(disconnect);
            }
            if let Some(room) = self.handle(&message, is_new)? {
                self.waiting = Some(Box::new(Waiting { message, room }));
                return self.take_confirmations();
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Bytes>, Disconnect> {
        if let Some(message) = self.behind.as_mut().and_then(|behind| behind.pop()) {
            return Ok(Some(message));
        }
        self.behind = None;
        Ok(self.frames.next(self.conversation.encoding)?)
    }

    /// Handles the confirmations behind a message that waits: it may wait for results that the client has
    /// to confirm.
    fn take_confirmations(&mut self) -> Result<(), Disconnect> {
        let Some(sequence) = &self.conversation.sequence else { return Ok(()) };
        let encoding = self.conversation.encoding;
        // An error comes again when its message is due.
        while let Ok(Some(message)) = self.frames.next(encoding) {
            match encoding.parse(&message) {
                Ok(confirmation @ ClientMessage::Ack(_)) => _ = sequence.admit(&confirmation)?,
                _ => self.behind.get_or_insert_default().push(message),
            }
        }
        Ok(())
    }

    /// Handles a message, or returns what it must wait for.
    fn handle(&mut self, message: &[u8], is_new: bool) -> Result<Option<Room>, Disconnect> {
        let message = self.conversation.encoding.parse(message)?;
        if is_new
            && let Some(sequence) = &self.conversation.sequence
            && !sequence.admit(&message)?
        {
            return Ok(None);
        }
        match message {
            ClientMessage::Invocation(call) if self.calls.has_room() => {
                self.calls.start(&call, false);
            }
            ClientMessage::StreamInvocation(call) if self.calls.has_room() => {
                self.calls.start(&call, true);
            }
            ClientMessage::Invocation(_) | ClientMessage::StreamInvocation(_) => {
                return Ok(Some(Room::Call));
            }
            ClientMessage::StreamItem { id, item } => {
                return Ok(self.pass(&id, Part::Item(item.to_payload())));
            }
            ClientMessage::Completion { id, outcome } => {
                let is_result = self.entry.complete(&id, || match &outcome {
                    Ok(result) => Ok(result.map(Raw::to_payload)),
                    Err(error) => Err(error.clone().into_owned()),
                });
                if !is_result {
                    let end = outcome.map(|_| ()).map_err(Cow::into_owned);
                    return Ok(self.pass(&id, Part::End(end)));
                }
            }
            ClientMessage::CancelInvocation { id } => self.calls.cancel(&id),
            ClientMessage::Ping => self.has_pinged = true,
            ClientMessage::Close => return Err(Disconnect::Client),
            // Without the stateful reconnect, the first two have no meaning.
            ClientMessage::Ack(_) | ClientMessage::Sequence(_) | ClientMessage::Other => {}
        }
        Ok(None)
    }

    /// Passes a part of a client's stream to its method, or returns what it must wait for.
    ///
    /// A part for an unknown stream is ignored: its method may have returned.
    fn pass(&mut self, id: &str, part: Part) -> Option<Room> {
        let is_end = matches!(part, Part::End(_));
        let upload = self.calls.upload(id)?;
        match upload.try_send(part) {
            Err(TrySendError::Full(_)) => return Some(Room::Upload(upload.clone())),
            Ok(()) if !is_end => {}
            Ok(()) | Err(TrySendError::Closed(_)) => self.calls.end_upload(id),
        }
        None
    }
}

/// What the reader waits for.
enum Event {
    Closing(Disconnect),
    /// The client has renewed its user.
    Refreshed,
    Finished(Finished),
    Input(Result<Input, Disconnect>),
    /// The stream that a message waits for has room.
    Room,
    TimedOut,
    /// The session found no moment to leave.
    Stays,
    /// The server loses its connections, and the client goes on at another one.
    Cut,
}

/// Waits until a stream of the client has room or its method no longer reads it.
async fn room(upload: mpsc::Sender<Part>) {
    let _ = upload.reserve().await;
}

/// Waits until a time. An alarm that rings earlier is set again, so most calls leave it alone.
fn poll_alarm(alarm: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(time::sleep_until(at)));
    if alarm.deadline() > at {
        alarm.as_mut().reset(at);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if alarm.deadline() >= at {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(at);
    }
    Poll::Pending
}

/// Servers that wait for one session. Its client opens one transport at a time.
const WAITING_MAX: usize = 16;
