//! One client, from its handshake to its Close message.
//!
//! Two loops run concurrently: the reader takes messages and runs methods, the writer sends in a
//! task of its own. A method that waits delays neither.

use std::{future, pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use tokio::{
    select,
    time::{self, Sleep},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, debug};

use crate::{
    answers::Answers,
    caller::Caller,
    close_handle::CloseHandle,
    disconnect::Disconnect,
    handshake::{self, Agreed, HandshakeError},
    hub::Hub,
    metrics::ActiveConnection,
    options::Options,
    peer::Peer,
    protocol::{Encoding, frames::Frames},
    refreshables::Listed,
    transport::{Incoming, Input, Outgoing},
};

use reader::Reader;
use sequence::Sequence;
use writer::Writer;

mod calls;
mod raw;
mod reader;
mod running;
mod sequence;
mod writer;

/// Serves one client until its connection ends.
///
/// The start and the end have boxes of their own: the memory of an idle session is that of its
/// largest part.
pub(crate) fn serve<I, O>(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    halves: (I, O),
) -> impl Future<Output = ()> + Send
where
    I: Incoming + 'static,
    O: Outgoing + 'static,
{
    let beginning = Box::pin(begin(hub, peer, halves));
    async move {
        let end = match beginning.await {
            Ok(mut session) => {
                let disconnect = session.converse().await;
                Box::pin(session.end(disconnect))
            }
            Err(end) => end,
        };
        end.await;
    }
}

/// A session after its handshake.
struct Session<I, O> {
    peer: Arc<Peer>,
    reader: Reader<I>,
    /// Returns the transport.
    writing: AbortOnDropHandle<O>,
    /// In a box, since in most hubs there is none.
    listed: Option<Box<Listed>>,
    active: ActiveConnection,
}

/// The rest of a session.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Does the handshake and begins the conversation. If the handshake fails, returns what tells the
/// client. A client without a hub protocol has no handshake.
async fn begin<I, O>(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    (mut incoming, outgoing): (I, O),
) -> Result<Box<Session<I, O>>, End>
where
    I: Incoming + 'static,
    O: Outgoing + 'static,
{
    if let Some(handler) = hub.raw() {
        let handler = Arc::clone(handler);
        return Err(Box::pin(raw::serve(hub, handler, peer, (incoming, outgoing))));
    }
    let active = hub.metrics().connected(peer.transport.metric_name(), "core");
    let mut frames = Frames::new(hub.options().message_bytes_max);
    let carries_binary = outgoing.carries_binary();
    match handshake(&hub, &mut frames, &mut incoming, carries_binary).await {
        Ok(agreed) => {
            Ok(Session::begin(hub, peer, agreed, frames, active, (incoming, outgoing)).await)
        }
        Err(disconnect) => {
            let halves = (incoming, Some(outgoing));
            let end = end(hub, disconnect, Some(Encoding::Json), active, halves);
            Err(Box::pin(end))
        }
    }
}

/// Counts the end of a connection, and tells the client. Without an encoding, only the transport
/// tells it.
async fn end(
    hub: Arc<Hub>,
    disconnect: Disconnect,
    encoding: Option<Encoding>,
    mut active: ActiveConnection,
    (mut incoming, outgoing): (impl Incoming, Option<impl Outgoing>),
) {
    debug!(reason = disconnect.log_text(), "client disconnected");
    active.status = disconnect.status();
    match disconnect {
        Disconnect::SlowConnection | Disconnect::WriteTimeout => hub.metrics().slow(),
        Disconnect::Gap(_) => hub.metrics().gap("reconnect"),
        _ => {}
    }
    incoming.refuse_to_resume();
    if disconnect.is_reachable()
        && let Some(outgoing) = outgoing
    {
        let detailed = hub.options().detailed_errors;
        let message = encoding.and_then(|encoding| disconnect.close_message(encoding, detailed));
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
        () = part_of_drain(hub) => Err(HandshakeError::TimedOut.into()),
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

/// Waits until the server loses its connections, and then for a time in which a client can finish its
/// handshake. Its session then ends as others do.
async fn part_of_drain(hub: &Hub) {
    hub.stopping().cancelled().await;
    time::sleep(hub.options().close_timeout).await;
}

impl<I: Incoming, O: Outgoing + 'static> Session<I, O> {
    /// Attaches the connection, and starts its writer.
    async fn begin(
        hub: Arc<Hub>,
        peer: Arc<Peer>,
        agreed: Agreed,
        frames: Frames,
        active: ActiveConnection,
        (mut incoming, mut outgoing): (I, O),
    ) -> Box<Self> {
        let sequence = (agreed.is_stateful && incoming.agree_to_resume())
            .then(|| Arc::new(Sequence::new(hub.options().resume_bytes_max)));
        let (encoding, close_handle) = (agreed.encoding, Arc::new(CloseHandle::default()));
        let connection_id = Arc::clone(&peer.connection_id);
        // Attached before the handshake reply: a connected client misses no message.
        let connection = hub.backplane().attach(&connection_id, peer.user_id.as_deref());
        connection.listening().await;
        let (answers, to_write) = Answers::channel(connection.interrupt());
        outgoing.set_interrupt(connection.interrupt());
        hub.askers().answer_others(hub.backplane());
        let entry = hub.askers().enter(connection_id, encoding, answers.clone(), connection.room());
        let listed = hub.options().auth_refresh.then(|| {
            let listed = hub.refreshables().enter(&peer, &close_handle);
            Box::new(listed)
        });
        let caller = Caller::new(Arc::clone(&peer), hub.links(), Arc::clone(&close_handle));

        let conversation = Conversation { hub, encoding, sequence, close_handle };
        let writer = Box::new(Writer::new(conversation.clone(), connection, to_write, outgoing));
        // A task of its own: a message for the client does not wake the reader.
        let writing = tokio::spawn(write(writer).in_current_span());
        let writing = AbortOnDropHandle::new(writing);
        let reader = Reader::new(conversation, caller, frames, incoming, answers, entry);
        Box::new(Self { peer, reader, writing, listed, active })
    }

    /// Reads until the connection ends, and returns the reason.
    async fn converse(&mut self) -> Disconnect {
        let Self { peer, reader, .. } = self;
        let Conversation { hub, close_handle, .. } = reader.conversation();
        let (hub, close_handle) = (Arc::clone(hub), Arc::clone(close_handle));
        let watching = async {
            select! {
                () = hub.turn_to_end() => {
                    close_handle.close(Disconnect::Shutdown);
                }
                () = expired(peer, hub.options()) => {
                    close_handle.close(Disconnect::Expired);
                }
            }
            future::pending::<()>().await;
        };
        select! {
            disconnect = reader.run() => disconnect,
            () = watching => unreachable!("it is pending"),
        }
    }

    /// Ends the session when the writer has written the last result.
    async fn end(self: Box<Self>, disconnect: Disconnect) {
        let Self { reader, writing, listed, active, .. } = *self;
        let Conversation { hub, encoding, .. } = reader.conversation().clone();
        // The writer has panicked if there is no transport.
        let outgoing = writing.await.ok();
        drop(listed);
        end(hub, disconnect, Some(encoding), active, (reader.into_incoming(), outgoing)).await;
    }
}

/// Waits until the user expires, if that ends the connection.
///
/// In a box, since in most hubs it does not, and none then.
async fn expired(peer: &Peer, options: &Options) {
    let mut expired = options.close_on_expiry.then(|| Box::pin(peer.expired()));
    future::poll_fn(|cx| match &mut expired {
        Some(expired) => expired.as_mut().poll(cx),
        None => Poll::Pending,
    })
    .await;
}

/// Runs the writer, and closes the connection if it cannot go on. Returns the transport.
async fn write<O: Outgoing>(mut writer: Box<Writer<O>>) -> O {
    let ended = writer.run().await;
    // In a box, since an idle writer has not come to its end.
    Box::pin(writer.end(ended)).await;
    writer.into_outgoing()
}

/// What the reader and the writer of a client share.
#[derive(Clone)]
struct Conversation {
    hub: Arc<Hub>,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<Arc<Sequence>>,
    close_handle: Arc<CloseHandle>,
}

/// Waits for a random part of the close window, so that clients do not all reconnect at once.
///
/// In a box, since an idle session has no part in it.
fn part_of_close_window(options: &Options) -> Pin<Box<Sleep>> {
    Box::pin(time::sleep(options.close_window.mul_f64(rand::random())))
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
