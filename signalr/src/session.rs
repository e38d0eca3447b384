//! One client, from its handshake to its Close message.
//!
//! Two loops run concurrently. The reader runs the application's methods one at a time, in the
//! order of the calls. The writer sends results, messages of the backplane, and pings. A slow
//! method therefore delays only the reads of its own client. Ready messages share a frame.
//!
//! A result does not overtake the messages of its method. The writer holds it until the backplane
//! returns a mark behind the last of them.
//!
//! A running method is never cancelled. A connection that ends waits for it.

use std::{collections::VecDeque, convert::Infallible, mem, pin::pin, sync::Arc, time::Duration};

use backplane::{Cursor, Received};
use bytes::{Bytes, BytesMut};
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
    let carries_binary = outgoing.carries_binary();
    let disconnect = match handshake(hub, &mut frames, &mut incoming, carries_binary).await {
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
    carries_binary: bool,
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
            Ok(handshake::check(&request, carries_binary)?)
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
    let close_handle = Arc::new(CloseHandle::default());
    let caller =
        Caller::new(connection_id, user, hub.backplane().clone(), Arc::clone(&close_handle));

    let (answers, to_write) = mpsc::channel(ANSWERS_MAX);
    let mut reader = Reader {
        hub,
        caller,
        frames,
        incoming,
        answers,
        answered: None,
        close_handle: &close_handle,
    };
    let mut writer = Writer::new(hub.options(), connection, to_write, outgoing);

    let reading = async move {
        let disconnect = reader.run().await;
        drop(reader);
        disconnect
    };
    let writing = async {
        let Err(disconnect) = writer.run().await else { return };
        if matches!(disconnect, Disconnect::Gap(_)) {
            // All clients of this server have the same gap. Meanwhile results are dropped, since
            // the reader must not wait for the writer.
            let dropping = async { while writer.to_write.recv().await.is_some() {} };
            select! {
                () = part_of_close_window(hub.options()) => {}
                () = dropping => {}
            }
        }
        close_handle.close(disconnect);
        // Ends the wait of the reader for room for a result.
        writer.to_write.close();
    };
    let shutdown = async {
        hub.stopping().cancelled().await;
        part_of_close_window(hub.options()).await;
        close_handle.close(Disconnect::Shutdown);
    };
    let mut conversation = pin!(async { tokio::join!(reading, writing).0 });
    select! {
        disconnect = &mut conversation => disconnect,
        () = shutdown => conversation.await,
    }
}

/// Waits for a random part of the close window, so that clients do not all reconnect at once.
async fn part_of_close_window(options: &Options) {
    time::sleep(options.close_window.mul_f64(rand::random())).await;
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

/// The result of a method, on its way to the writer.
struct Answer {
    /// Empty if the client expects no result. The end of the connection still waits for the
    /// messages of the method.
    result: Bytes,
    /// The last message that the connection's methods had sent when this one returned.
    after: Option<Cursor>,
    returned: Instant,
}

/// The loop that reads messages and runs methods.
struct Reader<'a, I> {
    hub: &'a Hub,
    caller: Caller,
    frames: Frames,
    incoming: &'a mut I,
    answers: mpsc::Sender<Answer>,
    /// The message that the last answer follows.
    answered: Option<Cursor>,
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
                if let Some(disconnect) = self.close_handle.reason() {
                    return Err(disconnect);
                }
                let message = ClientMessage::parse(&message)?;
                has_pinged |= matches!(message, ClientMessage::Ping);
                let result = dispatch::message(self.hub, &self.caller, message).await?;
                self.answer(result.unwrap_or_default()).await;
            }
            let bytes = self.more(has_pinged).await?;
            self.frames.push(&bytes);
        }
    }

    /// Sends a result to the writer, behind the messages that were sent before.
    async fn answer(&mut self, result: Bytes) {
        let after = self.caller.last_sent();
        if result.is_empty() && after == self.answered {
            return;
        }
        self.answered = after;
        // Fails if the writer has ended. It has closed the connection then.
        let _ = self.answers.send(Answer { result, after, returned: Instant::now() }).await;
    }

    /// Waits for more bytes, at most for the client timeout.
    ///
    /// The timeout applies after the first ping, since some clients send none. It does not run
    /// during a method, since the reader reads nothing then.
    async fn more(&mut self, has_pinged: bool) -> Result<Bytes, Disconnect> {
        let timeout = self.hub.options().client_timeout;
        select! {
            biased;
            disconnect = self.close_handle.closing() => Err(disconnect),
            bytes = self.incoming.read() => bytes,
            () = time::sleep(timeout), if has_pinged => Err(Disconnect::ClientTimeout),
        }
    }
}

/// The loop that writes messages.
struct Writer<'a, O> {
    options: &'a Options,
    connection: backplane::Connection,
    to_write: mpsc::Receiver<Answer>,
    /// Whether the reader has ended and no further answer comes.
    is_ending: bool,
    /// Answers that wait for messages of their methods, in order.
    held: VecDeque<Answer>,
    /// The place of the last requested mark.
    marked: Option<Cursor>,
    /// Answers after messages up to this place are due.
    reached: Option<Cursor>,
    outgoing: &'a mut O,
}

impl<'a, O: Outgoing> Writer<'a, O> {
    fn new(
        options: &'a Options,
        connection: backplane::Connection,
        to_write: mpsc::Receiver<Answer>,
        outgoing: &'a mut O,
    ) -> Self {
        Self {
            options,
            connection,
            to_write,
            is_ending: false,
            held: VecDeque::new(),
            marked: None,
            reached: None,
            outgoing,
        }
    }

