//! A WebSocket that a client may replace by another one, for the stateful reconnect.
//!
//! The reading half receives new sockets and passes their writing halves on. Before both sides have
//! agreed on the stateful reconnect, it behaves as a plain WebSocket. A connection that comes from
//! another server begins without a socket.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use backplane::Interrupt;
use bytes::Bytes;
use locks::Mutex;
use tokio::{
    select,
    sync::mpsc,
    time::{self, Instant},
};

use super::{
    Frames, Incoming, Input, Outgoing, Urgent,
    websocket::{self, Limits},
};
use crate::{
    disconnect::{Disconnect, TransportError},
    handoff::{self, Handed, Handoff, Leave},
    options::Options,
    signal::Signal,
    socket::Socket,
};

/// Returns the two halves of an open WebSocket that may be replaced by those of `handed`.
pub(crate) fn halves(
    socket: Socket,
    options: &Options,
    handoff: Arc<Handoff>,
    handed: mpsc::Receiver<Handed>,
) -> (Reader, Writer) {
    let (mut reader, mut writer) = without_socket(options, handoff, handed);
    let (reading, writing) = websocket::halves(socket, reader.limits);
    (reader.current, writer.current, reader.lost) = (Some(reading), Some(writing), None);
    (reader, writer)
}

/// Returns two halves that wait for the first WebSocket of `handed`.
pub(crate) fn without_socket(
    options: &Options,
    handoff: Arc<Handoff>,
    handed: mpsc::Receiver<Handed>,
) -> (Reader, Writer) {
    let replacement = Arc::new(Replacement::default());
    let timeout = options.disconnect_timeout;
    let reader = Reader {
        current: None,
        lost: Some((NO_RETURN.to_owned(), Instant::now() + timeout)),
        is_agreed: false,
        handoff,
        handed,
        replacement: Arc::clone(&replacement),
        timeout,
        limits: Limits::of(options),
    };
    (reader, Writer { current: None, is_binary: false, replacement })
}

/// The half that receives from the client.
pub(crate) struct Reader {
    current: Option<websocket::Reader>,
    /// Set while there is no transport: the reason, and the time up to which another may come.
    lost: Option<(String, Instant)>,
    is_agreed: bool,
    handoff: Arc<Handoff>,
    handed: mpsc::Receiver<Handed>,
    replacement: Arc<Replacement>,
    timeout: Duration,
    limits: Limits,
}

impl Incoming for Reader {
    fn agree_to_resume(&mut self) -> bool {
        self.is_agreed = true;
        self.handoff.agree();
        true
    }

    fn refuse_to_resume(&mut self) {
        self.is_agreed = false;
        self.handed.close();
    }

    fn cut(&mut self, timeout: Duration) {
        self.drop_transport();
        self.lost = Some(("the server is shutting down".to_owned(), Instant::now() + timeout));
    }

    async fn read(&mut self) -> Result<Input, Disconnect> {
        if !self.is_agreed {
            return read(&mut self.current).await;
        }
        if let Some((reason, until)) = &self.lost {
            let handed = time::timeout_at(*until, handoff::next(&mut self.handed)).await;
            let handed = handed.map_err(|_| Disconnect::Lost(reason.clone()))?;
            return Ok(self.take(handed));
        }
        select! {
            biased;
            handed = handoff::next(&mut self.handed) => Ok(self.take(handed)),
            read = read(&mut self.current) => match read {
                Err(Disconnect::Lost(reason)) => {
                    self.lose(reason);
                    Ok(Input::Lost)
                }
                read => read,
            },
        }
    }
}

impl Reader {
    fn take(&mut self, handed: Handed) -> Input {
        match handed {
            Handed::Socket(socket) => {
                self.replace(*socket);
                Input::Resumed
            }
            Handed::Leave(leave) => self.leave(leave),
        }
    }

    fn replace(&mut self, socket: Socket) {
        let (reader, writer) = websocket::halves(socket, self.limits);
        self.current = Some(reader);
        self.lost = None;
        self.replacement.put(Some(writer));
    }

    /// Drops the old transport, also if its end has not been noticed here.
    fn leave(&mut self, leave: Leave) -> Input {
        self.drop_transport();
        if self.lost.is_none() {
            self.lose("the client opened another transport elsewhere".to_owned());
        }
        Input::Leave(leave)
    }

    fn drop_transport(&mut self) {
        self.current = None;
        self.replacement.put(None);
    }

    fn lose(&mut self, reason: String) {
        self.lost = Some((reason, Instant::now() + self.timeout));
    }
}

async fn read(current: &mut Option<websocket::Reader>) -> Result<Input, Disconnect> {
    match current {
        Some(current) => current.read().await,
        None => Err(Disconnect::Lost(NO_RETURN.to_owned())),
    }
}

/// The half that sends to the client.
pub(crate) struct Writer {
    current: Option<websocket::Writer>,
    is_binary: bool,
    replacement: Arc<Replacement>,
}

impl Outgoing for Writer {
    fn set_binary(&mut self, is_binary: bool) {
        self.is_binary = is_binary;
        if let Some(current) = &mut self.current {
            current.set_binary(is_binary);
        }
    }

    fn poll_send(
        &mut self,
        frames: &mut Frames,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Disconnect>> {
        match &mut self.current {
            Some(current) => current.poll_send(frames, cx),
            None => Poll::Ready(Err(replaced())),
        }
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        let current = self.current.as_mut().ok_or_else(replaced)?;
        // A socket that nobody reads any more does not delay the next one.
        select! {
            biased;
            () = self.replacement.ready() => Err(replaced()),
            queued = current.queue(messages) => queued,
        }
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        let current = self.current.as_mut().ok_or_else(replaced)?;
        select! {
            biased;
            () = self.replacement.ready() => Err(replaced()),
            flushed = current.flush() => flushed,
        }
    }

    async fn close(&mut self, error: Option<TransportError>) -> Result<(), Disconnect> {
        match &mut self.current {
            Some(current) => current.close(error).await,
            None => Ok(()),
        }
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        if let Some(current) = &mut self.current {
            current.set_interrupt(interrupt.clone());
        }
        let _ = self.replacement.interrupt.set(interrupt);
    }

    fn urgent(&mut self) -> Option<Urgent> {
        let put = self.replacement.writer.lock().take();
        let Some(put) = put else { return self.current.as_mut()?.urgent() };
        self.current = put;
        let Some(current) = &mut self.current else { return Some(Urgent::Lost) };
        current.set_binary(self.is_binary);
        if let Some(interrupt) = self.replacement.interrupt.get() {
            current.set_interrupt(interrupt.clone());
        }
        Some(Urgent::Replaced)
    }
}

fn replaced() -> Disconnect {
    Disconnect::Lost("the client opened another transport".to_owned())
}

/// The writing half of a new socket on its way to the writer, or the loss of the old one.
#[derive(Default)]
struct Replacement {
    writer: Mutex<Option<Option<websocket::Writer>>>,
    is_filled: Signal,
    /// Raised with it.
    interrupt: OnceLock<Interrupt>,
}

impl Replacement {
    fn put(&self, writer: Option<websocket::Writer>) {
        *self.writer.lock() = Some(writer);
        self.is_filled.set();
        self.interrupt.get().into_iter().for_each(Interrupt::raise);
    }

    /// Waits until the current half is not the right one any more. Cancel safe.
    async fn ready(&self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A signal may be of a half that has been taken.
        while self.writer.lock().is_none() {
            ready!(self.is_filled.poll_set(cx));
        }
        Poll::Ready(())
    }
}

const NO_RETURN: &str = "the client has not come from its last server";
