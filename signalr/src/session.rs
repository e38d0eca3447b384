//! One client from its handshake to its last word.
//!
//! Two loops run side by side: one reads and runs the application's methods, one at a time and in order;
//! the other writes answers, what the backplane brings, and pings. A method that takes its time therefore
//! stops the reading of its own client and nothing else.
//!
//! A method that has begun is never cancelled: a connection that ends waits for it.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::{
    select,
    sync::mpsc,
    time::{self, Instant},
};
use tracing::debug;

use crate::{
    caller::Caller,
    close_handle::CloseHandle,
    disconnect::Disconnect,
    dispatch,
    handshake::{self, HandshakeError},
    hub::Hub,
    options::Options,
    protocol::{
        frames::Frames,
        json::{self, ClientMessage},
    },
    transport::{Incoming, Outgoing},
};

/// Who is at the other end.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection_id: Arc<str>,
    pub(crate) user: Option<Arc<str>>,
}

/// Serves one client until its connection ends.
pub(crate) async fn serve<I, O>(hub: &Hub, peer: Peer, (mut incoming, mut outgoing): (I, O))
where
    I: Incoming,
    O: Outgoing,
{
    let mut frames = Frames::new(hub.options().message_bytes_max);
    let disconnect = match handshake(hub, &mut frames, &mut incoming).await {
        Ok(()) => converse(hub, peer, frames, &mut incoming, &mut outgoing).await,
        Err(disconnect) => disconnect,
    };
    debug!(reason = %disconnect, "client disconnected");
    if disconnect.is_reachable() {
        let closing = send_close(hub.options(), &disconnect, incoming, outgoing);
        let _ = time::timeout(hub.options().close_timeout, closing).await;
    }
}

/// Waits for the client's handshake request and checks it.
async fn handshake(
    hub: &Hub,
    frames: &mut Frames,
    incoming: &mut impl Incoming,
) -> Result<(), Disconnect> {
    let request = async {
        loop {
            if let Some(request) = frames.next()? {
                return Ok(request);
            }
            frames.push(&incoming.read().await?);
        }
    };
    select! {
        () = hub.stopping().cancelled() => Err(HandshakeError::TimedOut.into()),
        request = time::timeout(hub.options().handshake_timeout, request) => {
            let request = request.map_err(|_| HandshakeError::TimedOut)?;
            // No Close message stands before the handshake's answer: the client could not read it.
            let request = request.map_err(|disconnect| match disconnect {
                Disconnect::Protocol(_) => HandshakeError::Unreadable.into(),
                other => other,
            })?;
            Ok(handshake::check(&request)?)
        }
    }
}

/// Runs both loops until the connection ends, and says why it did.
async fn converse(
    hub: &Hub,
    peer: Peer,
    frames: Frames,
    incoming: &mut impl Incoming,
    outgoing: &mut impl Outgoing,
) -> Disconnect {
    let Peer { connection_id, user } = peer;
    // Attached before the client knows it is connected: it misses nothing that is sent from then on.
    let connection = hub.backplane().attach(&connection_id, user.as_deref());
    let close_handle = Arc::new(CloseHandle::new(hub.stopping()));
    let caller =
        Caller::new(connection_id, user, hub.backplane().clone(), Arc::clone(&close_handle));

    let (answers, to_write) = mpsc::channel(ANSWERS_MAX);
    let mut reader = Reader { hub, caller, frames, incoming, answers, close_handle: &close_handle };
    let mut writer = Writer { options: hub.options(), connection, to_write, outgoing };

    let reading = async move {
        let disconnect = reader.run().await;
        drop(reader);
        disconnect
    };
    let writing = async {
        if let Err(disconnect) = writer.run().await {
            close_handle.close(disconnect);
        }
    };
    let (disconnect, ()) = tokio::join!(reading, writing);
    disconnect
}

