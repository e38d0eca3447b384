//! The loop that reads messages and runs methods.
//!
//! Reading goes on while methods run, so a cancellation, an item of a stream, a result of the
//! client and the end of the connection take effect at once. A message that has no room yet, such
//! as a call while another runs, stops the handling of messages. Bytes are still read then, up to
//! the maximum size of a message, so the end of the connection is noticed.

use std::{borrow::Cow, convert::Infallible, future::poll_fn, sync::Arc};

use bytes::Bytes;
use tokio::{
    select,
    sync::mpsc::{self, error::TrySendError},
    time::{self, Instant},
};

use super::calls::Calls;
use crate::{
    answers::Answers,
    call::Part,
    caller::Caller,
    close_handle::CloseHandle,
    disconnect::Disconnect,
    dispatch,
    hub::Hub,
    protocol::{
        Encoding,
        frames::Frames,
        message::{ClientMessage, Raw},
    },
    results::Entry,
    transport::Incoming,
};

/// The loop that reads messages and runs methods.
pub(super) struct Reader<'a, I> {
    hub: &'a Arc<Hub>,
    caller: Caller,
    encoding: Encoding,
    frames: Frames,
    incoming: &'a mut I,
    answers: Answers,
    calls: Calls,
    waiting: Option<Waiting>,
    has_pinged: bool,
    heard: Instant,
    close_handle: &'a CloseHandle,
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
    #[expect(clippy::too_many_arguments, reason = "the parts of one session, built in one place")]
    pub(super) fn new(
        hub: &'a Arc<Hub>,
        caller: Caller,
        encoding: Encoding,
        frames: Frames,
        incoming: &'a mut I,
        answers: Answers,
        close_handle: &'a CloseHandle,
        entry: Entry,
    ) -> Self {
        Self {
            hub,
            calls: Calls::new(hub, caller.clone(), answers.clone(), encoding),
            caller,
            encoding,
            frames,
            incoming,
            answers,
            waiting: None,
            has_pinged: false,
            heard: Instant::now(),
            close_handle,
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
            dispatch::disconnected(self.hub, self.caller.clone()).await;
        }
        self.answers.end().await;
        disconnect
    }

    async fn read(&mut self) -> Result<Infallible, Disconnect> {
        loop {
            self.handle_all()?;
            let timeout = self.heard + self.hub.options().client_timeout;
            let is_waiting = self.waiting.is_some();
            let has_space = self.frames.len() < self.hub.options().message_bytes_max;
            let full_upload = match &self.waiting {
                Some(Waiting { room: Room::Upload(upload), .. }) => Some(upload.clone()),
                _ => None,
            };
            select! {
                biased;
                disconnect = self.close_handle.closing() => return Err(disconnect),
                finished = poll_fn(|cx| self.calls.poll_finished(cx)) => {
                    if let Some(refused) = finished.refused {
                        return Err(Disconnect::Refused(refused));
                    }
                    if finished.is_hook {
                        self.calls.open_slots();
                    }
                }
                bytes = self.incoming.read(), if !is_waiting || has_space => {
                    self.frames.push(&bytes?);
                    self.heard = Instant::now();
                }
                () = room(full_upload.as_ref()), if full_upload.is_some() => {}
                // Some clients send no pings. While a message waits, pings behind it wait as well.
                () = time::sleep_until(timeout), if self.has_pinged && !is_waiting => {
                    return Err(Disconnect::ClientTimeout);
                }
            }
        }
    }

    /// Handles messages until all are handled or one has no room.
    fn handle_all(&mut self) -> Result<(), Disconnect> {
        loop {
            let message = match self.waiting.take() {
                Some(Waiting { room: Room::Call, message }) if !self.calls.has_room() => {
                    self.waiting = Some(Waiting { room: Room::Call, message });
                    return Ok(());
                }
                Some(Waiting { message, .. }) => message,
                None => match self.frames.next(self.encoding)? {
                    Some(message) => message,
                    None => return Ok(()),
                },
            };
            if let Some(disconnect) = self.close_handle.reason() {
                return Err(disconnect);
            }
            if let Some(room) = self.handle(&message)? {
                self.waiting = Some(Waiting { message, room });
                return Ok(());
            }
        }
    }

    /// Handles a message, or returns what it must wait for.
    fn handle(&mut self, message: &[u8]) -> Result<Option<Room>, Disconnect> {
        match self.encoding.parse(message)? {
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
            // The first two belong to the stateful reconnect, which the handshake did not agree on.
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
