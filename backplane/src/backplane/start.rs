//! How a backplane begins, over whatever bus, and the tasks that it has.

use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Instrument, debug, error_span, warn};

use super::{Backplane, Inner};
use crate::bus::{Bus, ConnectError};
use crate::options::Options;
use crate::receiver::Receiver;
use crate::state::State;

impl Backplane {
    /// Connects to a Redis-compatible server, with the arguments of SignalR's `UseRedis`. An empty
    /// password is none.
    ///
    /// Returns when the server has confirmed the subscription. From then on the backplane
    /// reconnects by itself, for ever.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the first attempt fails: a wrong password or a server that is not
    /// there are not passed over in silence. [`connecting`](Self::connecting) goes on trying.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// # let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// # let port = server.local_addr().port();
    /// use backplane::Backplane;
    ///
    /// let backplane = Backplane::use_redis("127.0.0.1", port, "", "ChatApp").await?;
    /// assert_eq!(backplane.app_name(), "ChatApp");
    /// # Ok(()) }
    /// ```
    pub async fn use_redis(
        server: &str,
        port: u16,
        password: &str,
        app_name: &str,
    ) -> Result<Self, ConnectError> {
        Self::use_redis_with(server, port, password, app_name, Options::default()).await
    }

    /// Does the same with other options than the usual.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when the first attempt fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let mut options = backplane::Options::default();
    /// options.hub = "ChatHub".into();
    /// let app = "ChatApp";
    /// let connected = backplane::Backplane::use_redis_with("127.0.0.1", 1, "", app, options).await;
    /// assert!(connected.is_err(), "nobody listens there");
    /// # }
    /// ```
    pub async fn use_redis_with(
        server: &str,
        port: u16,
        password: &str,
        app_name: &str,
        options: Options,
    ) -> Result<Self, ConnectError> {
        let bus = Bus::redis(server, port, password, app_name, &options);
        Self::connected(bus, app_name, options).await
    }

    /// Connects to the server of a URL.
    ///
    /// | URL | server |
    /// |---|---|
    /// | `redis://[user:password@]host[:port][/database]` | one server |
    /// | `unix:/path/to/socket` | one server, by its socket file |
    /// | `redis-sentinel://host[:port],…/master[/database]` | the master that Sentinels know by that name |
    /// | `redis-cluster://host[:port],…` | a cluster; the app has one of its shard channels |
    ///
    /// `rediss://`, `rediss-sentinel://` and `rediss-cluster://` are the same with TLS, and take the
    /// files of [`Tls`](crate::Tls) as `ca`, `cert` and `key`. All take `client_name`, and Sentinels
    /// `sentinel_user` and `sentinel_password`.
    ///
    /// The app's name is a channel and a key. The user needs these rights for them (of Redis' ACL):
    /// `~app &app +subscribe +evalsha +eval +script|load +script|exists +publish +incr +get +set`, in
    /// a cluster `+ssubscribe +spublish +cluster|slots +cluster|keyslot` as well, and with Sentinels
    /// `+role`. With `+info` a server that restarted is told from a connection that was lost, with
    /// `+pubsub` what was missed is fetched from a broker that remembers it, and `client_name` needs
    /// `+client|setname`.
    ///
    /// Channels know no databases, keys do: all servers of an app have to use the same database, and
    /// apps in different ones need different names.
    ///
    /// While a cluster moves the app's slot, sends wait as in an outage: from when its key has gone
    /// until the slot has, since nobody would hear them before that.
    ///
    /// Returns when the server has confirmed the subscription. From then on the backplane
    /// reconnects by itself, for ever.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] for a URL that cannot be understood, and when the first attempt fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let error = backplane::Backplane::from_url("http://host", "ChatApp").await.unwrap_err();
    /// assert!(error.to_string().contains("expected a URL such as redis://"), "{error}");
    /// # }
    /// ```
    pub async fn from_url(url: &str, app_name: &str) -> Result<Self, ConnectError> {
        Self::from_url_with(url, app_name, Options::default()).await
    }

    /// Does the same with other options than the usual.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] for a URL that cannot be understood, and when the first attempt fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::{Backplane, Options};
    /// let joined = Backplane::from_url_with("redis://127.0.0.1:1", "ChatApp", Options::default());
    /// assert!(joined.await.is_err(), "nobody listens there");
    /// # }
    /// ```
    pub async fn from_url_with(
        url: &str,
        app_name: &str,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Self::connected(Bus::from_url(url, app_name, &options)?, app_name, options).await
    }

    /// Begins to connect to the server of a URL, and returns at once. Tries for ever;
    /// [`state`](Self::state) tells how it goes.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] for a URL that cannot be understood.
    ///
    /// # Panics
    ///
    /// When called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// use backplane::{Backplane, State};
    ///
    /// let backplane = Backplane::connecting("redis://127.0.0.1:1", "ChatApp")?;
    /// assert_eq!(backplane.state(), State::Connecting);
    /// # Ok(()) }
    /// ```
    pub fn connecting(url: &str, app_name: &str) -> Result<Self, ConnectError> {
        Self::connecting_with(url, app_name, Options::default())
    }

