//! Hub messages over a WebSocket.
//!
//! Incoming opcodes are ignored, since clients send the handshake as text with every protocol.
//! Outgoing frames hold whole hub messages, as the JavaScript client requires. The reading half
//! answers a ping through the other one, since only that one writes.

mod decoder;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::{
    future::poll_fn,
    io,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use backplane::Interrupt;
use bytes::Bytes;
use locks::Mutex;

use super::{Frames, Incoming, Input, Outgoing, Urgent};
use crate::{
    disconnect::{Disconnect, TransportError},
    options::Options,
    protocol::ProtocolError,
    socket::{ReadHalf, Socket, WriteHalf},
};

use decoder::{DecodeError, Decoded, Decoder};
use frame::Frame;

/// Returns the two halves of an open WebSocket.
pub(crate) fn halves(socket: Socket, limits: Limits) -> (Reader, Writer) {
    let (reading, writing) = socket.split();
    let pong = Arc::<Pong>::default();
    let reader = Reader {
        reading,
        decoder: Decoder::default(),
        state: State::Open,
        limits,
        pong: Arc::clone(&pong),
    };
    let opcode = decoder::TEXT;
    (reader, Writer { writing, opcode, unsent: Vec::new(), pong, is_closed: false })
}

/// The limits for messages of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a hub message. Errors name it.
    message_bytes_max: usize,
    /// For a message of the WebSocket.
    frame_bytes_max: usize,
}

/// A pong that has to be sent.
#[derive(Debug, Default)]
struct Pong {
    payload: Mutex<Option<Vec<u8>>>,
    /// Raised when there is a payload.
    interrupt: OnceLock<Interrupt>,
}

/// The half that receives from the client.
pub(crate) struct Reader {
    reading: ReadHalf,
    decoder: Decoder,
    state: State,
    limits: Limits,
    pong: Arc<Pong>,
}

/// What a reader expects from the client.
enum State {
    Open,
    /// An error behind data that was returned. The content of invalid frames follows in the stream.
    Failed(DecodeError),
    /// Nothing but the end. All bytes are ignored: a close with unread bytes makes the network drop
    /// the Close message, which names the error.
    Closing,
    /// The client has sent a close frame.
    Closed,
}

impl Incoming for Reader {
    async fn read(&mut self) -> Result<Input, Disconnect> {
        let bytes = poll_fn(|cx| self.poll_data(cx)).await?;
        Ok(Input::Bytes(bytes))
    }
}

impl Reader {
    /// Reads until there is data.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Disconnect>> {
        loop {
            match self.state {
                State::Failed(error) => {
                    self.state = State::Closing;
                    return Poll::Ready(Err(self.limits.disconnect(error)));
                }
                State::Closed => return Poll::Ready(Err(Disconnect::TransportClosed)),
                State::Open | State::Closing => {}
            }
            let Self { reading, decoder, state, limits, .. } = self;
            let frame_bytes_max = limits.frame_bytes_max as u64;
            let mut data = Vec::new();
            let read = reading.poll_read(cx, |bytes| match state {
                _ if bytes.is_empty() => Err(Disconnect::Lost(NO_CLOSE.to_owned())),
                State::Closing | State::Closed => Ok(Decoded::default()),
                State::Open | State::Failed(_) => {
                    Ok(decoder.decode(bytes, frame_bytes_max, &mut data).unwrap_or_else(|error| {
                        *state = State::Failed(error);
                        Decoded::default()
                    }))
                }
            });
            let Decoded { ping, is_closed } = ready!(read).map_err(lost)??;
            if let Some(ping) = ping {
                *self.pong.payload.lock() = Some(ping);
                self.pong.interrupt.get().into_iter().for_each(Interrupt::raise);
            }
            if is_closed {
                // With any code, since browsers close without one.
                self.state = State::Closed;
            }
            if !data.is_empty() {
                return Poll::Ready(Ok(data.into()));
            }
        }
    }
}

