//! How bytes get to a client and back, whatever carries them.
//!
//! A session sees two halves that it uses side by side: what arrives is a stream of bytes whose pieces
//! mean nothing, what is sent are whole hub messages.

use bytes::Bytes;

use crate::disconnect::{Disconnect, TransportError};

pub(crate) mod websocket;

/// The half that brings what the client sends.
pub(crate) trait Incoming: Send {
    /// Waits for more bytes. Cancel safe.
    fn read(&mut self) -> impl Future<Output = Result<Bytes, Disconnect>> + Send;
}

/// The half that takes what the client shall read.
pub(crate) trait Outgoing: Send {
    /// Adds one or more whole hub messages; they may wait for the next flush.
    fn queue(&mut self, messages: Bytes) -> impl Future<Output = Result<(), Disconnect>> + Send;

    /// Hands everything queued to the network.
    fn flush(&mut self) -> impl Future<Output = Result<(), Disconnect>> + Send;

    /// Sends all queued messages and then this side's end of the transport, which names the error.
    fn close(
        &mut self,
        error: Option<TransportError>,
    ) -> impl Future<Output = Result<(), Disconnect>> + Send;
}