    /// Writes until the reader has ended and its last result is written, with all messages before
    /// it. A message that the broker does not return delays a result by the write timeout at most.
    ///
    /// The handshake reply comes first, in a frame of its own, since clients refuse any other
    /// message before it.
    async fn run(&mut self) -> Result<(), Disconnect> {
        let write_timeout = self.options.write_timeout;
        let accept = async {
            self.outgoing.queue(handshake::ACCEPTED).await?;
            self.outgoing.flush().await
        };
        in_time(write_timeout, accept).await?;
        let mut next_ping = Instant::now() + self.options.keep_alive;
        loop {
            if self.is_ending && self.held.is_empty() {
                return Ok(());
            }
            let overdue = self.held.front().map_or(next_ping, |held| held.returned + write_timeout);
            let next = select! {
                // A result becomes overdue only if no message is ready.
                biased;
                answer = self.to_write.recv(), if self.has_room() => {
                    match answer {
                        Some(answer) => self.hold(answer),
                        None => self.is_ending = true,
                    }
                    self.due()
                }
                received = self.connection.recv_or_gap() => {
                    self.message(received?)?.or_else(|| self.due())
                }
                () = time::sleep_until(next_ping), if self.outgoing.needs_pings() => Some(json::PING),
                () = time::sleep_until(overdue), if !self.held.is_empty() => {
                    debug!("a message of a method did not return in time");
                    self.reached = self.held.front().and_then(|held| held.after);
                    self.due()
                }
            };
            if let Some(next) = next {
                in_time(write_timeout, self.write(next)).await?;
                next_ping = Instant::now() + self.options.keep_alive;
            }
        }
    }

    /// Writes one message and all other ready messages, in few frames and with one flush.
    ///
    /// Messages before the end of the connection are still written.
    async fn write(&mut self, first: Bytes) -> Result<(), Disconnect> {
        let mut frame = Gathered::One(first);
        let mut end = Ok(());
        for _ in 1..BATCH_MAX {
            let next = match self.ready() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(disconnect) => {
                    end = Err(disconnect);
                    break;
                }
            };
            if let Some(full) = frame.add(next) {
                self.outgoing.queue(full).await?;
            }
        }
        self.outgoing.queue(frame.into_bytes()).await?;
        self.outgoing.flush().await?;
        end
    }

    /// Returns a message that is ready now.
    fn ready(&mut self) -> Result<Option<Bytes>, Disconnect> {
        loop {
            if let Some(result) = self.due() {
                return Ok(Some(result));
            }
            if self.has_room()
                && let Ok(answer) = self.to_write.try_recv()
            {
                self.hold(answer);
                continue;
            }
            let Some(received) = self.connection.recv_or_gap().now_or_never() else {
                return Ok(None);
            };
            if let Some(message) = self.message(received?)? {
                return Ok(Some(message));
            }
        }
    }

    /// Returns whether another answer can be held.
    fn has_room(&self) -> bool {
        !self.is_ending && self.held.len() < HELD_MAX
    }

    /// Holds an answer until the connection has received the messages before it.
    fn hold(&mut self, answer: Answer) {
        if answer.after > self.marked
            && let Some(place) = answer.after
        {
            self.connection.mark_after(place);
            self.marked = answer.after;
        }
        self.held.push_back(answer);
    }

    /// Returns the next result, if the messages before it have been received.
    fn due(&mut self) -> Option<Bytes> {
        let reached = self.reached;
        while let Some(answer) = self.held.pop_front_if(|answer| answer.after <= reached) {
            if !answer.result.is_empty() {
                return Some(answer.result);
            }
        }
        None
    }

    /// Returns the message for the client, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error for a gap: SignalR has no message that reports lost messages to a client.
    fn message(&mut self, received: Received) -> Result<Option<Bytes>, Disconnect> {
        match received {
            Received::Invocation(invocation) => Ok(Some(invocation.encoded(json::invocation))),
            Received::Gap(gap) => Err(Disconnect::Gap(gap)),
            Received::Mark(place) => {
                self.reached = self.reached.max(Some(place));
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

/// Waits for a write, at most for the write timeout.
async fn in_time(
    write_timeout: Duration,
    write: impl Future<Output = Result<(), Disconnect>>,
) -> Result<(), Disconnect> {
    time::timeout(write_timeout, write).await.map_err(|_| Disconnect::WriteTimeout)?
}

/// Messages for one frame. A single message is not copied.
enum Gathered {
    One(Bytes),
    Several(BytesMut),
}

impl Gathered {
    /// Adds a message. If it does not fit, it begins the next frame, and the full one is returned.
    fn add(&mut self, next: Bytes) -> Option<Bytes> {
        let bytes = match self {
            Self::One(one) => one.len(),
            Self::Several(several) => several.len(),
        };
        if bytes + next.len() > FRAME_BYTES_MAX {
            return Some(mem::replace(self, Self::One(next)).into_bytes());
        }
        match self {
            Self::One(one) => {
                let mut several = BytesMut::with_capacity(FRAME_BYTES_MAX);
                several.extend_from_slice(one);
                several.extend_from_slice(&next);
                *self = Self::Several(several);
            }
            Self::Several(several) => several.extend_from_slice(&next),
        }
        None
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several.freeze(),
        }
    }
}

/// Maximum number of queued results. Methods run one at a time, so the queue is short.
const ANSWERS_MAX: usize = 4;
/// Maximum number of results that wait for messages of their methods.
const HELD_MAX: usize = 64;
/// Maximum number of messages for one flush, since all of them share one write timeout.
const BATCH_MAX: usize = 64;
/// Maximum size of a frame with several messages. Two of them fit the buffer of the WebSocket.
const FRAME_BYTES_MAX: usize = 8 * 1024;
