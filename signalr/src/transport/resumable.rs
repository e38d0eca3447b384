//! A WebSocket that a client may replace by another one, for the stateful reconnect.
//!
//! The reading half receives new sockets and passes their writing halves on. Before both sides have
//! agreed on the stateful reconnect, it behaves as a plain WebSocket.

use std::{
    future::{self, poll_fn},
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use backplane::Interrupt;
use bytes::Bytes;
use parking_lot::Mutex;
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
    handoff::Handoff,
    options::Options,
    signal::Signal,
    socket::Socket,
};

/// Returns the two halves of an open WebSocket that may be replaced by those of `sockets`.
pub(crate) fn halves(
    socket: Socket,
    options: &Options,
    handoff: Arc<Handoff>,
    sockets: mpsc::Receiver<Box<Socket>>,
) -> (Reader, Writer) {
    let limits = Limits::of(options);
    let (reader, writer) = websocket::halves(socket, limits);
    let replacement = Arc::new(Replacement::default());
    let reader = Reader {
        current: reader,
        lost: None,
        is_agreed: false,
        handoff,
        sockets,
        replacement: Arc::clone(&replacement),
        timeout: options.disconnect_timeout,
        limits,
    };
    (reader, Writer { current: writer, is_binary: false, replacement })
}

/// The half that receives from the client.
pub(crate) struct Reader {
    current: websocket::Reader,
    /// Set while there is no transport: the reason, and the time up to which another may come.
    lost: Option<(String, Instant)>,
    is_agreed: bool,
    handoff: Arc<Handoff>,
    sockets: mpsc::Receiver<Box<Socket>>,
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
        self.sockets.close();
    }

    async fn read(&mut self) -> Result<Input, Disconnect> {
        if !self.is_agreed {
            return self.current.read().await;
        }
        if let Some((reason, until)) = &self.lost {
            let Ok(Some(socket)) = time::timeout_at(*until, self.sockets.recv()).await else {
                return Err(Disconnect::Lost(reason.clone()));
            };
            self.replace(*socket);
            return Ok(Input::Resumed);
        }
        select! {
            biased;
            socket = self.sockets.recv() => match socket {
                Some(socket) => {
                    self.replace(*socket);
                    Ok(Input::Resumed)
                }
                // The table forgets its end with the session only.
                None => future::pending().await,
            },
            read = self.current.read() => match read {
                Err(Disconnect::Lost(reason)) => {
                    self.lost = Some((reason, Instant::now() + self.timeout));
                    Ok(Input::Lost)
                }
                read => read,
            },
        }
    }
}

impl Reader {
    fn replace(&mut self, socket: Socket) {
        let (reader, writer) = websocket::halves(socket, self.limits);
        self.current = reader;
        self.lost = None;
        self.replacement.put(writer);
    }
}

/// The half that sends to the client.
pub(crate) struct Writer {
    current: websocket::Writer,
    is_binary: bool,
    replacement: Arc<Replacement>,
}

impl Outgoing for Writer {
    fn set_binary(&mut self, is_binary: bool) {
        self.is_binary = is_binary;
        self.current.set_binary(is_binary);
    }

    fn poll_send(
        &mut self,
        frames: &mut Frames,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Disconnect>> {
        self.current.poll_send(frames, cx)
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        // A socket that nobody reads any more does not delay the next one.
        select! {
            biased;
            () = self.replacement.ready() => Err(replaced()),
            queued = self.current.queue(messages) => queued,
        }
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        select! {
            biased;
            () = self.replacement.ready() => Err(replaced()),
            flushed = self.current.flush() => flushed,
        }
    }

    async fn close(&mut self, error: Option<TransportError>) -> Result<(), Disconnect> {
        self.current.close(error).await
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.current.set_interrupt(interrupt.clone());
        let _ = self.replacement.interrupt.set(interrupt);
    }

    fn urgent(&mut self) -> Option<Urgent> {
        if let Some(writer) = self.replacement.writer.lock().take() {
            self.current = writer;
            self.current.set_binary(self.is_binary);
            self.replacement.interrupt.get().cloned().into_iter().for_each(|interrupt| {
                self.current.set_interrupt(interrupt);
            });
            return Some(Urgent::Replaced);
        }
        self.current.urgent()
    }
}

fn replaced() -> Disconnect {
    Disconnect::Lost("the client opened another transport".to_owned())
}

/// The writing half of a new socket, on its way to the writer.
#[derive(Default)]
struct Replacement {
    writer: Mutex<Option<websocket::Writer>>,
    is_filled: Signal,
    /// Raised with it.
    interrupt: OnceLock<Interrupt>,
}

impl Replacement {
    fn put(&self, writer: websocket::Writer) {
        *self.writer.lock() = Some(writer);
        self.is_filled.set();
        self.interrupt.get().into_iter().for_each(Interrupt::raise);
    }

    /// Waits until there is a new half. Cancel safe.
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
