//! A Redis-compatible server.
//!
//! A supervisor holds two connections: one that carries nothing but the subscription, since all
//! client libraries lose subscriptions in some failure, and one for commands. It resolves the
//! server anew at every attempt and tries for ever, with growing pauses that are drawn by chance
//! so that a farm of servers does not come back in step. A peer that is gone without a word is
//! found by `PING`.

use std::time::Duration;

use ::redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError,
};
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tracing::{error, info, warn};

use super::{ConnectError, SendError};
use crate::backplane::Receiver;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct RedisBus {
    link: std::sync::Arc<Link>,
    state: watch::Receiver<State>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The server, and the connection for commands while there is one.
struct Link {
    client: Client,
    server: String,
    channel: String,
    state: watch::Sender<State>,
    commands: watch::Sender<Option<MultiplexedConnection>>,
    /// Told when the connection for commands turned out to be dead.
    lost: Notify,
}

/// A subscription that the server has confirmed.
struct Subscription {
    sink: PubSubSink,
    stream: PubSubStream,
}

/// One attempt to connect, and one answer, take no longer than this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// How often both connections are probed.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long a send waits for the server to come back.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);
/// Pauses between attempts are drawn from zero to a bound that grows from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl RedisBus {
    pub(crate) fn new(server: &str, port: u16, password: &str, channel: &str) -> Self {
        let address = ConnectionAddr::Tcp(server.to_owned(), port);
        let mut info = address.into_connection_info().expect("an address is enough to connect");
        if !password.is_empty() {
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        let client = Client::open(info).expect("a host and a port are enough for a client");
        Self::over(client, channel)
    }

    pub(crate) fn from_url(url: &str, channel: &str) -> Result<Self, ConnectError> {
        let found = |what: &str| ConnectError::Url { found: what.to_owned() };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("redis") => {}
            Some("rediss") => return Err(found("rediss://, and TLS is not supported yet")),
            Some(other) => return Err(found(&format!("the scheme {other}://"))),
            None => return Err(found("no scheme")),
        }
        let client = Client::open(url).map_err(|error| found(&words(&error)))?;
        Ok(Self::over(client, channel))
    }

    fn over(client: Client, channel: &str) -> Self {
        let (state, changes) = watch::channel(State::Connecting);
        let server = client.get_connection_info().addr().to_string();
        let link = Link {
            client,
            server,
            channel: channel.to_owned(),
            state,
            commands: watch::Sender::new(None),
            lost: Notify::new(),
        };
        Self { link: link.into(), state: changes, task: Mutex::default() }
    }

    pub(crate) fn start(&self, receiver: Receiver) {
        let link = self.link.clone();
        *self.task.lock() = Some(tokio::spawn(async move { link.supervise(receiver).await }));
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.link.commands.send_replace(None);
        self.link.state.send_replace(State::Disconnected { reason: "it was shut down".to_owned() });
    }

    pub(crate) async fn publish(&self, payload: Bytes) -> Result<(), SendError> {
        let connection = timeout(SEND_TIME_MAX, self.link.commands()).await.ok().flatten();
        let Some(mut connection) = connection else {
            let reason = match &*self.state.borrow() {
                State::Disconnected { reason } => reason.clone(),
                state => state.to_string(),
            };
            return Err(SendError::Disconnected { reason });
        };
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(&self.link.channel).arg(&payload[..]);
        publish.query_async::<()>(&mut connection).await.map_err(|error| {
            if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() {
                self.link.lost.notify_one();
            }
            SendError::Failed { reason: words(&error) }
        })
    }

    pub(crate) fn state_changes(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    pub(crate) fn server(&self) -> &str {
        &self.link.server
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Link {
    /// Waits for the connection for commands.
    async fn commands(&self) -> Option<MultiplexedConnection> {
        let mut commands = self.commands.subscribe();
        commands.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Connects again and again, and receives as long as it is connected.
    async fn supervise(&self, receiver: Receiver) {
        let mut pause = PAUSES.0;
        loop {
            let reason = match self.connect().await {
                Ok((subscription, commands)) => {
                    pause = PAUSES.0;
                    info!(server = %self.server, channel = %self.channel, "backplane connected");
                    self.commands.send_replace(Some(commands));
                    self.state.send_replace(State::Connected);
                    self.receive(subscription, &receiver).await
                }
                Err(reason) => reason,
            };
            self.commands.send_replace(None);
            self.note(reason);
            tokio::time::sleep(pause.mul_f64(rand::random())).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Opens both connections. The subscription is confirmed when it returns.
    async fn connect(&self) -> Result<(Subscription, MultiplexedConnection), String> {
        let attempt = async {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(ANSWER_TIME_MAX))
                .set_response_timeout(Some(ANSWER_TIME_MAX));
            let commands =
                self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            sink.subscribe(&self.channel).await?;
            Ok((Subscription { sink, stream }, commands))
        };
        match timeout(2 * ANSWER_TIME_MAX, attempt).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(self.reason(&error).await),
            Err(_) => Err(format!("no answer within {:?}", 2 * ANSWER_TIME_MAX)),
        }
    }

    /// Receives until a connection is lost, and returns why.
    async fn receive(&self, subscription: Subscription, receiver: &Receiver) -> String {
        let Subscription { mut sink, mut stream } = subscription;
        let mut probes = interval(PING_INTERVAL);
        probes.tick().await;
        let probe = async {
            loop {
                probes.tick().await;
                let answered = timeout(ANSWER_TIME_MAX, sink.ping::<::redis::Value>()).await;
                match answered {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return words(&error),
                    Err(_) => return format!("no answer within {ANSWER_TIME_MAX:?}"),
                }
            }
        };
        let messages = async {
            while let Some(message) = stream.next().await {
                receiver.receive(message.get_payload_bytes());
                // A stream that is always ready would starve the server's other tasks.
                tokio::task::coop::consume_budget().await;
            }
            "the server closed the connection".to_owned()
        };
        tokio::select! {
            reason = messages => reason,
            reason = probe => reason,
            () = self.lost.notified() => "the connection for commands was lost".to_owned(),
        }
    }

    /// Says once what went wrong, however often it does.
    fn note(&self, reason: String) {
        let is_refusal = is_refusal(&reason);
        let state = State::Disconnected { reason };
        let changed = self.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state.clone();
            changed
        });
        match (changed, is_refusal) {
            (false, _) => {}
            // Only a human can give the right password.
            (true, true) => error!(server = %self.server, "backplane {state}"),
            (true, false) => warn!(server = %self.server, "backplane {state}"),
        }
    }

    /// Returns why connecting failed. The client library keeps the server's words on a refused
    /// password to itself, so it is asked for them again.
    async fn reason(&self, error: &RedisError) -> String {
        if error.kind() != ErrorKind::AuthenticationFailed {
            return words(error);
        }
        let info = self.client.get_connection_info();
        let (user, password) = (info.redis_settings().username(), info.redis_settings().password());
        let ask = async {
            let open = Client::open(info.addr().clone().into_connection_info()?)?;
            let mut connection = open.get_multiplexed_async_connection().await?;
            let mut auth = ::redis::cmd("AUTH");
            auth.arg(user).arg(password);
            auth.query_async::<()>(&mut connection).await
        };
        match timeout(ANSWER_TIME_MAX, ask).await {
            Ok(Err(error)) => words(&error),
            _ => words(error),
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Whether the server answered that it does not want us.
fn is_refusal(reason: &str) -> bool {
    ["WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH"].iter().any(|code| reason.starts_with(code))
}

/// Returns the server's own words where there are some, else what the client library says.
fn words(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}
