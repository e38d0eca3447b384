//! The connection for commands. It sends queued messages, and none of them twice.
//!
//! Many sends are in flight at once, in the order of the queue. If the server states that it did
//! not run a send (`NOSCRIPT`, `READONLY` and others), the message returns to the front of the
//! queue. A send without a reply fails, since its outcome is unknown.
//!
//! After a reconnect to another or a restarted server, the first step restores the counter to the
//! last known id. Other servers of the app may have a later id, so the bus waits for them before it
//! sends. Only then does it load the script. So a server that has the script may have issued ids
//! since the restart, and a server without it has at most an old counter.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    Value as Reply,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;
use resp::value::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::connector::Connector;
use super::failure::Failure;
use super::queue::{Item, Queue};
use super::resp_connection::RespConnection;
use super::script;
use super::status::{ConnectionRole, Status};
use super::timeouts::{Timeouts, bounded};
use crate::bus::error::{NOT_RESTORED, SendError};
use crate::bus::sink::Sink;
use crate::store::LEAP_MAX;

#[derive(Debug)]
pub(super) struct Commands {
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Timeouts,
    pub(super) status: Arc<Status>,
    pub(super) queue: Arc<Queue>,
    /// The last id in a reply of the server.
    pub(super) last_id: AtomicU64,
    /// The server of the last complete connection.
    pub(super) server: Mutex<Option<RunId>>,
    /// Notified when a send failed without a reply, to check the connection.
    pub(super) reconnect: Notify,
}

/// A complete connection. It closes when all clones are dropped and all requests have replies.
struct Link {
    connection: MultiplexedConnection,
    /// The script's SHA-1, as the server returned it.
    script: String,
    /// Ends with the connection.
    driver: JoinHandle<()>,
}

/// The `run_id` of a server process, if the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunId(Option<String>);

/// The outcome of one send.
enum Outcome {
    Sent(u64),
    /// Not run: the server has lost the script. Repeat it on this connection after loading the
    /// script.
    ScriptLost,
    /// Not run, and this server cannot run it.
    Elsewhere(Failure),
    /// The outcome is unknown.
    Failed(Failure),
}

/// Maximum sends in flight.
const UNDER_WAY_MAX: usize = 1024;
/// Maximum requests in flight, sends included. Waiting requests are not served in FIFO order, so
/// sends must never wait here.
const WRITTEN_MAX: usize = UNDER_WAY_MAX + 16;

impl Commands {
    /// Reconnects until the task ends, and sends queued messages while connected.
    pub(super) async fn run(&self, sink: &impl Sink) {
        let mut backoff = Backoff::new(&self.timeouts, ConnectionRole::Commands);
        loop {
            let failure = match self.open(sink).await {
                Ok(link) => {
                    let attempt = backoff.connected();
                    sink.metrics().connected_by(ConnectionRole::Commands.name());
                    self.status.up(ConnectionRole::Commands, attempt, sink.metrics());
                    self.send(link, sink).await
                }
                Err(failure) => failure,
            };
            self.connector.on_redirect(&failure);
            self.status.down(ConnectionRole::Commands, &failure, sink.metrics());
            backoff.wait().await;
        }
    }

