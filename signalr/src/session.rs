//! One client, from its handshake to its Close message.
//!
//! Two loops run concurrently. The reader runs the application's methods one at a time, in the
//! order of the calls. The writer sends results, messages of the backplane, and pings. A slow
//! method therefore delays only the reads of its own client.
//!
//! A running method is never cancelled. A connection that ends waits for it.

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

/// The ids of a connection and of its user.
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

/// Waits for the handshake request and checks it.
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
            // An error before the handshake is a reply to it. The client cannot read a Close
            // message yet.
            let request = request.map_err(|disconnect| match disconnect {
                Disconnect::Protocol(_) => HandshakeError::Unreadable.into(),
                other => other,
            })?;
            Ok(handshake::check(&request)?)
        }
    }
}

/// Runs both loops until the connection ends, and returns the reason.
async fn converse(
    hub: &Hub,
    peer: Peer,
    frames: Frames,
    incoming: &mut impl Incoming,
    outgoing: &mut impl Outgoing,
) -> Disconnect {
    let Peer { connection_id, user } = peer;
    // Attached before the handshake reply: a connected client misses no message.
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

/// Sends the Close message, closes the transport and waits until the client has closed it.
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

/// The loop that reads messages and runs methods.
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
                    // Fails if the writer has ended. It has closed the connection then.
                    let _ = self.answers.send(answer).await;
                }
            }
            let bytes = self.more(has_pinged).await?;
            self.frames.push(&bytes);
        }
    }

    /// Waits for more bytes, at most for the client timeout.
    ///
    /// The timeout applies after the first ping, since some clients send none. It does not run
    /// during a method, since the reader reads nothing then.
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

/// The loop that writes messages.
struct Writer<'a, O> {
    options: &'a Options,
    connection: backplane::Connection,
    to_write: mpsc::Receiver<Bytes>,
    outgoing: &'a mut O,
}

impl<O: Outgoing> Writer<'_, O> {
    /// Writes until the reader has ended and its last result is written.
    ///
    /// The handshake reply comes first, since clients refuse any other message before it.
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

    /// Writes one message and all other ready messages, with one flush.
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

/// Maximum number of queued results. Methods run one at a time, so the queue is short.
const ANSWERS_MAX: usize = 4;
/// Maximum number of messages for one flush, since all of them share one write timeout.
const BATCH_MAX: usize = 64;
