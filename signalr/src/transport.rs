//! Carries bytes between a session and its client.
//!
//! A session uses the two halves concurrently. Incoming bytes are a stream, in pieces that are
//! independent of messages. Outgoing bytes are whole hub messages.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use backplane::Interrupt;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    disconnect::{Disconnect, TransportError},
    handoff::Leave,
};

pub(crate) mod long_polling;
pub(crate) mod posts;
pub(crate) mod resumable;
pub(crate) mod sse;
pub(crate) mod websocket;

/// What a transport receives.
#[derive(Debug)]
pub(crate) enum Input {
    Bytes(Bytes),
    /// The transport is lost, and the client may open another one.
    Lost,
    /// The client has opened another transport. The rest of an incomplete message does not follow.
    Resumed,
    /// The client has opened another transport on another server. The old one is lost.
    Leave(Leave),
}

/// What a transport needs from the session.
#[derive(Debug)]
pub(crate) enum Urgent {
    /// A flush, for bytes of the transport itself.
    Flush,
    /// The client has opened another transport, and messages are sent there from now on.
    Replaced,
    /// The transport is lost, and the client may open another one.
    Lost,
}

/// Hub messages, as frames with one or more of them. Mostly there is one frame.
pub(crate) type Frames = SmallVec<[Bytes; 1]>;

/// The half that receives from the client.
pub(crate) trait Incoming: Send {
    /// Allows the client to open another transport, and returns whether that is possible.
    fn agree_to_resume(&mut self) -> bool {
        false
    }

    /// Allows no other transport from now on.
    fn refuse_to_resume(&mut self) {}

    /// Drops the transport, and waits for another one, at most for a time.
    fn cut(&mut self, _timeout: Duration) {}

    /// Waits for more input. Cancel safe.
    fn read(&mut self) -> impl Future<Output = Result<Input, Disconnect>> + Send;
}

/// The half that sends to the client.
pub(crate) trait Outgoing: Send {
    /// Returns whether the transport carries binary messages.
    fn carries_binary(&self) -> bool {
        true
    }

    /// Sets whether the messages from now on are binary. Most transports carry bytes of any kind.
    fn set_binary(&mut self, _is_binary: bool) {}

    /// Returns whether the session pings the client. A transport with requests of its own needs no
    /// pings.
    fn needs_pings(&self) -> bool {
        true
    }

    /// Sets what the transport raises when there is something [`urgent`](Self::urgent).
    fn set_interrupt(&mut self, _interrupt: Interrupt) {}

    /// Returns what is to be done although there is no message.
    fn urgent(&mut self) -> Option<Urgent> {
        None
    }

    /// Takes frames and sends all that is queued, as far as both need no waiting. If it returns
    /// `Pending`, [`queue`](Self::queue) takes the frames that are left, and
    /// [`flush`](Self::flush) sends the rest.
    ///
    /// A transport that waits for requests takes no frames here.
    fn poll_send(
        &mut self,
        _frames: &mut Frames,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), Disconnect>> {
        Poll::Pending
    }

    /// Queues one or more whole hub messages, at most until the next flush.
    fn queue(&mut self, messages: Bytes) -> impl Future<Output = Result<(), Disconnect>> + Send;

    /// Sends all queued messages.
    fn flush(&mut self) -> impl Future<Output = Result<(), Disconnect>> + Send;

    /// Sends all queued messages and closes this side of the transport. The close names the error.
    fn close(
        &mut self,
        error: Option<TransportError>,
    ) -> impl Future<Output = Result<(), Disconnect>> + Send;
}