    /// Does the same with other options than the usual.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] for a URL that cannot be understood.
    ///
    /// # Panics
    ///
    /// When called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// use backplane::{Backplane, Options};
    /// let options = Options::default();
    /// let backplane = Backplane::connecting_with("redis://127.0.0.1:1", "ChatApp", options)?;
    /// assert!(!backplane.health().is_ready);
    /// # Ok(()) }
    /// ```
    pub fn connecting_with(
        url: &str,
        app_name: &str,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Ok(Self::over(Bus::from_url(url, app_name, &options)?, app_name, options))
    }

    /// Runs on a broker inside this process.
    ///
    /// # Panics
    ///
    /// When called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let broker = broker::Broker::new();
    /// let backplane = backplane::Backplane::embedded(&broker, "ChatApp");
    /// assert_eq!(broker.subscriptions("ChatApp"), 1);
    /// # }
    /// ```
    pub fn embedded(broker: &Broker, app_name: &str) -> Self {
        Self::embedded_with(broker, app_name, Options::default())
    }

    /// Does the same with other options than the usual.
    ///
    /// # Panics
    ///
    /// When called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (broker, options) = (broker::Broker::new(), backplane::Options::default());
    /// let backplane = backplane::Backplane::embedded_with(&broker, "ChatApp", options);
    /// assert_eq!(broker.subscriptions("ChatApp"), 1);
    /// # }
    /// ```
    pub fn embedded_with(broker: &Broker, app_name: &str, options: Options) -> Self {
        Self::over(Bus::embedded(broker, app_name), app_name, options)
    }

    fn over(bus: Bus, app_name: &str, options: Options) -> Self {
        // One of a lower level would be missing where only errors are shown.
        let span = error_span!("backplane", app = app_name, server = bus.server());
        let (receiver, to_say) =
            Receiver::new(&options.hub, options.history, options.probe_interval, &span);
        let (bus, receiver) = (Arc::new(bus), Arc::new(receiver));
        span.in_scope(|| bus.start(receiver.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(say(bus.clone(), to_say).instrument(span.clone()));
        let probing = probe(bus.clone(), receiver.clone(), options.probe_interval);
        tasks.spawn(probing.instrument(span.clone()));
        let inner = Inner {
            app_name: app_name.to_owned(),
            receiver,
            bus,
            local_delivery_when_down: options.local_delivery_when_down,
            ack_timeout: options.ack_timeout,
            span,
            _tasks: tasks,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for the outcome of the first attempt.
    async fn connected(bus: Bus, app_name: &str, options: Options) -> Result<Self, ConnectError> {
        let backplane = Self::over(bus, app_name, options);
        let mut changes = backplane.state_changes();
        let outcome = changes.wait_for(|state| *state != State::Connecting).await;
        let failure = match outcome.as_deref() {
            Ok(State::Disconnected { reason }) => Some(reason.clone()),
            _ => None,
        };
        drop(outcome);
        match failure {
            Some(reason) => Err(ConnectError::Failed {
                server: backplane.inner.bus.server().to_owned(),
                reason,
            }),
            None => Ok(backplane),
        }
    }
}

/// Sends what the receiver wants to say, as much at once as there is: somebody waits for most of it.
async fn say(bus: Arc<Bus>, mut to_say: mpsc::UnboundedReceiver<Bytes>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(body) = to_say.recv() => under_way.push(bus.send(body)),
            Some(sent) = under_way.next() => if let Err(error) = sent {
                debug!(%error, "could not tell the other servers");
            },
            else => return,
        }
    }
}

/// Sends a probe at every interval and as soon as the broker is there, and suspects the
/// subscription when one does not come back.
async fn probe(bus: Arc<Bus>, receiver: Arc<Receiver>, every: Duration) {
    let mut state = bus.state_changes();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut heard = 0;
    loop {
        if state.wait_for(|state| *state == State::Connected).await.is_err() {
            return;
        }
        state.mark_unchanged();
        // Who hears others is not deaf but behind, and would only lose what is on its way.
        let heard_before = std::mem::replace(&mut heard, receiver.metrics.received.get());
        if receiver.pulse.is_overdue() && heard == heard_before {
            warn!(deaf_for = ?receiver.pulse.silence(), "a probe did not come back");
            bus.suspect();
        }
        let number = receiver.pulse.begin();
        let body = receiver.dialect.probe(&receiver.source, number);
        if let Ok(Ok(id)) = timeout(every, bus.send(body)).await {
            receiver.connections.await_from(id);
            receiver.pulse.taken(number);
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = state.changed() => ticks.reset(),
        }
    }
}
