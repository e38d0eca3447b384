//! A connection of several HTTP requests: Server-Sent Events or long polling.
//!
//! Requests and the session share it. Bytes of POSTs wait in `input` for the session, and messages
//! of the session wait in `output` for a response. Both are bounded, so waiting is the only effect
//! of a slow side.
//!
//! `end` is final: no later request has an effect on the session.

use std::{
    future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    select,
    sync::{self, MutexGuard, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    byte_queue::{ByteQueue, Closed},
    disconnect::Disconnect,
    peer::Visitor,
    transport_kind::TransportKind,
};

/// A connection whose messages travel in several HTTP requests.
#[derive(Debug)]
pub(crate) struct HttpConnection {
    pub(crate) connection_id: Arc<str>,
    /// The user of the first request. All later ones must have the same.
    pub(crate) visitor: Visitor,
    stage: watch::Sender<Stage>,
    input: ByteQueue,
    /// Held by the POST whose bytes enter `input`, so those of two POSTs do not mix.
    posting: sync::Mutex<()>,
    output: ByteQueue,
    polls: watch::Sender<Polls>,
    ended: CancellationToken,
    reason: OnceLock<Disconnect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Requests have sent bytes, and none has opened a transport.
    Unopened,
    Open(TransportKind),
    /// No transport was opened in time.
    Expired,
}

/// The long polls of a connection.
#[derive(Clone, Copy, Debug)]
struct Polls {
    /// The number of the newest poll.
    newest: u64,
    is_open: bool,
    /// The end of the newest poll, if it has ended.
    end: Instant,
}

/// The result of one long poll.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Messages(Bytes),
    TimedOut,
    /// A newer poll has come.
    Replaced,
    /// The session has ended, and the client has all messages.
    Ended,
}

/// The reason why a request cannot open a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The same transport is open.
    Active,
    /// Another transport is open.
    Other,
    Expired,
}

impl HttpConnection {
    /// Creates a connection without a transport.
    pub(crate) fn new(connection_id: Arc<str>, visitor: Visitor) -> Self {
        Self {
            connection_id,
            visitor,
            stage: watch::Sender::new(Stage::Unopened),
            input: ByteQueue::new(QUEUE_BYTES_MAX),
            posting: sync::Mutex::default(),
            output: ByteQueue::new(QUEUE_BYTES_MAX),
            polls: watch::Sender::new(Polls { newest: 0, is_open: false, end: Instant::now() }),
            ended: CancellationToken::new(),
            reason: OnceLock::new(),
        }
    }

    /// Returns the open transport.
    pub(crate) fn transport(&self) -> Option<TransportKind> {
        match *self.stage.borrow() {
            Stage::Open(kind) => Some(kind),
            Stage::Unopened | Stage::Expired => None,
        }
    }

    /// Opens the only transport of the connection.
    pub(crate) fn open(&self, kind: TransportKind) -> Result<(), OpenError> {
        let previous = self.leave_unopened(Stage::Open(kind));
        match previous {
            Stage::Unopened => {
                self.polls.send_modify(|polls| polls.end = Instant::now());
                Ok(())
            }
            Stage::Open(open) if open == kind => Err(OpenError::Active),
            Stage::Open(_) => Err(OpenError::Other),
            Stage::Expired => Err(OpenError::Expired),
        }
    }

    /// Waits for an open transport. After the timeout no transport can be opened.
    pub(crate) async fn opened(&self, timeout: Duration) -> Option<TransportKind> {
        let mut stages = self.stage.subscribe();
        let opened = stages.wait_for(|stage| *stage != Stage::Unopened);
        if time::timeout(timeout, opened).await.is_err() {
            self.leave_unopened(Stage::Expired);
        }
        self.transport()
    }

    /// Sets the next stage if the connection is unopened, and returns the previous one.
    fn leave_unopened(&self, next: Stage) -> Stage {
        let mut previous = next;
        self.stage.send_if_modified(|stage| {
            previous = *stage;
            let is_unopened = previous == Stage::Unopened;
            if is_unopened {
                *stage = next;
            }
            is_unopened
        });
        previous
    }

    /// Ends the connection. The client can still receive queued messages. A later reason is
    /// ignored.
    pub(crate) fn end(&self, reason: Disconnect) {
        let _ = self.reason.set(reason);
        self.input.close();
        self.output.close();
        self.ended.cancel();
    }

