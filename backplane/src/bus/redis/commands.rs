//! The connection for commands: it sends what is queued, and nothing twice.
//!
//! Many sends are under way at once, in the order in which they were queued. What the server says it
//! did not do (it does not know the script, it is no master any more) goes back to the front of the
//! queue; what it did not answer has failed, since nobody can know.
//!
//! After a reconnect to another or a restarted server the counter is lifted to the last known id
//! first. Other servers of the app may know a later one, so nothing is sent before they have had
//! their time to do the same. Only then is the script loaded: a server that knows it is one where
//! somebody may have counted before us, and one that does not has only an old count, or none.

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
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::connector::Connector;
use super::failure::Failure;
use super::queue::{Item, Queue};
use super::resp::Value;
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
    /// The last id that the server is known to have given.
    pub(super) last_id: AtomicU64,
    /// Who the server was to which the last connection was ready.
    pub(super) known: Mutex<Option<RunId>>,
    /// Told when a server that should answer did not.
    pub(super) reconnect: Notify,
}

/// A connection that is ready. It ends by itself when all its clones are dropped and what was under
/// way has been answered.
struct Link {
    connection: MultiplexedConnection,
    /// The name that the server gave the send script.
    script: String,
    /// Ends when the connection does.
    driver: JoinHandle<()>,
}

/// What a server calls itself as long as it runs, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunId(Option<String>);

/// What came of one send.
enum Outcome {
    Sent(u64),
    /// Not done, and to be done on this connection once the script is loaded again, which it is
    /// when nothing is under way.
    Forgotten,
    /// Not done, and not to be done here.
    Elsewhere(Failure),
    /// It may have been done.
    Failed(Failure),
}

/// How many sends may be under way.
const UNDER_WAY_MAX: usize = 1024;
/// How many requests the connection takes without a wait: all sends, and what else is asked on it. One
/// that waits for a place can be overtaken by the next, which finds one that has just become free.
const WRITTEN_MAX: usize = UNDER_WAY_MAX + 16;

impl Commands {
    /// Connects again and again, and sends what is queued as long as it is connected.
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
        // One that does not say who it is may be another.
        let is_another = match &*self.known.lock() {
            Some(before) => before.0.is_none() || *before != run_id,
            None => false,
        };
        let last_id = self.last_known(sink);
        if last_id > 0 {
            let restoring = self.restore_counter(&mut connection, is_another, last_id, sink);
            bounded(self.timeouts.answer, restoring).await?;
            if is_another {
                debug!(last_id, "waiting for the other servers to tell the last id they know");
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
        *self.known.lock() = Some(run_id);
        Ok(Link { connection, script, driver: tokio::spawn(driver) })
    }

    /// Lifts the counter of a server that we come to, and tells what is missing if others have
    /// counted there who knew less.
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
        // On the same server somebody set it back.
        let has_counted = !is_another || knows_a_sender(connection).await;
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

    /// Returns the last id that the counter is known to have given.
    fn last_known(&self, sink: &impl Sink) -> u64 {
        let given = self.last_id.load(Ordering::Relaxed);
        // Anybody may write any id on the channel, and the counter never comes down again.
        let heard = sink.last_id().filter(|heard| *heard <= given + LEAP_MAX);
        given.max(heard.unwrap_or_default())
    }

    /// Returns the script that sends.
    fn text(&self) -> &'static str {
        if self.connector.is_sharded() { script::SEND_SHARDED } else { script::SEND }
    }

    /// Sends what is queued until the connection is lost, and returns why.
    async fn send(&self, link: Link, sink: &impl Sink) -> Failure {
        let Link { connection, mut script, mut driver } = link;
        let mut under_way = FuturesOrdered::new();
        let mut again: Vec<Item> = Vec::new();
        let mut is_forgotten = false;
        let mut leaving: Option<Failure> = None;
        let mut life = pin!(self.signs_of_life(connection.clone()));
        loop {
            if under_way.is_empty() {
                // Not before, or what is still on its way would be sent ahead of what comes back.
                if std::mem::take(&mut is_forgotten) && leaving.is_none() {
                    match self.load(&connection).await {
                        Ok(loaded) => script = loaded,
                        Err(failure) => leaving = Some(failure),
                    }
                }
                if !again.is_empty() {
                    self.queue.put_back(std::mem::take(&mut again));
                }
                if let Some(failure) = leaving {
                    // It may wait for answers that never come.
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
                            Item::settle(item, Ok(id));
                        }
                        Outcome::Forgotten => {
                            is_forgotten = true;
                            again.push(item);
                        }
                        Outcome::Elsewhere(failure) => {
                            leaving = leaving.or(Some(failure));
                            again.push(item);
                        }
                        Outcome::Failed(failure) => {
                            sink.metrics().failed.inc();
                            self.reconnect.notify_one();
                            item.settle(Err(SendError::Failed { reason: failure.to_string() }));
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
                        Err(Failure::Refused(reason)) => warn!(reason, "{NOT_RESTORED}"),
                        // The next connection begins with it.
                        Err(failure) => leaving = Some(failure),
                    }
                }
                _ = &mut driver, if leaving.is_none() => leaving = Some(Failure::closed()),
                failure = &mut life, if leaving.is_none() => leaving = Some(failure),
            }
        }
    }

    /// Sends one body. The request is written when this is polled first.
    fn evaluate(
        &self,
        mut connection: MultiplexedConnection,
        script: &str,
        item: Item,
    ) -> impl Future<Output = (Item, RedisResult<Reply>)> + use<> {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(script).arg(1).arg(self.connector.channel()).arg(&item.body[..]);
        async move {
            // A task that has used up its budget wakes what it put off in the opposite order, and so
            // these would be written in that order.
            let reply = unconstrained(command.query_async(&mut connection)).await;
            (item, reply)
        }
    }

    /// Lifts the counter to the last known id.
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
                Some("NOSCRIPT") => Outcome::Forgotten,
                Some(_) => Outcome::Elsewhere(error.into()),
                None => Outcome::Failed(error.into()),
            },
        }
    }

    /// Asks whether the server is still there, until it is not.
    async fn signs_of_life(&self, mut connection: MultiplexedConnection) -> Failure {
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
                // Any reply is a sign of life, even the one that says we may not `PING`.
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

/// Asks a server who it is.
async fn run_id(connection: &mut RespConnection) -> RunId {
    let info = connection.ask(&[b"INFO", b"server"]).await.ok();
    let info = info.as_ref().and_then(Value::text).unwrap_or_default();
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    RunId(id.map(|id| id.trim().to_owned()))
}

/// Returns whether a server knows a script that sends. One that does not say so may.
async fn knows_a_sender(connection: &mut RespConnection) -> bool {
    let senders = script::SENDERS.map(str::as_bytes);
    match connection.ask(&[&[b"SCRIPT".as_slice(), b"EXISTS"], &senders[..]].concat()).await {
        Ok(known) => known.items().iter().any(|known| known.integer() == Some(1)),
        Err(_) => true,
    }
}

/// Returns how a reply begins that says that nothing was done.
fn refusal(error: &RedisError) -> Option<&'static str> {
    let code = error.code()?;
    let known = REFUSALS.into_iter().find(|refusal| *refusal == code);
    // Before Redis 7 the reason stands at the end of what the script says.
    let says = |word| error.detail().is_some_and(|detail| detail.contains(word));
    known.or_else(|| (code == "ERR" && says("-READONLY")).then_some("READONLY"))
}

/// The script's first command failed, or it was not run at all.
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