    async fn open(&self, sink: &impl Sink) -> Result<Link, Failure> {
        let mut connection = self.connector.open(self.timeouts.answer).await?;
        let asking = async { Ok(run_id(&mut connection).await) };
        let run_id = bounded(self.timeouts.answer, asking).await?;
        // A server without a `run_id` may be another one.
        let is_another = match &*self.server.lock() {
            Some(before) => before.0.is_none() || *before != run_id,
            None => false,
        };
        let last_id = self.last_known(sink);
        if last_id > 0 {
            let restoring = self.restore_counter(&mut connection, is_another, last_id, sink);
            bounded(self.timeouts.answer, restoring).await?;
            if is_another {
                debug!(last_id, "waiting for other servers to restore the id counter");
                sleep(self.timeouts.settle).await;
            }
        }
        let load = [b"SCRIPT".as_slice(), b"LOAD", self.text().as_bytes()];
        let loaded = bounded(self.timeouts.answer, connection.ask(&load)).await?;
        let script = loaded.text().unwrap_or_default().to_owned();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.timeouts.answer))
            .set_pipeline_buffer_size(WRITTEN_MAX);
        let settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("backplane", env!("CARGO_PKG_VERSION"));
        let stream = connection.into_stream();
        let opening = MultiplexedConnection::new_with_config(&settings, stream, config);
        let opened = timeout(self.timeouts.answer, opening).await;
        let (connection, driver) =
            opened.map_err(|_| Failure::no_answer(self.timeouts.answer))??;
        *self.server.lock() = Some(run_id);
        Ok(Link { connection, script, driver: tokio::spawn(driver) })
    }

    /// Restores the counter to `last_id`. If the counter was lower and may have issued ids since a
    /// reset, reports those ids as missed.
    async fn restore_counter(
        &self,
        connection: &mut RespConnection,
        is_another: bool,
        last_id: u64,
        sink: &impl Sink,
    ) -> Result<(), Failure> {
        let (key, id) = (self.connector.channel().as_bytes(), last_id.to_string());
        let found = connection.ask(&[b"GET", key]).await.ok();
        let found = found.as_ref().and_then(Value::text).and_then(|id| id.parse().ok());
        // On the same server process, a client has set the counter back.
        let has_counted = !is_another || has_send_script(connection).await;
        let restore = [b"EVAL", script::RESTORE.as_bytes(), b"1", key, id.as_bytes()];
        match connection.ask(&restore).await {
            Err(Failure::Refused(reason)) => warn!(last_id, reason, "{NOT_RESTORED}"),
            restored => _ = restored?,
        }
        if let Some(found) = found.filter(|found| has_counted && (1..last_id).contains(found)) {
            sink.missed_after_reset(found);
        }
        Ok(())
    }

    /// Returns the last id that the counter has issued, as far as this server received it.
    fn last_known(&self, sink: &impl Sink) -> u64 {
        let given = self.last_id.load(Ordering::Relaxed);
        // Any client may publish any id, and the counter cannot go back; so implausible ids are
        // ignored.
        let received = sink.last_id().filter(|received| *received <= given + LEAP_MAX);
        given.max(received.unwrap_or_default())
    }

    /// Returns the script that sends.
    fn text(&self) -> &'static str {
        if self.connector.is_sharded() { script::SEND_SHARDED } else { script::SEND }
    }

    /// Sends queued messages until the connection is lost, and returns the reason.
    async fn send(&self, link: Link, sink: &impl Sink) -> Failure {
        let Link { connection, mut script, mut driver } = link;
        let mut under_way = FuturesOrdered::new();
        let mut again: Vec<Item> = Vec::new();
        let mut is_script_lost = false;
        let mut leaving: Option<Failure> = None;
        let mut life = pin!(self.ping_until_failure(connection.clone()));
        loop {
            if under_way.is_empty() {
                // Load the script only when no send is in flight. Otherwise sends in flight could
                // overtake the returned messages.
                if std::mem::take(&mut is_script_lost) && leaving.is_none() {
                    match self.load(&connection).await {
                        Ok(loaded) => script = loaded,
                        Err(failure) => leaving = Some(failure),
                    }
                }
                if !again.is_empty() {
                    self.queue.put_back(std::mem::take(&mut again));
                }
                if let Some(failure) = leaving {
                    // The driver may wait for replies that never come.
                    driver.abort();
                    return failure;
                }
            }
            let is_going_on = leaving.is_none() && again.is_empty();
            tokio::select! {
                Some((item, reply)) = under_way.next(), if !under_way.is_empty() => {
                    match self.outcome(reply) {
                        Outcome::Sent(id) => {
                            self.last_id.fetch_max(id, Ordering::Relaxed);
                            sink.metrics().sent.inc();
                            Item::complete(item, Ok(id));
                        }
                        Outcome::ScriptLost => {
                            is_script_lost = true;
                            again.push(item);
                        }
                        Outcome::Elsewhere(failure) => {
                            leaving = leaving.or(Some(failure));
                            again.push(item);
                        }
                        Outcome::Failed(failure) => {
                            sink.metrics().failed.inc();
                            self.reconnect.notify_one();
                            item.complete(Err(SendError::Failed { reason: failure.to_string() }));
                        }
                    }
                }
                item = self.queue.take(), if is_going_on && under_way.len() < UNDER_WAY_MAX => {
                    if !item.is_abandoned() {
                        under_way.push_back(self.evaluate(connection.clone(), &script, item));
                    }
                }
                () = sink.counter_reset(), if leaving.is_none() => {
                    match self.restore(&connection, sink).await {
                        Ok(()) => {}
                        Err(Failure::Refused(reason)) => {
                            warn!(last_id = self.last_known(sink), reason, "{NOT_RESTORED}");
                        },
                        // The next connection restores the counter first.
                        Err(failure) => leaving = Some(failure),
                    }
                }
                _ = &mut driver, if leaving.is_none() => leaving = Some(Failure::closed()),
                failure = &mut life, if leaving.is_none() => leaving = Some(failure),
            }
        }
    }

    /// Sends one body. The first poll writes the request.
    fn evaluate(
        &self,
        mut connection: MultiplexedConnection,
        script: &str,
        item: Item,
    ) -> impl Future<Output = (Item, RedisResult<Reply>)> + use<> {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(script).arg(1).arg(self.connector.channel()).arg(&item.body[..]);
        async move {
            // Without a budget: a task whose budget is exhausted wakes its deferred futures in
            // reverse order, and would write their requests in that order.
            let reply = unconstrained(command.query_async(&mut connection)).await;
            (item, reply)
        }
    }

    /// Restores the counter to the last known id.
    async fn restore(
        &self,
        connection: &MultiplexedConnection,
        sink: &impl Sink,
    ) -> Result<(), Failure> {
        let last_id = self.last_known(sink);
        let mut restore = ::redis::cmd("EVAL");
        restore.arg(script::RESTORE).arg(1).arg(self.connector.channel()).arg(last_id);
        Ok(restore.query_async(&mut connection.clone()).await?)
    }

    async fn load(&self, connection: &MultiplexedConnection) -> Result<String, Failure> {
        let mut load = ::redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.text());
        Ok(load.query_async(&mut connection.clone()).await?)
    }

    fn outcome(&self, reply: RedisResult<Reply>) -> Outcome {
        match reply {
            Ok(Reply::Array(items)) => match items.first() {
                Some(Reply::Int(id)) if *id > 0 => Outcome::Sent(*id as u64),
                _ => Outcome::Failed(Failure::Lost("the server's reply has no id".to_owned())),
            },
            Ok(_) => Outcome::Failed(Failure::Lost("the server's reply has no id".to_owned())),
            Err(error) if error.is_timeout() => {
                Outcome::Failed(Failure::no_answer(self.timeouts.answer))
            }
            Err(error) => match refusal(&error) {
                Some("NOSCRIPT") => Outcome::ScriptLost,
                Some(_) => Outcome::Elsewhere(error.into()),
                None => Outcome::Failed(error.into()),
            },
        }
    }

    /// Sends a `PING` at every interval, and returns when the server does not reply.
    async fn ping_until_failure(&self, mut connection: MultiplexedConnection) -> Failure {
        let mut ticks = interval(self.timeouts.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.reconnect.notified() => {}
            }
            let ping = ::redis::cmd("PING");
            let reply = ping.query_async::<Reply>(&mut connection);
            match timeout(self.timeouts.answer, reply).await {
                // Any reply proves that the server is alive, even an error for a missing
                // permission.
                Ok(Err(error)) if error.code().is_none() && !error.is_timeout() => {
                    return error.into();
                }
                Ok(Err(error)) if error.is_timeout() => {
                    return Failure::no_answer(self.timeouts.answer);
                }
                Ok(_) => {}
                Err(_) => return Failure::no_answer(self.timeouts.answer),
            }
        }
    }
}

