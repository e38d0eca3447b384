//! The connection for commands. It sends queued messages, and none of them twice.
//!
//! One request is in flight at a time, and carries all messages that were queued before it. If the
//! server states that it did not run the request (`NOSCRIPT`, `BUSY`, `READONLY` and others), its
//! messages return to the front of the queue, so their order is kept. A request without a reply
//! fails, since its outcome is unknown.
//!
//! After a reconnect to another or a restarted server, the first step restores the counter to the
//! last known id. Other servers of the app may have a later id, so the bus waits for them before it
//! sends. Before its first send it loads the scripts. So a server that has a script may have issued
//! ids since the restart, and a server without one has at most an old counter.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
    Value as Reply,
};
use locks::Mutex;
use resp::value::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::connector::Connector;
use super::failure::Failure;
use super::gate::{COUNT_INTERVAL, Gate, OPEN_COUNT_INTERVAL, Step};
use super::queue::{Item, Queue};
use super::resp_connection::RespConnection;
use super::run_id::RunId;
use super::script;
use super::status::{ConnectionRole, Status};
use super::timeouts::{Timeouts, bounded};
use crate::address::Host;
use crate::bus::error::{NOT_RESTORED, SendError};
use crate::bus::sink::Ids;
use crate::store::LEAP_MAX;

#[derive(Debug)]
pub(super) struct Commands {
    pub(super) connector: Arc<Connector>,
    pub(super) timeouts: Timeouts,
    pub(super) status: Arc<Status>,
    pub(super) queue: Arc<Queue>,
    pub(super) gate: Arc<Gate>,
    /// The last id in a reply of the server.
    pub(super) last_id: Arc<AtomicU64>,
    /// The server of the last complete connection.
    pub(super) server: Mutex<Option<RunId>>,
    /// Notified when a send failed without a reply, to check the connection.
    pub(super) reconnect: Notify,
}

/// A complete connection.
struct Link {
    connection: MultiplexedConnection,
    /// The master that the Sentinels reported.
    master: Option<Host>,
    /// Ends with the connection.
    driver: JoinHandle<()>,
}

/// The SHA-1 names of the scripts that send, as the server returned them.
#[derive(Clone, Debug)]
struct Scripts {
    one: String,
    many: String,
}

/// The outcome of a request that sends a batch.
enum Outcome {
    /// The messages have consecutive ids from this one on.
    Sent(u64),
    /// Not run: the server has lost the script.
    ScriptLost,
    /// Not run, since the server is busy. It may run on this connection later.
    Later,
    /// Not run, and this server cannot run it.
    Elsewhere(Failure),
    /// The outcome is unknown.
    Failed(Failure),
}

/// The wait before a busy server is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(25);

impl Commands {
    /// Reconnects until the task ends, and sends queued messages while connected.
    pub(super) async fn run(&self, ids: &impl Ids) {
        let mut backoff = Backoff::new(&self.timeouts, ConnectionRole::Commands);
        loop {
            let failure = match self.open(ids).await {
                Ok(link) => {
                    let attempt = backoff.connected();
                    ids.metrics().connected_by(ConnectionRole::Commands.name());
                    self.status.up(ConnectionRole::Commands, attempt, ids.metrics());
                    self.send(link, ids).await
                }
                Err(failure) => failure,
            };
            self.connector.on_redirect(&failure);
            self.gate.lost(failure.since(Instant::now()));
            self.status.down(ConnectionRole::Commands, &failure, ids.metrics());
            backoff.wait().await;
        }
    }

