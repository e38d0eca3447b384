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
    blob::Blob,
    caller::Caller,
    close_handle::CloseHandle,
    disconnect::Disconnect,
    dispatch,
    handover::{Left, Luggage},
    handshake::{self, Agreed, HandshakeError},
    hub::Hub,
    metrics::ActiveConnection,
    options::Options,
    peer::Peer,
    protocol::{Encoding, frames::Frames, json, message::ClientMessage},
    refreshables::Listed,
    resumption::Resumption,
    transport::{Incoming, Input, Outgoing},
};

use places::Places;
use reader::Reader;
use sequence::{LeftAt, Numbers, Sequence};
use writer::Writer;

mod calls;
mod places;
mod raw;
mod reader;
mod running;
mod sequence;
mod writer;

/// Serves one client until its connection ends. Returns its state if it leaves for another server.
///
/// The start and the end have boxes of their own: the memory of an idle session is that of its
/// largest part.
pub(crate) fn serve<I, O>(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    halves: (I, O),
) -> impl Future<Output = Option<Box<Left>>> + Send
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
        end.await
    }
}

/// Goes on with a client of another server, which has still to open a transport here.
pub(crate) async fn go_on<I, O>(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    luggage: Luggage,
    halves: (I, O),
) -> Option<Box<Left>>
where
    I: Incoming + 'static,
    O: Outgoing + 'static,
{
    let mut session = Box::pin(Session::arrive(hub, peer, luggage, halves)).await?;
    let disconnect = session.converse().await;
    Box::pin(session.end(disconnect)).await
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
type End = Pin<Box<dyn Future<Output = Option<Box<Left>>> + Send>>;

/// Does the handshake and begins the conversation. If the handshake fails, returns what tells the
/// client. A client without a hub protocol has no handshake.
async fn begin<I, O>(
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    (mut incoming, mut outgoing): (I, O),
) -> Result<Box<Session<I, O>>, End>
where
    I: Incoming + 'static,
    O: Outgoing + 'static,
{
    if let Some(handler) = hub.raw() {
        let handler = Arc::clone(handler);
        let serving = raw::serve(hub, handler, peer, (incoming, outgoing));
        return Err(Box::pin(async move {
            serving.await;
            None
        }));
    }
    let active = hub.metrics().connected(peer.transport.metric_name(), "core");
    let mut frames = Frames::new(hub.options().message_bytes_max);
    let carries_binary = outgoing.carries_binary();
    match handshake(&hub, &mut frames, &mut incoming, carries_binary).await {
        Ok(agreed) => {
            Ok(Session::begin(hub, peer, agreed, frames, active, (incoming, outgoing)).await)
        }
        Err(disconnect) => {
            if let Disconnect::Unresumable(encoding) = disconnect {
                outgoing.set_binary(encoding.is_binary());
            }
            let halves = (incoming, Some(outgoing));
            let end = end(hub, disconnect, Some(Encoding::Json), active, halves);
            Err(Box::pin(async move {
                end.await;
                None
            }))
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
            if frames.begin_with_binary_sequence() {
                return Err(Disconnect::Unresumable(Encoding::MessagePack));
            }
            if let Some(request) = frames.next_text()? {
                return match json::parse(&request) {
                    Ok(ClientMessage::Sequence(_)) => Err(Disconnect::Unresumable(Encoding::Json)),
                    _ => Ok(request),
                };
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
        (mut incoming, outgoing): (I, O),
    ) -> Box<Self> {
        let sequence = (agreed.is_stateful && incoming.agree_to_resume())
            .then(|| Arc::new(Sequence::new(hub.options().resume_bytes_max)));
        let (id, user_id) = (&peer.connection_id, peer.user_id.as_deref());
        let resumption = peer.take_resumption();
        if resumption.is_some() {
            hub.farm().is_ready().await;
        }
        // Attached before the handshake reply: a connected client misses no message.
        let connection = match &resumption {
            Some(resumption) => resumption.attach(hub.backplane(), id, user_id),
            None => hub.backplane().attach(id, user_id),
        };
        connection.listening().await;
        let places = resumption.map(|resumption| {
            let has_lost = matches!(*resumption, Resumption::Lost);
            Box::new(Places::begin(&peer, &connection, has_lost))
        });
        let start = Start {
            encoding: agreed.encoding,
            sequence,
            connection,
            frames,
            last_question: 0,
            has_come: false,
            places,
        };
        Self::start(hub, peer, start, active, (incoming, outgoing))
    }

    /// Attaches a connection where it was on another server, and starts its writer. Returns `None` if
    /// this server does not have its encoding.
    async fn arrive(
        hub: Arc<Hub>,
        peer: Arc<Peer>,
        luggage: Luggage,
        (mut incoming, outgoing): (I, O),
    ) -> Option<Box<Self>> {
        let (encoding, cursor) = luggage.start()?;
        incoming.agree_to_resume();
        let active = hub.metrics().connected(peer.transport.metric_name(), "core");
        let Luggage { groups, confirmed, unconfirmed, handled, .. } = luggage;
        let Luggage { last_question, is_resumable, .. } = luggage;
        let unconfirmed = unconfirmed.into_iter().map(|message| message.into_vec().into());
        let numbers = Numbers { confirmed, unconfirmed: unconfirmed.collect(), handled };
        let sequence = Arc::new(Sequence::of(numbers, hub.options().resume_bytes_max));
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let (id, user_id) = (&peer.connection_id, peer.user_id.as_deref());
        let connection = hub.backplane().attach_at(id, user_id, &groups, cursor);
        connection.listening().await;
        let places = is_resumable.then(|| Box::new(Places::begin(&peer, &connection, false)));
        let start = Start {
            encoding,
            sequence: Some(sequence),
            connection,
            frames: Frames::new(hub.options().message_bytes_max),
            last_question,
            has_come: true,
            places,
        };
        Some(Self::start(hub, peer, start, active, (incoming, outgoing)))
    }

    fn start(
        hub: Arc<Hub>,
        peer: Arc<Peer>,
        start: Start,
        active: ActiveConnection,
        (incoming, mut outgoing): (I, O),
    ) -> Box<Self> {
        let Start { encoding, sequence, connection, frames, .. } = start;
        let Start { last_question, has_come, places, .. } = start;
        let close_handle = Arc::new(CloseHandle::default());
        let connection_id = Arc::clone(&peer.connection_id);
        let (answers, to_write) = Answers::channel(connection.interrupt());
        outgoing.set_interrupt(connection.interrupt());
        hub.askers().answer_others(hub.backplane());
        let (to_ask, room) = (answers.clone(), connection.room());
        let entry = hub.askers().enter(connection_id, encoding, to_ask, room, last_question);
        let listed = hub.options().auth_refresh.then(|| {
            let listed = hub.refreshables().enter(&peer, &close_handle);
            Box::new(listed)
        });
        let caller = Caller::new(Arc::clone(&peer), hub.links(), Arc::clone(&close_handle));

        let is_resumable = places.is_some();
        let conversation = Conversation { hub, encoding, sequence, close_handle, is_resumable };
        let writer = Writer::new(conversation.clone(), connection, to_write, outgoing);
        let writer = writer.with_places(places);
        let reader = Reader::new(conversation, caller, frames, incoming, answers, entry);
        let (writer, reader) = match has_come {
            true => (writer.without_transport(), reader.without_transport()),
            false => (writer, reader),
        };
        // A task of its own: a message for the client does not wake the reader.
        let writing = tokio::spawn(write(Box::new(writer)).in_current_span());
        let writing = AbortOnDropHandle::new(writing);
        Box::new(Self { peer, reader, writing, listed, active })
    }

    /// Reads until the connection ends, and returns the reason.
    async fn converse(&mut self) -> Disconnect {
        let Self { peer, reader, .. } = self;
        let Conversation { hub, close_handle, sequence, .. } = reader.conversation();
        let (hub, close_handle) = (Arc::clone(hub), Arc::clone(close_handle));
        let sequence = sequence.clone();
        let watching = async {
            select! {
                () = hub.turn_to_end() => match &sequence {
                    // Its client goes on at another server, and does not notice the shutdown.
                    Some(sequence) if hub.farm().has_others() => sequence.cut(),
                    _ => close_handle.close(Disconnect::Shutdown),
                },
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

    /// Ends the session when the writer has written the last result. Returns its state if it leaves.
    async fn end(self: Box<Self>, disconnect: Disconnect) -> Option<Box<Left>> {
        let Self { peer, mut reader, writing, listed, active } = *self;
        let conversation = reader.conversation().clone();
        let sequence = conversation.sequence.as_ref();
        // The writer has panicked if there is no transport.
        let outgoing = writing.await.ok();
        let left_at = sequence.and_then(|sequence| sequence.take_left_at());
        drop(listed);
        let disconnect = match (disconnect, left_at) {
            (Disconnect::Moved, Some(left_at)) if conversation.has_moved() => {
                let waiting = reader.take_waiting();
                let luggage = conversation.pack(&peer, reader.last_question(), left_at)?;
                return Some(Box::new(Left { luggage, visitor: peer.visitor(), waiting }));
            }
            (Disconnect::Moved, _) => {
                // The writer has failed at the last moment, or the application has ended the connection.
                dispatch::disconnected(&conversation.hub, reader.caller().clone()).await;
                let failed = conversation.close_handle.reason();
                failed.unwrap_or_else(|| Disconnect::Lost("the writer has failed".to_owned()))
            }
            (disconnect, _) => disconnect,
        };
        let Conversation { hub, encoding, .. } = conversation;
        end(hub, disconnect, Some(encoding), active, (reader.into_incoming(), outgoing)).await;
        None
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
    let leaves = Box::pin(writer.end(ended)).await;
    writer.into_outgoing(leaves)
}

/// The beginning of a session.
struct Start {
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<Arc<Sequence>>,
    connection: backplane::Connection,
    /// Bytes behind the handshake.
    frames: Frames,
    /// The number of the last question of an earlier server to the client.
    last_question: u64,
    /// Whether another server has had the connection.
    has_come: bool,
    /// Set for a resumable client.
    places: Option<Box<Places>>,
}

/// What the reader and the writer of a client share.
#[derive(Clone)]
struct Conversation {
    hub: Arc<Hub>,
    encoding: Encoding,
    /// Set for a stateful client.
    sequence: Option<Arc<Sequence>>,
    close_handle: Arc<CloseHandle>,
    /// Whether the client gets the place of each message.
    is_resumable: bool,
}

impl Conversation {
    /// Takes note that another server goes on. Returns false if the connection ends for another reason.
    fn has_moved(&self) -> bool {
        self.close_handle.close(Disconnect::Moved);
        matches!(self.close_handle.reason(), Some(Disconnect::Moved))
    }

    /// Returns the state of a session that has left, with the name of its user and of its groups. Without
    /// numbers, a session has none.
    fn pack(&self, peer: &Peer, last_question: u64, left_at: LeftAt) -> Option<Luggage> {
        let Numbers { confirmed, unconfirmed, handled } = self.sequence.as_ref()?.numbers();
        let (groups, cursor) = left_at;
        Some(Luggage {
            encoding: self.encoding.name().to_owned(),
            user_id: peer.user_id.as_deref().map(str::to_owned),
            moves: 0,
            cursor: cursor.to_string(),
            groups: own_groups(&self.hub, &groups),
            keepsakes: peer.keepsakes(),
            confirmed,
            unconfirmed: unconfirmed.iter().map(|message| Blob::from(&message[..])).collect(),
            handled,
            last_question,
            is_resumable: self.is_resumable,
        })
    }
}

/// Returns the groups of a hub by their names in it.
fn own_groups(hub: &Hub, groups: &[String]) -> Vec<String> {
    let prefix = format!("{}.", hub.name());
    let own = groups.iter().filter_map(|group| group.strip_prefix(&prefix));
    own.map(str::to_owned).collect()
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
