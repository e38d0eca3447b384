//! Ways to start a backplane: the builder and two shorthands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use tracing::error_span;

use crate::address::{Address, Place};
use crate::backplane::{Backplane, first_attempt};
use crate::bus::{Bus, ChannelBus, ConnectError, Purpose, Sender};
use crate::channels::has_members;
use crate::dialect::Signalr2;
use crate::emitter::Emitter;
use crate::membership::{Membership, Patterns};
use crate::options::{self, DURATION_MAX, Dialect, Options};
use crate::servers::{Replica, ServerChannel, ServerNames, StartServers};

/// Sets the options of a [`Backplane`] and starts it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
/// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
/// # let server = broker::Server::bind(broker::Broker::new(), &config).await.unwrap();
/// # let url = format!("redis://127.0.0.1:{}", server.local_addr().unwrap().port());
/// use std::time::Duration;
///
/// let backplane = backplane::Backplane::builder("ChatApp")
///     .hub("ChatHub")
///     .queue_age_max(Duration::from_secs(30))
///     .connect(&url)
///     .await?;
/// assert_eq!(backplane.app_name(), "ChatApp");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    app_name: String,
    options: Options,
}

/// The shortest interval between two probes, and the shortest timeout.
const DURATION_MIN: Duration = Duration::from_millis(1);

impl Backplane {
    /// Returns a builder for a backplane of an app. All servers of an app use the same name; it
    /// is also the name of a channel and of a key on the broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// let broker = broker::Broker::new();
    /// let backplane = backplane::Backplane::builder("ChatApp").hub("ChatHub").embedded(&broker)?;
    /// assert_eq!(broker.subscriptions("ChatApp"), 1);
    /// # Ok(()) }
    /// ```
    pub fn builder(app_name: impl Into<String>) -> Builder {
        Builder { app_name: app_name.into(), options: Options::default() }
    }

    /// Connects to a Redis-compatible server with the arguments of SignalR's `UseRedis`.
    ///
    /// An empty password means none. This is [`Builder::connect`] with default options.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the first attempt fails.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the connections.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let config = broker::Config { port: broker::Port::Any, ..Default::default() };
    /// # let server = broker::Server::bind(broker::Broker::new(), &config).await?;
    /// # let port = server.local_addr().unwrap().port();
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
        let address = Address::new(server, port).with_password(password);
        Self::builder(app_name).connect(address).await
    }

    /// Starts a backplane on a broker inside this process, with default options.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let broker = broker::Broker::new();
    /// let backplane = backplane::Backplane::embedded(&broker, "ChatApp");
    /// assert_eq!(broker.subscriptions("ChatApp"), 1);
    /// # }
    /// ```
    pub fn embedded(broker: &Broker, app_name: &str) -> Self {
        // The defaults are valid.
        Self::builder(app_name).start_on(broker)
    }
}

impl Builder {
    /// Sets the hub that the connections belong to: for servers of SignalR 2, the name of its
    /// class. All servers of an app must use the same. The default is `Hub`. With
    /// [`Dialect::SignalR2`], a name has no dot.
    /// [`Backplane::hub`] adds further hubs.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").hub("ChatHub");
    /// # let _ = builder;
    /// ```
    pub fn hub(mut self, name: impl Into<String>) -> Self {
        self.options.hub = name.into();
        self
    }