    async fn open(&self, ids: &impl Ids) -> Result<Link, Failure> {
        let mut connection = self.connector.open(self.timeouts.attempt).await?;
        let asking = async { Ok(RunId::ask(&mut connection).await) };
        let run_id = bounded(self.timeouts.attempt, asking).await?;
        let is_another =
            self.server.lock().as_ref().is_some_and(|before| before.may_differ(&run_id));
        let last_id = self.last_known(ids);
        if last_id > 0 {
            let restoring = self.restore_counter(&mut connection, is_another, last_id, ids);
            bounded(self.timeouts.attempt, restoring).await?;
            if is_another {
                self.gate.server_changed();
                debug!(last_id, "waiting for other servers to restore the id counter");
                sleep(self.timeouts.settle).await;
            }
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeouts.answer));
        let settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_lib_name("backplane", env!("CARGO_PKG_VERSION"));
        let master = connection.master.clone();
        let stream = connection.into_stream();
        let opening = MultiplexedConnection::new_with_config(&settings, stream, config);
        let opened = timeout(self.timeouts.attempt, opening).await;
        let (connection, driver) = opened.map_err(|_| Failure::Silent(self.timeouts.attempt))??;
        *self.server.lock() = Some(run_id);
        Ok(Link { connection, master, driver: tokio::spawn(driver) })
    }

    /// Restores the counter to `last_id`. If the counter was lower and may have issued ids since a
    /// reset, reports those ids as missed.
    async fn restore_counter(
        &self,
        connection: &mut RespConnection,
        is_another: bool,
        last_id: u64,
        ids: &impl Ids,
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
            ids.missed_after_reset(found);
        }
        Ok(())
    }

    /// Returns the last id that the counter has issued, as far as this server received it.
    fn last_known(&self, ids: &impl Ids) -> u64 {
        let given = self.last_id.load(Ordering::Relaxed);
        // Any client may publish any id, and the counter cannot go back; so implausible ids are
        // ignored.
        let received = ids.last_id().filter(|received| *received <= given + LEAP_MAX);
        given.max(received.unwrap_or_default())
    }

    /// Sends queued messages until the connection is lost, and returns the reason.
    async fn send(&self, link: Link, ids: &impl Ids) -> Failure {
        let Link { connection, master, mut driver } = link;
        let (every, within) = (self.timeouts.ping_interval, self.timeouts.attempt);
        let mut watch = pin!(self.connector.another_master(master, every, within));
        let mut scripts = None;
        let mut life = pin!(self.ping_until_failure(connection.clone()));
        let failure = loop {
            let next = tokio::select! {
                biased;
                failure = &mut life => break failure,
                _ = &mut driver => break Failure::closed(),
                failure = &mut watch => break failure,
                () = ids.counter_reset() => match self.restore(&connection, ids).await {
                    Ok(()) => continue,
                    Err(Failure::Refused(reason)) => {
                        warn!(last_id = self.last_known(ids), reason, "{NOT_RESTORED}");
                        continue;
                    },
                    // The next connection restores the counter first.
                    Err(failure) => break failure,
                },
                next = self.next_batch(&connection, &mut scripts) => next,
            };
            let (batch, names) = match next {
                Ok(next) => next,
                Err(failure) => break failure,
            };
            // A request in flight ends by itself: with its reply, with the connection, or by its
            // timeout.
            match self.evaluate(&connection, &names, &batch).await {
                Outcome::Sent(first) => self.complete(batch, first, ids),
                Outcome::ScriptLost => {
                    scripts = None;
                    self.queue.put_back(batch);
                }
                Outcome::Later => {
                    self.queue.put_back(batch);
                    sleep(BUSY_PAUSE).await;
                }
                Outcome::Elsewhere(failure) => {
                    self.queue.put_back(batch);
                    break failure;
                }
                Outcome::Failed(failure) => self.fail(batch, &failure, ids),
            }
        };
        // The driver may wait for replies that never come.
        driver.abort();
        failure
    }

    /// Takes the next messages when they may leave, and loads the scripts before. A server with the
    /// scripts may have issued ids, so they are not loaded earlier. Cancel safe.
    async fn next_batch(
        &self,
        connection: &MultiplexedConnection,
        scripts: &mut Option<Scripts>,
    ) -> Result<(Vec<Item>, Scripts), Failure> {
        loop {
            self.open_gate(connection).await;
            let names = match scripts {
                Some(names) => names.clone(),
                None => scripts.insert(self.load(connection).await?).clone(),
            };
            let batch = self.queue.take().await;
            if self.gate.is_open() {
                return Ok((batch, names));
            }
            self.queue.put_back(batch);
        }
    }

    /// Waits until messages may leave. Cancel safe.
    async fn open_gate(&self, connection: &MultiplexedConnection) {
        loop {
            match self.gate.step(Instant::now()) {
                Step::Send => return,
                Step::Wait => self.gate.subscribed().await,
                Step::Count => {
                    if let Ok(subscribers) = self.subscribers(connection).await {
                        self.gate.counted(subscribers);
                    }
                    if !self.gate.is_open() {
                        sleep(COUNT_INTERVAL).await;
                    }
                }
            }
        }
    }

    /// Counts the subscribers of the channel. Returns `None` if the server does not report them.
    async fn subscribers(
        &self,
        connection: &MultiplexedConnection,
    ) -> Result<Option<u64>, RedisError> {
        let count = if self.connector.is_sharded() { "SHARDNUMSUB" } else { "NUMSUB" };
        let mut command = ::redis::cmd("PUBSUB");
        command.arg(count).arg(self.connector.channel());
        match command.query_async::<(String, u64)>(&mut connection.clone()).await {
            Ok((_, subscribers)) => Ok(Some(subscribers)),
            // Any reply proves that the server is alive, even an error for a missing permission.
            Err(error) if error.code().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a batch with one request.
    async fn evaluate(
        &self,
        connection: &MultiplexedConnection,
        scripts: &Scripts,
        batch: &[Item],
    ) -> Outcome {
        let script = if batch.len() == 1 { &scripts.one } else { &scripts.many };
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(script).arg(1).arg(self.connector.channel());
        batch.iter().for_each(|item| _ = command.arg(&item.body[..]));
        outcome(command.query_async(&mut connection.clone()).await, self.timeouts.answer)
    }

    fn complete(&self, batch: Vec<Item>, first: u64, ids: &impl Ids) {
        let count = batch.len();
        self.last_id.fetch_max(first + count as u64 - 1, Ordering::Relaxed);
        ids.metrics().sent.inc_by(count as u64);
        (first..).zip(batch).for_each(|(id, item)| item.complete(Ok(id)));
        self.queue.ended(count);
    }

    fn fail(&self, batch: Vec<Item>, failure: &Failure, ids: &impl Ids) {
        let count = batch.len();
        ids.metrics().failed.inc_by(count as u64);
        self.reconnect.notify_one();
        let error = SendError::Failed { reason: failure.to_string() };
        batch.into_iter().for_each(|item| item.complete(Err(error.clone())));
        self.queue.ended(count);
    }

    /// Restores the counter to the last known id.
    async fn restore(
        &self,
        connection: &MultiplexedConnection,
        ids: &impl Ids,
    ) -> Result<(), Failure> {
        let last_id = self.last_known(ids);
        let mut restore = ::redis::cmd("EVAL");
        restore.arg(script::RESTORE).arg(1).arg(self.connector.channel()).arg(last_id);
        Ok(restore.query_async(&mut connection.clone()).await?)
    }

    async fn load(&self, connection: &MultiplexedConnection) -> Result<Scripts, Failure> {
        let load = async |text: &str| -> Result<String, Failure> {
            let mut load = ::redis::cmd("SCRIPT");
            load.arg("LOAD").arg(text);
            Ok(load.query_async(&mut connection.clone()).await?)
        };
        if self.connector.is_sharded() {
            let name = load(script::SEND_SHARDED).await?;
            return Ok(Scripts { one: name.clone(), many: name });
        }
        Ok(Scripts { one: load(script::SEND).await?, many: load(script::SEND_ALL).await? })
    }

    /// Counts the subscribers at every interval, and returns when the server does not reply.
    async fn ping_until_failure(&self, connection: MultiplexedConnection) -> Failure {
        let mut ticks = interval(OPEN_COUNT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.reconnect.notified() => {}
            }
            match timeout(self.timeouts.answer, self.subscribers(&connection)).await {
                Ok(Ok(subscribers)) if self.gate.is_open() => self.gate.counted(subscribers),
                Ok(Ok(_)) => {}
                Ok(Err(error)) if !error.is_timeout() => return error.into(),
                Ok(Err(_)) | Err(_) => return Failure::Silent(self.timeouts.answer),
            }
        }
    }
}

/// Returns the outcome of a request. A script for one message returns an array.
fn outcome(reply: RedisResult<Reply>, within: Duration) -> Outcome {
    let id = |reply: &Reply| match reply {
        Reply::Int(id) => u64::try_from(*id).ok().filter(|id| *id > 0),
        _ => None,
    };
    match reply {
        Ok(reply) => {
            let first = match &reply {
                Reply::Array(items) => items.first().and_then(id),
                reply => id(reply),
            };
            let no_id = || Failure::Lost("the server's reply has no id".to_owned());
            first.map_or_else(|| Outcome::Failed(no_id()), Outcome::Sent)
        }
        Err(error) if error.is_timeout() => Outcome::Failed(Failure::Silent(within)),
        Err(error) => match refusal(&error) {
            Some("NOSCRIPT") => Outcome::ScriptLost,
            Some("BUSY" | "LOADING") => Outcome::Later,
            Some(_) => Outcome::Elsewhere(error.into()),
            None => Outcome::Failed(error.into()),
        },
    }
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
