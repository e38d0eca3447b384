//! One client, from its handshake to its Close message.
//!
//! Two loops run concurrently: the reader takes messages and runs methods, the writer sends. A
//! method that waits delays neither.

use std::{future, pin::pin, sync::Arc};

use bytes::Bytes;
use tokio::{select, time};
use tracing::debug;

use crate::{
    answers::Answers,
    caller::Caller,
    close_handle::CloseHandle,
    disconnect::Disconnect,
    handshake::{self, Agreed, HandshakeError},
    hub::Hub,
    options::Options,
    peer::Peer,
    protocol::{Encoding, frames::Frames},
    transport::{Incoming, Input, Outgoing},
};

use reader::Reader;
use sequence::Sequence;
use writer::Writer;

mod calls;
mod reader;
mod sequence;
mod writer;

/// Serves one client until its connection ends.
pub(crate) async fn serve<I, O>(
    hub: &Arc<Hub>,
    peer: Arc<Peer>,
    (mut incoming, mut outgoing): (I, O),
) where
    I: Incoming,
    O: Outgoing,
{
    let mut active = hub.metrics().connected(peer.transport.metric_name(), "core");
    let mut frames = Frames::new(hub.options().message_bytes_max);
    let mut encoding = Encoding::Json;
    let carries_binary = outgoing.carries_binary();
    let disconnect = match handshake(hub, &mut frames, &mut incoming, carries_binary).await {
        Ok(agreed) => {
            encoding = agreed.encoding;
            let sequence = (agreed.is_stateful && incoming.agree_to_resume())
                .then(|| Sequence::new(hub.options().resume_bytes_max));
            let agreed = (encoding, sequence.as_ref());
            converse(hub, peer, agreed, frames, &mut incoming, &mut outgoing).await
        }
        Err(disconnect) => disconnect,
    };
    debug!(reason = disconnect.log_text(), "client disconnected");
    active.status = disconnect.status();
    match disconnect {
        Disconnect::SlowConnection | Disconnect::WriteTimeout => {
            hub.metrics().slow.inc();
        }
        Disconnect::Gap(_) => hub.metrics().gap("reconnect"),
        _ => {}
    }
    incoming.refuse_to_resume();
    if disconnect.is_reachable() {
        let message = disconnect.close_message(encoding, hub.options().detailed_errors);
        let closing = send_close(message, &disconnect, incoming, outgoing);
        let _ = time::timeout(hub.options().close_timeout, closing).await;
    }
}

/// Waits for the handshake request and checks it.
async fn handshake(
    hub: &Hub,
    frames: &mut Frames,
    incoming: &mut impl Incoming,
    carries_binary: bool,
) -> Result<Agreed, Disconnect> {
    let request = async {
        loop {
            if let Some(request) = frames.next_text()? {
                return Ok(request);
            }
            if let Input::Bytes(bytes) = incoming.read().await? {
                frames.push(&bytes);
            }
        }
    };
    select! {
        () = hub.stopping().cancelled() => Err(HandshakeError::TimedOut.into()),
        request = time::timeout(hub.options().handshake_timeout, request) => {
            let request = request.map_err(|_| HandshakeError::TimedOut)?;
            // An error before the handshake is a reply to it. The client cannot read a Close
            // message yet.
            let request = request.map_err(|disconnect| match disconnect {
                Disconnect::Protocol(error) => HandshakeError::Unreadable(error).into(),
                other => other,
            })?;
            Ok(handshake::check(&request, carries_binary)?)
        }
    }
}

/// Runs both loops until the connection ends, and returns the reason.
async fn converse(
    hub: &Arc<Hub>,
    peer: Arc<Peer>,
    (encoding, sequence): (Encoding, Option<&Sequence>),
    frames: Frames,
    incoming: &mut impl Incoming,
    outgoing: &mut impl Outgoing,
) -> Disconnect {
    let connection_id = Arc::clone(&peer.connection_id);
    // Attached before the handshake reply: a connected client misses no message.
    let connection = hub.backplane().attach(&connection_id, peer.user_id.as_deref());
    connection.listening().await;
    let close_handle = Arc::new(CloseHandle::default());
    let (answers, to_write) = Answers::channel();
    let entry = hub.askers().enter(connection_id, encoding, answers.clone(), connection.room());
    let _listed =
        hub.options().auth_refresh.then(|| hub.refreshables().enter(&peer, &close_handle));
    let caller = Caller::new(Arc::clone(&peer), hub.links(), Arc::clone(&close_handle));

    let conversation = Conversation { hub, encoding, sequence, close_handle: &close_handle };
    let reader = Reader::new(conversation, caller, frames, incoming, answers, entry);
    let mut writer = Writer::new(conversation, connection, to_write, outgoing);

    let writing = async {
        let Err(disconnect) = writer.run().await else { return };
        if matches!(disconnect, Disconnect::Gap(_)) {
            // All clients of this server have the same gap. Meanwhile answers are dropped, since
            // methods must not wait for the writer.
            let dropping = async { while writer.to_write.recv().await.is_some() {} };
            select! {
                () = part_of_close_window(hub.options()) => {}
                () = dropping => {}
            }
        }
        close_handle.close(disconnect);
        // Ends the wait of methods for room for their answers.
        writer.to_write.close();
    };
    let shutdown = async {
        hub.stopping().cancelled().await;
        part_of_close_window(hub.options()).await;
        close_handle.close(Disconnect::Shutdown);
    };
    let expiry = async {
        match hub.options().close_on_expiry {
            true => peer.expired().await,
            false => future::pending().await,
        }
        close_handle.close(Disconnect::Expired);
    };
    let mut both = pin!(async { tokio::join!(reader.run(), writing).0 });
    select! {
        disconnect = &mut both => disconnect,
        () = shutdown => both.await,
        () = expiry => both.await,
    }
}

/// What the reader and the writer of a client share.
#[derive(Clone, Copy)]
struct Conversation<'a> {
    hub: &'a Arc<Hub>,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<&'a Sequence>,
    close_handle: &'a CloseHandle,
}

/// Waits for a random part of the close window, so that clients do not all reconnect at once.
async fn part_of_close_window(options: &Options) {
    time::sleep(options.close_window.mul_f64(rand::random())).await;
}

/// Sends the Close message, closes the transport and waits until the client has closed it.
async fn send_close(
    message: Option<Bytes>,
    disconnect: &Disconnect,
    mut incoming: impl Incoming,
    mut outgoing: impl Outgoing,
) -> Result<(), Disconnect> {
    if let Some(message) = message {
        outgoing.queue(message).await?;
    }
    outgoing.close(disconnect.transport_error()).await?;
    loop {
        incoming.read().await?;
    }
}