    /// Sets the servers with which the app shares its messages. The default is
    /// [`Dialect::SignalR2`].
    ///
    /// ```
    /// use backplane::{Backplane, Dialect};
    ///
    /// let dialect = Dialect::AspNetCore { channel_prefix: String::new() };
    /// let builder = Backplane::builder("ChatApp").dialect(dialect).hub("ChatApp.ChatHub");
    /// # let _ = builder;
    /// ```
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.options.dialect = dialect;
        self
    }

    /// Sets how many recent messages are kept for reconnecting connections. The default is 10,000.
    ///
    /// The oldest message is evicted first. The newest 16 of each group, user and connection stay, as
    /// long as they take less than half of the limit. So a group with many messages does not evict
    /// those of a group with few.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").history_messages_max(100);
    /// # let _ = builder;
    /// ```
    pub fn history_messages_max(mut self, messages: usize) -> Self {
        self.options.history.messages = messages;
        self
    }

    /// Sets how many bytes of recent messages are kept for reconnecting connections. The default
    /// is 16 MiB.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").history_bytes_max(1024 * 1024);
    /// # let _ = builder;
    /// ```
    pub fn history_bytes_max(mut self, bytes: usize) -> Self {
        self.options.history.bytes = bytes;
        self
    }

    /// Sets how many messages are queued while the broker is unreachable. A send beyond this
    /// limit fails with [`SendError::QueueFull`](crate::SendError). The default is 10,000.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").queue_messages_max(100);
    /// # let _ = builder;
    /// ```
    pub fn queue_messages_max(mut self, messages: usize) -> Self {
        self.options.queue.messages = messages;
        self
    }

    /// Sets how many bytes are queued while the broker is unreachable. A send beyond this limit
    /// fails with [`SendError::QueueFull`](crate::SendError). The default is 16 MiB.
    ///
    /// A single message is always accepted, even if it is larger.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").queue_bytes_max(1024 * 1024);
    /// # let _ = builder;
    /// ```
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.options.queue.bytes = bytes;
        self
    }

    /// Sets how long a message waits in the queue before its send fails. The default is five
    /// seconds, the maximum a year.
    ///
    /// ```
    /// use std::time::Duration;
    /// let age = Duration::from_secs(30);
    /// let builder = backplane::Backplane::builder("ChatApp").queue_age_max(age);
    /// # let _ = builder;
    /// ```
    pub fn queue_age_max(mut self, age: Duration) -> Self {
        self.options.queue.age = age;
        self
    }

    /// Sets whether connections of this server receive its messages while it has no subscription. The
    /// default is false. While missed messages are replayed, messages keep their order instead.
    ///
    /// Other servers receive such a message after the reconnect, unless its send has failed by
    /// then. Attached clients receive a locally delivered message once. The delivery does not
    /// advance the cursor, so a reconnecting client may receive the message again.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").local_delivery_when_down(true);
    /// # let _ = builder;
    /// ```
    pub fn local_delivery_when_down(mut self, is_on: bool) -> Self {
        self.options.local_delivery_when_down = is_on;
        self
    }

    /// Sets how long a change of a connection waits for the server that has the connection. The
    /// default is ten seconds, the maximum a year.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timeout = Duration::from_secs(2);
    /// let builder = backplane::Backplane::builder("ChatApp").ack_timeout(timeout);
    /// # let _ = builder;
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.options.ack_timeout = timeout;
        self
    }

    /// Sets the interval between two health probes. The default is five seconds, the minimum a
    /// millisecond, the maximum a year.
    ///
    /// A probe is a message that the backplane sends through the broker to itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// let interval = Duration::from_secs(1);
    /// let builder = backplane::Backplane::builder("ChatApp").probe_interval(interval);
    /// # let _ = builder;
    /// ```
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.options.probe_interval = interval;
        self
    }

    /// Sets the name of this server's connections in `CLIENT LIST`, and in
    /// [`Backplane::servers`]. The default is none. The `client_name` of a URL has precedence.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").client_name("web-1");
    /// # let _ = builder;
    /// ```
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.options.client_name = Some(name.into());
        self
    }

    /// Sets whether this server takes part in the channel between servers of the app. The default is
    /// false.
    ///
    /// [`Backplane::servers`] and the other methods for servers need it, on each server that is to
    /// be in the list or to answer. It takes two more connections to the broker, and the channels
    /// `app.servers` and `app.server.ID`. Other implementations ignore these channels. In
    /// a cluster `{app}` replaces `app`, and the prefix of [`Dialect::AspNetCore`] precedes it.
    /// [`Address`] lists the permissions that the user needs with ACLs. If the broker refuses the
    /// channels, a warning names the features that are off, and everything else goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// let broker = broker::Broker::new();
    /// let builder = backplane::Backplane::builder("ChatApp").server_channel(true);
    /// let backplane = builder.embedded(&broker)?;
    /// assert_eq!(backplane.servers().len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn server_channel(mut self, is_on: bool) -> Self {
        self.options.server_channel = is_on;
        self
    }

    /// Lets all servers know the members of some groups, and the users that are online, see
    /// [`Backplane::presence`]. The default is none. All servers of an app use the same patterns. In
    /// a pattern, `*` stands for any text.
    ///
    /// This turns the [`server_channel`](Self::server_channel) on. Each server holds all members of
    /// all servers, and each change is a message to all servers.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").presence(["room:*", "lobby"]);
    /// # let _ = builder;
    /// ```
    pub fn presence<P: Into<String>>(mut self, groups: impl IntoIterator<Item = P>) -> Self {
        self.options.presence = Some(groups.into_iter().map(Into::into).collect());
        self.options.server_channel = true;
        self
    }

    /// Sets the PEM file of the certificate authorities that may sign the server's certificate.
    /// The default is the system's list. It applies to `rediss://` and its kin; the `ca` of a URL
    /// has precedence.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").tls_ca("/etc/ssl/redis/ca.crt");
    /// # let _ = builder;
    /// ```
    pub fn tls_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.tls.ca = Some(file.into());
        self
    }

    /// Sets the PEM files of this server's own certificate and its key. The default is none. It
    /// applies to `rediss://` and its kin; the `cert` and `key` of a URL have precedence.
    ///
    /// ```
    /// let builder = backplane::Backplane::builder("ChatApp").tls_identity("web.crt", "web.key");
    /// # let _ = builder;
    /// ```
    pub fn tls_identity(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.options.tls.certificate = Some(certificate.into());
        self.options.tls.key = Some(key.into());
        self
    }

    /// Sets how long the broker may take to reply. Then a message in flight fails, since its outcome
    /// is unknown. The default is five seconds, the minimum a millisecond, the maximum a year.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timeout = Duration::from_secs(2);
    /// let builder = backplane::Backplane::builder("ChatApp").answer_timeout(timeout);
    /// # let _ = builder;
    /// ```
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.options.answer_timeout = timeout;
        self
    }

    /// Returns an error for the first setting that is out of its range.
    fn check(&self) -> Result<(), ConnectError> {
        let Options { hub, queue, ack_timeout, probe_interval, answer_timeout, .. } = &self.options;
        let zero = Duration::ZERO;
        for (option, value, min, expected) in [
            ("queue_age_max", queue.age, zero, "at most a year"),
            ("ack_timeout", *ack_timeout, zero, "at most a year"),
            ("probe_interval", *probe_interval, DURATION_MIN, "a millisecond to a year"),
            ("answer_timeout", *answer_timeout, DURATION_MIN, "a millisecond to a year"),
        ] {
            if !(min..=DURATION_MAX).contains(&value) {
                let found = format!("{value:?}");
                return Err(ConnectError::Setting { option, expected, found });
            }
        }
        let checked = match self.options.dialect {
            Dialect::SignalR2 => options::check_stream_hub(hub),
            Dialect::AspNetCore { .. } => options::check_channel_hub(hub),
        };
        let found = format!("{hub:?}");
        checked.map_err(|expected| ConnectError::Setting { option: "hub", expected, found })
    }

    /// Returns an error for a name that other servers do not subscribe to as it is.
    fn check_name(&self) -> Result<(), ConnectError> {
        let (option, name, expected) = match &self.options.dialect {
            Dialect::SignalR2 => (
                "app_name",
                &self.app_name,
                "a name without '*', '?' and '[', since servers of SignalR 2 subscribe to them as a \
                 pattern",
            ),
            Dialect::AspNetCore { channel_prefix } => (
                "channel_prefix",
                channel_prefix,
                "a prefix without '*', '?' and '[', since servers of ASP.NET Core may subscribe to \
                 them as a pattern",
            ),
        };
        let is_missing = option == "app_name" && name.is_empty();
        if is_missing || name.contains(['*', '?', '[']) {
            return Err(ConnectError::Setting { option, expected, found: format!("{name:?}") });
        }
        Ok(())
    }

    /// Connects to a server, and returns when the server has confirmed the subscription.
    ///
    /// The address is an [`Address`] or a URL as described there. Afterwards the backplane
    /// reconnects by itself until it is shut down.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting or the address is invalid, if a TLS file cannot be used, or if
    /// the first attempt fails. [`connect_lazy`](Self::connect_lazy) retries the first attempt as
    /// well.
    ///
    /// The name of the app must not be empty, and not contain `*`, `?` and `[`: servers of SignalR 2
    /// would subscribe to it as a pattern. With [`Dialect::AspNetCore`], the same applies to the
    /// prefix of the channels, which may be empty.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the connections.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::Backplane;
    ///
    /// let error = Backplane::builder("ChatApp").connect("http://host").await.unwrap_err();
    /// assert!(error.to_string().contains("expected a URL such as redis://"), "{error}");
    /// # }
    /// ```
    pub async fn connect<A>(self, address: A) -> Result<Backplane, ConnectError>
    where
        A: TryInto<Address>,
        ConnectError: From<A::Error>,
    {
        let backplane = self.connect_lazy(address)?;
        backplane.first_attempt().await?;
        Ok(backplane)
    }

    /// Starts to connect to a server, and returns immediately. The backplane retries until it is
    /// shut down; [`Backplane::state`] reports the progress.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting or the address is invalid, or if a TLS file cannot be used.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// use backplane::{Backplane, State};
    ///
    /// let backplane = Backplane::builder("ChatApp").connect_lazy("redis://127.0.0.1:1")?;
    /// assert_eq!(backplane.state(), State::Connecting);
    /// # Ok(()) }
    /// ```
    pub fn connect_lazy<A>(self, address: A) -> Result<Backplane, ConnectError>
    where
        A: TryInto<Address>,
        ConnectError: From<A::Error>,
    {
        self.check()?;
        self.check_name()?;
        let (address, app_name, options) = (address.try_into()?, self.app_name, self.options);
        let servers = servers(&app_name, &options, Some(&address), |channel| {
            ChannelBus::redis(address.clone(), channel, &options, Purpose::Servers)
        })?;
        Ok(match &options.dialect {
            Dialect::SignalR2 => {
                let bus = Bus::redis(address, &app_name, &options)?;
                Backplane::start(bus, servers, app_name, options)
            }
            Dialect::AspNetCore { channel_prefix } => {
                let bus = ChannelBus::redis(address, channel_prefix, &options, Purpose::Clients)?;
                Backplane::start_channels(bus, servers, channel_prefix, &app_name, &options)
            }
        })
    }

    /// Connects an [`Emitter`], which sends to the connections of the app and has none. The name of
    /// the app, the hub, the dialect, the limits of the queue and the login apply; the settings of
    /// connections and probes do not.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::Backplane;
    ///
    /// let error = Backplane::builder("App").emitter("redis://127.0.0.1:1").await.unwrap_err();
    /// assert!(error.to_string().starts_with("cannot use 127.0.0.1:1 as a backplane: "), "{error}");
    /// # }
    /// ```
    pub async fn emitter<A>(self, address: A) -> Result<Emitter, ConnectError>
    where
        A: TryInto<Address>,
        ConnectError: From<A::Error>,
    {
        self.check()?;
        self.check_name()?;
        let (address, app, options) = (address.try_into()?, self.app_name, self.options);
        let span = error_span!("backplane", app, server = %address);
        let (sender, prefix) = span.in_scope(|| {
            Ok::<_, ConnectError>(match &options.dialect {
                Dialect::SignalR2 => (Sender::stream(address, &app, &options)?, ""),
                Dialect::AspNetCore { channel_prefix } => {
                    (Sender::channels(address, channel_prefix, &options)?, channel_prefix.as_str())
                }
            })
        })?;
        first_attempt(sender.state_changes(), sender.server()).await?;
        Ok(Emitter::new(sender, prefix, &options.hub, span))
    }

    /// Starts a backplane on a broker inside this process.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting is invalid.
    ///
    /// # Panics
    ///
    /// If called outside of a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::ConnectError> {
    /// use backplane::{Backplane, State};
    ///
    /// let backplane = Backplane::builder("ChatApp").embedded(&broker::Broker::new())?;
    /// assert_eq!(backplane.state(), State::Connected);
    /// # Ok(()) }
    /// ```
    pub fn embedded(self, broker: &Broker) -> Result<Backplane, ConnectError> {
        self.check()?;
        Ok(self.start_on(broker))
    }

    fn start_on(self, broker: &Broker) -> Backplane {
        let (app_name, options) = (self.app_name, self.options);
        let bus = |purpose| ChannelBus::embedded(broker, purpose);
        let servers = servers(&app_name, &options, None, |_| Ok(bus(Purpose::Servers)));
        let servers = servers.expect("a broker in this process is always there");
        match &options.dialect {
            Dialect::SignalR2 => {
                Backplane::start(Bus::embedded(broker, &app_name), servers, app_name, options)
            }
            Dialect::AspNetCore { channel_prefix } => {
                let bus = bus(Purpose::Clients);
                Backplane::start_channels(bus, servers, channel_prefix, &app_name, &options)
            }
        }
    }
}