impl Limits {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            message_bytes_max: options.message_bytes_max,
            // A WebSocket message may hold several hub messages that a client has queued. Each of
            // them has its own limit.
            frame_bytes_max: options.frame_bytes_max.max(options.message_bytes_max),
        }
    }

    fn disconnect(self, error: DecodeError) -> Disconnect {
        match error {
            DecodeError::TooLarge => ProtocolError::TooLarge(self.message_bytes_max).into(),
            DecodeError::Transport(error) => error.into(),
        }
    }
}

/// The half that sends to the client.
pub(crate) struct Writer {
    writing: WriteHalf,
    opcode: u8,
    /// Empty without memory, except while the socket takes no more.
    unsent: Vec<Frame>,
    pong: Arc<Pong>,
    /// Whether the last frame is queued.
    is_closed: bool,
}

impl Outgoing for Writer {
    fn set_binary(&mut self, is_binary: bool) {
        self.opcode = if is_binary { decoder::BINARY } else { decoder::TEXT };
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        // The writer has one reader of its messages for all of its life.
        let _ = self.pong.interrupt.set(interrupt);
    }

    fn urgent(&mut self) -> Option<Urgent> {
        let payload = self.pong.payload.lock().take().filter(|_| !self.is_closed)?;
        self.unsent.push(Frame::new(decoder::PONG, payload.into()));
        Some(Urgent::Flush)
    }

    fn poll_send(
        &mut self,
        frames: &mut Frames,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Disconnect>> {
        if self.unsent.is_empty()
            && let [_] = &frames[..]
            && let Some(messages) = frames.pop()
        {
            let mut frame = Frame::new(self.opcode, messages);
            // Nearly always the socket takes all of it, so it is not even queued.
            if let Some(Ok(sent)) = frame.with_joined(|bytes| self.writing.try_write(bytes)) {
                frame.advance(sent);
            }
            if frame.is_sent() {
                return Poll::Ready(Ok(()));
            }
            // An error comes again.
            self.unsent.push(frame);
        }
        self.unsent.extend(frames.drain(..).map(|messages| Frame::new(self.opcode, messages)));
        self.poll_flush(cx).map_err(lost)
    }

    async fn queue(&mut self, messages: Bytes) -> Result<(), Disconnect> {
        self.unsent.push(Frame::new(self.opcode, messages));
        if self.unsent.len() >= FRAMES_MAX { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Disconnect> {
        poll_fn(|cx| self.poll_flush(cx)).await.map_err(lost)
    }

    async fn close(&mut self, error: Option<TransportError>) -> Result<(), Disconnect> {
        let code = match error {
            None => CODE_NORMAL,
            Some(TransportError::Frame) => CODE_PROTOCOL,
            Some(TransportError::Text) => CODE_INVALID,
        };
        if !self.is_closed {
            self.is_closed = true;
            let payload = Bytes::copy_from_slice(&code.to_be_bytes());
            self.unsent.push(Frame::new(decoder::CLOSE, payload));
        }
        self.flush().await
    }
}

impl Writer {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let mut written = ready!(frame::with_slices(&self.unsent, |slices| {
                self.writing.poll_write(cx, slices)
            }))?;
            let is_sent = |frame: &mut Frame| {
                written = frame.advance(written);
                frame.is_sent()
            };
            let sent = self.unsent.iter_mut().map(is_sent).take_while(|is_sent| *is_sent).count();
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        self.writing.poll_flush(cx)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature for map_err")]
fn lost(error: io::Error) -> Disconnect {
    Disconnect::Lost(error.to_string())
}

const NO_CLOSE: &str = "no close frame from the client";
/// Frames that are gathered before a write without a flush.
const FRAMES_MAX: usize = 64;
/// Codes of RFC 6455.
const CODE_NORMAL: u16 = 1000;
const CODE_PROTOCOL: u16 = 1002;
const CODE_INVALID: u16 = 1007;
