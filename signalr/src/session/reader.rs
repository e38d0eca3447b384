//! The loop that reads messages and runs methods.
//!
//! Reading goes on while methods run, so a cancellation, an item of a stream, a result of the
//! client and the end of the connection take effect at once. A message that has no room yet, such
//! as a call while another runs, stops the handling of messages. Bytes are still read then, up to
//! the maximum size of a message, so the end of the connection is noticed.

use std::{borrow::Cow, convert::Infallible, future::poll_fn};

use bytes::Bytes;
use tokio::{
    select,
    sync::mpsc::{self, error::TrySendError},
    time::{self, Instant},
};

use super::{Conversation, calls::Calls};
use crate::{
    answers::Answers,
    call::Part,
    caller::Caller,
    disconnect::Disconnect,
    dispatch,
    protocol::{
        frames::Frames,
        message::{ClientMessage, Raw},
    },
    results::Entry,
    transport::{Incoming, Input},
};

/// The loop that reads messages and runs methods.
pub(super) struct Reader<'a, I> {
    conversation: Conversation<'a>,
    caller: Caller,
    frames: Frames,
    incoming: &'a mut I,
    answers: Answers,
    calls: Calls,
    waiting: Option<Waiting>,
    /// Whether the hook for a renewed user is due.
    owes_refreshed: bool,
    has_pinged: bool,
    heard: Instant,
    /// Whether a stateful client has no transport.
    is_lost: bool,
    entry: Entry,
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

impl<'a, I: Incoming> Reader<'a, I> {
    pub(super) fn new(
        conversation: Conversation<'a>,
        caller: Caller,
        frames: Frames,
        incoming: &'a mut I,
        answers: Answers,
        entry: Entry,
    ) -> Self {
        let Conversation { hub, encoding, .. } = conversation;
        Self {
            conversation,
            calls: Calls::new(hub, caller.clone(), answers.clone(), encoding),
            caller,
            frames,
            incoming,
            answers,
            waiting: None,
            owes_refreshed: false,
            has_pinged: false,
            heard: Instant::now(),
            is_lost: false,
            entry,
        }
    }

    /// Reads until the connection ends, and returns the reason.
    pub(super) async fn run(mut self) -> Disconnect {
        self.calls.start_connected();
        let Err(disconnect) = self.read().await;
        self.entry.end();
        self.calls.end().await;
        if !matches!(disconnect, Disconnect::Refused(_)) {
            dispatch::disconnected(self.conversation.hub, self.caller.clone()).await;
        }
        self.answers.end().await;
        disconnect
    }

    async fn read(&mut self) -> Result<Infallible, Disconnect> {
        loop {
            if self.owes_refreshed && self.calls.has_room() {
                self.owes_refreshed = false;
                self.calls.start_refreshed();
            }
            self.handle_all()?;
            let options = self.conversation.hub.options();
            let timeout = self.heard + options.client_timeout;
            let is_waiting = self.waiting.is_some();
            let has_space = self.frames.len() < options.message_bytes_max;
            let peer = self.caller.peer();
            let full_upload = match &self.waiting {
                Some(Waiting { room: Room::Upload(upload), .. }) => Some(upload.clone()),
                _ => None,
            };
            select! {
                biased;
                disconnect = self.conversation.close_handle.closing() => return Err(disconnect),
                // Before the end of a call: the hook runs before the next call.
                () = peer.refreshed() => self.owes_refreshed = true,
                finished = poll_fn(|cx| self.calls.poll_finished(cx)) => {
                    if let Some(refused) = finished.refused {
                        return Err(Disconnect::Refused(refused));
                    }
                    if finished.is_hook {
                        self.calls.open_slots();
                    }
                }
                input = self.incoming.read(), if !is_waiting || has_space => self.take(input?),
                () = room(full_upload.as_ref()), if full_upload.is_some() => {}
                // Some clients send no pings. While a message waits, pings behind it wait as well.
                () = time::sleep_until(timeout), if self.has_pinged && !is_waiting && !self.is_lost => {
                    return Err(Disconnect::ClientTimeout);
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Bytes(bytes) => self.frames.push(&bytes),
            Input::Lost => self.is_lost = true,
            Input::Resumed => {
                self.is_lost = false;
                self.frames = Frames::new(self.conversation.hub.options().message_bytes_max);
                self.conversation.sequence.inspect(|sequence| sequence.resumed());
            }
        }
        self.heard = Instant::now();
    }

    /// Handles messages until all are handled or one has no room.
    fn handle_all(&mut self) -> Result<(), Disconnect> {
        loop {
            let (message, is_new) = match self.waiting.take() {
                Some(Waiting { room: Room::Call, message }) if !self.calls.has_room() => {
                    self.waiting = Some(Waiting { room: Room::Call, message });
                    return Ok(());
                }
                Some(Waiting { message, .. }) => (message, false),
                None => match self.frames.next(self.conversation.encoding)? {
                    Some(message) => (message, true),
                    None => return Ok(()),
                },
            };
            if let Some(disconnect) = self.conversation.close_handle.reason() {
                return Err(disconnect);
            }
            if let Some(room) = self.handle(&message, is_new)? {
                self.waiting = Some(Waiting { message, room });
                return Ok(());
            }
        }
    }

    /// Handles a message, or returns what it must wait for.
    fn handle(&mut self, message: &[u8], is_new: bool) -> Result<Option<Room>, Disconnect> {
        let message = self.conversation.encoding.parse(message)?;
        if is_new
            && let Some(sequence) = self.conversation.sequence
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

/// Waits until a stream of the client has room or its method no longer reads it. Cancel safe.
async fn room(upload: Option<&mpsc::Sender<Part>>) {
    if let Some(upload) = upload {
        let _ = upload.reserve().await;
    }
}