/// Returns the channel between servers, if it is on. `connect` returns a bus for it.
fn servers(
    app_name: &str,
    options: &Options,
    address: Option<&Address>,
    connect: impl FnOnce(&str) -> Result<ChannelBus, ConnectError>,
) -> Result<Option<StartServers>, ConnectError> {
    if !options.server_channel {
        return Ok(None);
    }
    let prefix = match &options.dialect {
        Dialect::SignalR2 => "",
        Dialect::AspNetCore { channel_prefix } => channel_prefix,
    };
    let names = ServerNames {
        app: &[prefix, app_name].concat(),
        name: address
            .and_then(|address| address.client_name.clone())
            .or_else(|| options.client_name.clone()),
        is_cluster: address.is_some_and(|address| matches!(address.place, Place::Cluster(_))),
        presence: options.presence.clone().map(|patterns| {
            let (dialect, patterns) = (options.dialect.clone(), Patterns(patterns));
            let is_wanted = move |signal: &str| {
                let is_wanted = |group: &str| patterns.accept(group);
                match &dialect {
                    Dialect::SignalR2 => Signalr2::has_members(signal, is_wanted),
                    Dialect::AspNetCore { channel_prefix } => {
                        has_members(channel_prefix, signal, is_wanted)
                    }
                }
            };
            Replica::new(Arc::new(Membership::new(is_wanted)))
        }),
    };
    ServerChannel::new(names, connect).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: Builder) -> Option<String> {
        builder.connect_lazy("redis://127.0.0.1:1").err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_setting_out_of_its_range_is_an_error_that_names_it() {
        type Set = fn(Builder, Duration) -> Builder;
        let settings: [(&str, Set, bool); 4] = [
            ("queue_age_max", Builder::queue_age_max, true),
            ("ack_timeout", Builder::ack_timeout, true),
            ("probe_interval", Builder::probe_interval, false),
            ("answer_timeout", Builder::answer_timeout, false),
        ];
        for (name, set, may_be_zero) in settings {
            let with = |duration| set(Backplane::builder("App"), duration);
            assert_eq!(error(with(DURATION_MIN)), None);
            assert_eq!(error(with(DURATION_MAX)), None);
            assert_eq!(error(with(Duration::ZERO)).is_none(), may_be_zero, "{name}");
            let error = error(with(Duration::MAX)).expect("it is too long");
            assert!(error.starts_with(&format!("{name} expects ")), "{error}");
            let embedded = with(Duration::MAX).embedded(&Broker::new());
            assert_eq!(embedded.err().map(|error| error.to_string()), Some(error));
        }
    }

    #[tokio::test]
    async fn a_name_that_is_a_pattern_is_refused() {
        for name in ["Chat*App", "Chat?App", "Chat[App", ""] {
            let error = error(Backplane::builder(name)).expect("it is a pattern");
            assert!(error.contains("subscribe to them as a pattern"), "{error}");
            assert!(error.ends_with(&format!("found {name:?}")), "{error}");
        }
        assert_eq!(error(Backplane::builder("Chat App]")), None);
    }

    #[tokio::test]
    async fn names_of_aspnetcore_are_checked() {
        let of = |prefix: &str, hub: &str| {
            let dialect = Dialect::AspNetCore { channel_prefix: prefix.to_owned() };
            Backplane::builder("Chat*App").dialect(dialect).hub(hub)
        };
        for prefix in ["Chat*App", "Chat?App", "Chat[App"] {
            let error = error(of(prefix, "App.Chat")).expect("it is a pattern");
            assert!(error.starts_with("channel_prefix expects "), "{error}");
            assert!(error.ends_with(&format!("found {prefix:?}")), "{error}");
        }
        for hub in ["", "App:Chat"] {
            let error = error(of("ChatApp", hub)).expect("it is no part of a channel's name");
            assert!(error.starts_with("hub expects "), "{error}");
            let embedded = of("ChatApp", hub).embedded(&Broker::new());
            assert_eq!(embedded.err().map(|error| error.to_string()), Some(error));
        }
        assert_eq!(error(of("", "App.Chat")), None);
        let chat = of("", "App.Chat").embedded(&Broker::new()).unwrap();
        let _ = chat.hub("App.Stock");
    }

    #[tokio::test]
    async fn a_hub_of_signalr_2_has_no_dot() {
        let error = error(Backplane::builder("App").hub("A.b")).expect("it has a dot");
        assert!(
            error.starts_with("hub expects a name without '.', since hub \"A.b\" with group \"c\"")
        );
        assert!(error.ends_with("found \"A.b\""), "{error}");
        let embedded = Backplane::builder("App").hub("A.b").embedded(&Broker::new());
        assert_eq!(embedded.err().map(|error| error.to_string()), Some(error));
    }

    #[tokio::test]
    #[should_panic(expected = "hub expects a name without '.'")]
    async fn a_further_hub_of_signalr_2_has_no_dot() {
        let _ = Backplane::embedded(&Broker::new(), "App").hub("A.b");
    }

    #[tokio::test]
    async fn extreme_durations_cause_no_panic() {
        for duration in [DURATION_MIN, DURATION_MAX] {
            let builder = Backplane::builder("App").probe_interval(duration);
            let builder = builder.queue_age_max(duration).ack_timeout(duration);
            let backplane = builder.connect_lazy("redis://127.0.0.1:1").unwrap();
            assert!(!backplane.health().is_ready);
            let invocation = crate::Invocation::new("m", ()).unwrap();
            let sent = backplane.send(crate::Target::all(), invocation);
            let _ = tokio::time::timeout(Duration::from_millis(1), sent).await;
        }
    }
}