/// Says the last word, ends the transport and waits for the client to do the same.
async fn send_close(
    options: &Options,
    disconnect: &Disconnect,
    mut incoming: impl Incoming,
    mut outgoing: impl Outgoing,
) -> Result<(), Disconnect> {
    if let Some(message) = disconnect.close_message(options.detailed_errors) {
        outgoing.queue(message).await?;
    }
    outgoing.close(disconnect.transport_error()).await?;
    loop {
        incoming.read().await?;
    }
}

/// The loop that reads and runs methods.
struct Reader<'a, I> {
    hub: &'a Hub,
    caller: Caller,
    frames: Frames,
    incoming: &'a mut I,
    answers: mpsc::Sender<Bytes>,
    close_handle: &'a CloseHandle,
}

impl<I: Incoming> Reader<'_, I> {
    async fn run(&mut self) -> Disconnect {
        if let Err(error) = dispatch::connected(self.hub, self.caller.clone()).await {
            return Disconnect::Refused(error);
        }
        let Err(disconnect) = self.read().await;
        dispatch::disconnected(self.hub, self.caller.clone()).await;
        disconnect
    }

    async fn read(&mut self) -> Result<Infallible, Disconnect> {
        let mut has_pinged = false;
        loop {
            while let Some(message) = self.frames.next()? {
                if self.close_handle.is_closing() {
                    return Err(self.close_handle.reason());
                }
                let message = ClientMessage::parse(&message)?;
                has_pinged |= matches!(message, ClientMessage::Ping);
                if let Some(answer) = dispatch::message(self.hub, &self.caller, message).await? {
                    // Fails when the writer has gone, which has called for the end.
                    let _ = self.answers.send(answer).await;
                }
            }
            let bytes = self.more(has_pinged).await?;
            self.frames.push(&bytes);
        }
    }

    /// Waits for more bytes. The client's time starts with its first ping, since some clients send
    /// none. It stands still while a method runs, as nothing is read then.
    async fn more(&mut self, has_pinged: bool) -> Result<Bytes, Disconnect> {
        let timeout = self.hub.options().client_timeout;
        select! {
            biased;
            () = self.close_handle.closing() => Err(self.close_handle.reason()),
            bytes = self.incoming.read() => bytes,
            () = time::sleep(timeout), if has_pinged => Err(Disconnect::ClientTimeout),
        }
    }
}

/// The loop that writes.
struct Writer<'a, O> {
    options: &'a Options,
    connection: backplane::Connection,
    to_write: mpsc::Receiver<Bytes>,
    outgoing: &'a mut O,
}

impl<O: Outgoing> Writer<'_, O> {
    /// Writes until the reader has gone and its last answer is written.
    ///
    /// The reply to the handshake comes first: clients refuse any other message before it.
    async fn run(&mut self) -> Result<(), Disconnect> {
        let mut next = handshake::ACCEPTED;
        loop {
            time::timeout(self.options.write_timeout, self.write(next))
                .await
                .map_err(|_| Disconnect::WriteTimeout)??;
            let next_ping = Instant::now() + self.options.keep_alive;
            next = select! {
                answer = self.to_write.recv() => match answer {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
                invocation = self.connection.recv() => invocation?.encoded(json::invocation),
                () = time::sleep_until(next_ping) => json::PING,
            };
        }
    }

    /// Writes one message and what else is ready with a single flush.
    async fn write(&mut self, first: Bytes) -> Result<(), Disconnect> {
        self.outgoing.queue(first).await?;
        for _ in 1..BATCH_MAX {
            let Some(next) = self.ready()? else { break };
            self.outgoing.queue(next).await?;
        }
        self.outgoing.flush().await
    }

    fn ready(&mut self) -> Result<Option<Bytes>, Disconnect> {
        if let Ok(answer) = self.to_write.try_recv() {
            return Ok(Some(answer));
        }
        let invocation = self.connection.recv().now_or_never().transpose()?;
        Ok(invocation.map(|invocation| invocation.encoded(json::invocation)))
    }
}

/// Methods run one at a time, so that answers hardly queue up.
const ANSWERS_MAX: usize = 4;
/// How many messages one flush carries at most, so that the write's time limit stays fair.
const BATCH_MAX: usize = 64;