    /// Waits for the end. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits for the turn of a POST to enter its bytes.
    pub(crate) async fn posting(&self) -> MutexGuard<'_, ()> {
        self.posting.lock().await
    }

    /// Waits for room and adds bytes of a POST. Cancel safe.
    pub(crate) async fn push_input(&self, bytes: Bytes) -> Result<(), Closed> {
        self.input.push(bytes).await
    }

    /// Waits for bytes of POSTs. Cancel safe.
    pub(crate) async fn take_input(&self) -> Result<Bytes, Disconnect> {
        self.input.take().await.ok_or_else(|| self.reason())
    }

    /// Waits for room and adds messages for the client. Cancel safe.
    pub(crate) async fn push_output(&self, bytes: Bytes) -> Result<(), Disconnect> {
        self.output.push(bytes).await.map_err(|Closed| self.reason())
    }

    /// Waits for messages for the client, or returns `None` at the end. Cancel safe.
    pub(crate) async fn take_output(&self) -> Option<Bytes> {
        self.output.take().await
    }

    /// Closes the server's side: the client receives the queued messages, then the end.
    pub(crate) fn close_output(&self) {
        self.output.close();
    }

    /// Closes both directions at the end of the session.
    pub(crate) fn close(&self) {
        self.input.close();
        self.output.close();
    }

    /// Runs a long poll. It replaces an older one. Cancel safe.
    pub(crate) async fn poll(&self, timeout: Duration) -> Polled {
        let turn = PollTurn::begin(&self.polls);
        let mut polls = self.polls.subscribe();
        let replaced = polls.wait_for(|polls| polls.newest != turn.number);
        select! {
            // A replaced poll takes no messages, since its client may be gone.
            biased;
            _ = replaced => Polled::Replaced,
            messages = self.output.take() => messages.map_or(Polled::Ended, Polled::Messages),
            () = time::sleep(timeout) => Polled::TimedOut,
        }
    }

    /// Waits until a long-polling client has had no poll open for this time. Cancel safe.
    pub(crate) async fn inactive(&self, timeout: Duration) {
        if self.transport() != Some(TransportKind::LongPolling) {
            future::pending().await
        }
        let mut changes = self.polls.subscribe();
        loop {
            let polls = *changes.borrow_and_update();
            select! {
                _ = changes.changed() => {}
                () = time::sleep_until(polls.end + timeout), if !polls.is_open => return,
            }
        }
    }

    fn reason(&self) -> Disconnect {
        self.reason.get().cloned().unwrap_or(Disconnect::TransportClosed)
    }
}

/// A long poll that is open. Dropping it ends the poll.
struct PollTurn<'a> {
    polls: &'a watch::Sender<Polls>,
    number: u64,
}

impl<'a> PollTurn<'a> {
    fn begin(polls: &'a watch::Sender<Polls>) -> Self {
        let mut number = 0;
        polls.send_modify(|polls| {
            polls.newest += 1;
            polls.is_open = true;
            number = polls.newest;
        });
        Self { polls, number }
    }
}

impl Drop for PollTurn<'_> {
    fn drop(&mut self) {
        self.polls.send_if_modified(|polls| {
            let is_newest = polls.newest == self.number;
            if is_newest {
                polls.is_open = false;
                polls.end = Instant::now();
            }
            is_newest
        });
    }
}

/// ASP.NET Core's limit for each direction.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn a_newer_poll_replaces_an_older_one() {
        let connection = polling();
        let mut older = Box::pin(connection.poll(TIMEOUT));
        assert_eq!((&mut older).now_or_never(), None);
        let mut newer = Box::pin(connection.poll(TIMEOUT));
        assert_eq!((&mut newer).now_or_never(), None);
        connection.push_output("a".into()).await.unwrap();
        assert_eq!(older.await, Polled::Replaced);
        assert_eq!(newer.await, Polled::Messages("a".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_is_dropped_takes_no_messages() {
        let connection = polling();
        let mut dropped = Box::pin(connection.poll(TIMEOUT));
        assert_eq!((&mut dropped).now_or_never(), None);
        connection.push_output("a".into()).await.unwrap();
        drop(dropped);
        assert_eq!(connection.poll(TIMEOUT).await, Polled::Messages("a".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_inactive_without_an_open_poll() {
        let connection = polling();
        let start = Instant::now();
        let polls = async {
            assert_eq!(connection.poll(3 * TIMEOUT).await, Polled::TimedOut);
            time::sleep(TIMEOUT / 2).await;
            assert_eq!(connection.poll(TIMEOUT).await, Polled::TimedOut);
        };
        tokio::join!(polls, connection.inactive(TIMEOUT));
        assert_eq!(start.elapsed(), TIMEOUT * 11 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_before_the_end_arrive() {
        let connection = polling();
        connection.push_output("a".into()).await.unwrap();
        connection.end(Disconnect::TransportClosed);
        assert!(connection.push_output("b".into()).await.is_err());
        assert_eq!(connection.poll(TIMEOUT).await, Polled::Messages("a".into()));
        assert_eq!(connection.poll(TIMEOUT).await, Polled::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_transport() {
        let connection = polling();
        assert_eq!(connection.open(TransportKind::LongPolling), Err(OpenError::Active));
        assert_eq!(connection.open(TransportKind::ServerSentEvents), Err(OpenError::Other));
        assert_eq!(connection.opened(TIMEOUT).await, Some(TransportKind::LongPolling));

        let unopened = HttpConnection::new("id".into(), Visitor::default());
        assert_eq!(unopened.opened(TIMEOUT).await, None);
        assert_eq!(unopened.open(TransportKind::LongPolling), Err(OpenError::Expired));
    }

    fn polling() -> HttpConnection {
        let connection = HttpConnection::new("id".into(), Visitor::default());
        connection.open(TransportKind::LongPolling).unwrap();
        connection
    }
}