/// Requests the server's `run_id`.
async fn run_id(connection: &mut RespConnection) -> RunId {
    let info = connection.ask(&[b"INFO", b"server"]).await.ok();
    let info = info.as_ref().and_then(Value::text).unwrap_or_default();
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    RunId(id.map(|id| id.trim().to_owned()))
}

/// Returns whether a server has one of the scripts that send. If the reply is an error, it may.
async fn has_send_script(connection: &mut RespConnection) -> bool {
    let senders = script::SENDERS.map(str::as_bytes);
    match connection.ask(&[&[b"SCRIPT".as_slice(), b"EXISTS"], &senders[..]].concat()).await {
        Ok(known) => known.items().iter().any(|known| known.integer() == Some(1)),
        Err(_) => true,
    }
}

/// Returns the error code if it proves that the script had no effect.
fn refusal(error: &RedisError) -> Option<&'static str> {
    let code = error.code()?;
    let known = REFUSALS.into_iter().find(|refusal| *refusal == code);
    // Before Redis 7, the error of a command is at the end of the script's error text.
    let has_detail = |word| error.detail().is_some_and(|detail| detail.contains(word));
    known.or_else(|| (code == "ERR" && has_detail("-READONLY")).then_some("READONLY"))
}

/// Codes for a script that did not run, or whose first command failed.
const REFUSALS: [&str; 9] = [
    "NOSCRIPT",
    "READONLY",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "BUSY",
];
