//! The handle that an application holds: local connections above, the bus below.

mod inspect;
mod plane;
mod presence;
mod results;
mod servers;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument, Span, debug, error_span};

pub use self::inspect::ConnectionInfo;
use self::plane::Plane;
pub use self::presence::{Count, Presence, Watch};
pub use self::results::{AskClient, ClientQuestion, ResultError};
pub use self::servers::Ask;
use self::tasks::{probe, probe_channels, send_outgoing, send_replies};
use crate::bus::{Bus, ChannelBus, ConnectError, SendError, check_size};
use crate::channels::Channels;
use crate::connection::Connection;
use crate::connections::{Attachment, Disconnect};
use crate::cursor::Cursor;
use crate::dialect::{Change, Signalr2};
use crate::event::Events;
use crate::group::GroupError;
use crate::guid::guid;
use crate::health::Health;
use crate::invocation::Invocation;
use crate::options::{self, Options};
use crate::receiver::Receiver;
use crate::servers::{ServerChannel, StartServers};
use crate::state::State;
use crate::target::Target;

/// One server of an app. All servers of an app share their groups, users and messages.
///
/// Cloning returns another handle to the same backplane. When the last handle is dropped, the
/// connections end with [`Disconnect::Shutdown`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use backplane::{Backplane, Invocation, Target};
///
/// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
/// let mut ann = backplane.attach("c1", Some("ann"));
/// backplane.join("c1", "room").await?;
/// backplane.send(Target::group("room"), Invocation::new("say", ["hi"])?).await?;
/// assert_eq!(ann.recv().await?.method(), "say");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Backplane {
    inner: Arc<Inner>,
    /// The dialect of the hub that this handle is for.
    dialect: Signalr2,
}

/// One of the hubs that a connection belongs to. See [`Backplane::attach_hubs`].
///
/// ```
/// let place = backplane::HubPlace { hub: "ChatHub", user: Some("ann"), groups: &["lobby"] };
/// assert_eq!(place.hub, "ChatHub");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HubPlace<'a> {
    /// The name of the hub.
    pub hub: &'a str,
    /// The user of the connection in this hub.
    pub user: Option<&'a str>,
    /// The groups that it joins.
    pub groups: &'a [&'a str],
}

#[derive(Debug)]
struct Inner {
    app_name: String,
    /// The hub of the builder.
    hub: String,
    receiver: Arc<Receiver>,
    plane: Plane,
    local_delivery_when_down: bool,
    ack_timeout: Duration,
    /// Set with [`Builder::server_channel`](crate::Builder::server_channel).
    servers: Option<Arc<ServerChannel>>,
    /// The parent of all log events.
    span: Span,
    /// Dropping the set aborts the tasks.
    _tasks: JoinSet<()>,
}

impl Backplane {
    pub(crate) fn start(
        bus: Bus,
        servers: Option<StartServers>,
        app_name: String,
        options: Options,
    ) -> Self {
        // At level `error`, so that the fields remain if a filter shows errors only.
        let span = error_span!("backplane", app = app_name.as_str(), server = bus.server());
        let (receiver, outgoing) = Receiver::new(&options, &span);
        let (bus, receiver) = (Arc::new(bus), Arc::new(receiver));
        span.in_scope(|| bus.start(receiver.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(send_outgoing(bus.clone(), outgoing).instrument(span.clone()));
        let probing = probe(bus.clone(), receiver.clone(), options.probe_interval);
        tasks.spawn(probing.instrument(span.clone()));
        let servers = servers.map(|servers| start_servers(servers, &receiver, &mut tasks, &span));
        let dialect = receiver.dialect.clone();
        let inner = Inner {
            app_name,
            hub: options.hub,
            receiver,
            plane: Plane::Stream(bus),
            local_delivery_when_down: options.local_delivery_when_down,
            ack_timeout: options.ack_timeout,
            servers,
            span,
            _tasks: tasks,
        };
        Self { inner: Arc::new(inner), dialect }
    }

    /// Starts a backplane with a channel for each target.
    pub(crate) fn start_channels(
        bus: ChannelBus,
        servers: Option<StartServers>,
        prefix: &str,
        app_name: &str,
        options: &Options,
    ) -> Self {
        let span = error_span!("backplane", app = app_name, server = bus.server());
        // The receiver sends nothing itself.
        let (receiver, _) = Receiver::new(options, &span);
        let receiver = Arc::new(receiver);
        let (channels, replies) = Channels::new(prefix, app_name, receiver.clone(), bus);
        let channels = Arc::new(channels);
        span.in_scope(|| channels.start());
        let mut tasks = JoinSet::new();
        tasks.spawn(send_replies(channels.clone(), replies).instrument(span.clone()));
        let probing = probe_channels(channels.clone(), options.probe_interval);
        tasks.spawn(probing.instrument(span.clone()));
        let servers = servers.map(|servers| start_servers(servers, &receiver, &mut tasks, &span));
        let dialect = receiver.dialect.clone();
        let inner = Inner {
            app_name: app_name.to_owned(),
            hub: options.hub.clone(),
            receiver,
            plane: Plane::Channels(channels),
            local_delivery_when_down: false,
            ack_timeout: options.ack_timeout,
            servers,
            span,
            _tasks: tasks,
        };
        Self { inner: Arc::new(inner), dialect }
    }

    /// Waits for the outcome of the first attempt to connect.
    pub(crate) async fn first_attempt(&self) -> Result<(), ConnectError> {
        first_attempt(self.state_changes(), self.inner.plane.server()).await
    }

    /// Returns the name of the app. The channel on the broker has the same name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.app_name(), "ChatApp");
    /// # }
    /// ```
    pub fn app_name(&self) -> &str {
        &self.inner.app_name
    }

    /// Returns a handle for another hub on the same link to the broker.
    ///
    /// Different hubs have separate groups, users and messages. Connections of all hubs need
    /// different ids, since a connection is changed or ended by its id only. The hubs share the
    /// limits of the history, see
    /// [`Builder::history_messages_max`](crate::Builder::history_messages_max). A shutdown applies
    /// to all hubs.
    ///
    /// # Panics
    ///
    /// If the dialect cannot express the name: SignalR 2's has no dot, and ASP.NET Core's has no
    /// colon and is not empty.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "App");
    /// let (chat, stock) = (backplane.hub("ChatHub"), backplane.hub("StockHub"));
    /// let mut ann = chat.attach("c1", None);
    /// stock.send(Target::all(), Invocation::new("price", [7])?).await?;
    /// chat.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// assert_eq!(ann.recv().await?.method(), "say");
    /// # Ok(()) }
    /// ```
    pub fn hub(&self, name: &str) -> Self {
        let checked = match &self.inner.plane {
            Plane::Stream(_) => options::check_stream_hub(name),
            Plane::Channels(_) => options::check_channel_hub(name),
        };
        if let Err(expected) = checked {
            panic!("hub expects {expected}, found {name:?}");
        }
        Self { inner: self.inner.clone(), dialect: self.dialect.of_hub(name) }
    }

    /// Attaches a connection to this server. Ids are unique among all servers of the app. If this
    /// server has a connection with the same id, that one ends with [`Disconnect::Replaced`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let connection = backplane.attach("c1", Some("ann"));
    /// assert_eq!((connection.id(), connection.user()), ("c1", Some("ann")));
    /// # }
    /// ```
    pub fn attach(&self, connection_id: &str, user: Option<&str>) -> Connection {
        self.attached(connection_id, user, &[], None)
    }

    /// Attaches a connection that reconnects. It rejoins `groups` and receives the messages since
    /// its [`cursor`](Connection::cursor), from any server of the app.
    ///
    /// If this server no longer has some of the messages, the connection receives a
    /// [`Gap`](crate::Gap) first. If another server still has a connection with this id, that one
    /// ends with [`Disconnect::Replaced`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let broker = broker::Broker::new();
    /// let (here, there) =
    ///     (Backplane::embedded(&broker, "ChatApp"), Backplane::embedded(&broker, "ChatApp"));
    /// let mut other = there.attach("c2", None);
    /// let ann = here.attach("c1", None);
    /// here.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// other.recv().await?;
    /// let cursor = ann.cursor();
    /// drop(ann);
    /// here.send(Target::group("room"), Invocation::new("say", ["meanwhile"])?).await?;
    ///
    /// let mut ann = there.attach_at("c1", None, &["room"], cursor);
    /// assert_eq!(ann.recv().await?.arguments().get(), r#"["hi"]"#);
    /// assert_eq!(ann.recv().await?.arguments().get(), r#"["meanwhile"]"#);
    /// # Ok(()) }
    /// ```
    pub fn attach_at(
        &self,
        connection_id: &str,
        user: Option<&str>,
        groups: &[&str],
        cursor: Cursor,
    ) -> Connection {
        let connection = self.attached(connection_id, user, groups, Some(cursor));
        if let Plane::Stream(_) = self.inner.plane {
            self.inner.receiver.announce(&connection.place());
        }
        connection
    }

    /// Attaches a connection that continues another one, which has ended with its server. It
    /// continues as [`attach_at`](Self::attach_at) does. It also receives messages to the former id,
    /// and none that excluded it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut bob = backplane.attach("c2", None);
    /// let ann = backplane.attach("c1", None);
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// bob.recv().await?;
    /// let cursor = ann.cursor();
    /// drop(ann);
    /// backplane.send(Target::all().except(["c1"]), Invocation::new("say", ["by ann"])?).await?;
    /// backplane.send(Target::connection("c1"), Invocation::new("say", ["to ann"])?).await?;
    ///
    /// let mut ann = backplane.attach_after("c1", "c3", None, &[], cursor);
    /// assert_eq!(ann.recv().await?.arguments().get(), r#"["hi"]"#);
    /// assert_eq!(ann.recv().await?.arguments().get(), r#"["to ann"]"#);
    /// # Ok(()) }
    /// ```
    pub fn attach_after(
        &self,
        former_id: &str,
        connection_id: &str,
        user: Option<&str>,
        groups: &[&str],
        cursor: Cursor,
    ) -> Connection {
        let mut signals = self.signals(connection_id, user, groups);
        signals.push(self.connection_signal(former_id));
        if let Plane::Stream(_) = self.inner.plane {
            // A message excludes connections by these.
            signals.extend(Signalr2::command_signals(former_id));
        }
        // The id is new, so no other server has it, and none is told of it now.
        let attachment =
            Attachment { id: connection_id, user, signals, cursor: self.known(Some(cursor)) };
        Connection::attach(&self.inner.receiver.connections, attachment)
    }

    /// Attaches one connection to several hubs of this backplane, as clients of SignalR 2 do. It has
    /// one queue for the messages of all of them.
    ///
    /// With a cursor, it continues as [`attach_at`](Self::attach_at) does. Without one, it receives
    /// later messages only.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, HubPlace, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let chat = HubPlace { hub: "ChatHub", user: Some("ann"), groups: &["lobby"] };
    /// let stock = HubPlace { hub: "StockHub", user: None, groups: &[] };
    /// let mut ann = backplane.attach_hubs("c1", &[chat, stock], None);
    ///
    /// let hub = backplane.hub("ChatHub");
    /// hub.send(Target::group("lobby"), Invocation::new("say", ["hi"])?).await?;
    /// backplane.hub("StockHub").send(Target::all(), Invocation::new("price", [7])?).await?;
    /// assert_eq!(ann.recv().await?.hub(), Some("ChatHub"));
    /// assert_eq!(ann.recv().await?.hub(), Some("StockHub"));
    /// # Ok(()) }
    /// ```
    pub fn attach_hubs(
        &self,
        connection_id: &str,
        hubs: &[HubPlace<'_>],
        cursor: Option<Cursor>,
    ) -> Connection {
        // Without any hub, the connection still receives commands.
        let mut signals = match self.inner.plane {
            Plane::Stream(_) => Signalr2::command_signals(connection_id),
            Plane::Channels(_) => Vec::new(),
        };
        for HubPlace { hub, user, groups } in hubs {
            signals.extend(self.hub(hub).signals(connection_id, *user, groups));
        }
        let user = hubs.iter().find_map(|place| place.user);
        let cursor = self.known(cursor);
        let attachment = Attachment { id: connection_id, user, signals, cursor };
        let connection = Connection::attach(&self.inner.receiver.connections, attachment);
        if cursor.is_some() {
            self.inner.receiver.announce(&connection.place());
        }
        connection
    }

    /// Returns whether cursors have a meaning on other servers, so that a connection continues there by
    /// [`attach_at`](Self::attach_at). They have none in ASP.NET Core's dialect, whose messages have no
    /// ids.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert!(backplane.has_cursors());
    /// # }
    /// ```
    pub fn has_cursors(&self) -> bool {
        matches!(self.inner.plane, Plane::Stream(_))
    }

    /// Returns a cursor that has a meaning on this server. Messages without ids have none.
    fn known(&self, cursor: Option<Cursor>) -> Option<Cursor> {
        cursor.filter(|_| matches!(self.inner.plane, Plane::Stream(_)))
    }

    /// Returns the signals of a connection of this hub.
    fn signals(&self, id: &str, user: Option<&str>, groups: &[&str]) -> Vec<String> {
        let mut signals = match &self.inner.plane {
            Plane::Stream(_) => self.dialect.signals(id, user),
            Plane::Channels(channels) => channels.signals(self.dialect.hub(), id, user),
        };
        signals.extend(groups.iter().map(|group| self.group_signal(group)));
        signals
    }

    fn group_signal(&self, group: &str) -> String {
        match &self.inner.plane {
            Plane::Stream(_) => self.dialect.group_signal(group),
            Plane::Channels(channels) => channels.group_signal(self.dialect.hub(), group),
        }
    }

    fn user_signal(&self, user: &str) -> String {
        match &self.inner.plane {
            Plane::Stream(_) => self.dialect.user_signal(user),
            Plane::Channels(channels) => channels.user_signal(self.dialect.hub(), user),
        }
    }

    fn all_signal(&self) -> String {
        match &self.inner.plane {
            Plane::Stream(_) => self.dialect.all_signal(),
            Plane::Channels(channels) => channels.all_signal(self.dialect.hub()),
        }
    }

    fn connection_signal(&self, id: &str) -> String {
        match &self.inner.plane {
            Plane::Stream(_) => self.dialect.connection_signal(id),
            Plane::Channels(channels) => channels.connection_signal(self.dialect.hub(), id),
        }
    }

    /// Returns whether two handles, of any hubs, have one connection to the broker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert!(backplane.hub("ChatHub").is_same(&backplane.hub("StockHub")));
    /// # }
    /// ```
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    fn attached(
        &self,
        id: &str,
        user: Option<&str>,
        groups: &[&str],
        cursor: Option<Cursor>,
    ) -> Connection {
        let signals = self.signals(id, user, groups);
        let cursor = self.known(cursor);
        let connections = &self.inner.receiver.connections;
        Connection::attach(connections, Attachment { id, user, signals, cursor })
    }

    /// Sends an invocation to connections of all servers.
    ///
    /// Returns when the broker has accepted the message. Local connections receive it through the
    /// broker as well, so all connections see the same order. A list of targets becomes one message
    /// for each of them.
    ///
    /// While the broker is unreachable, the message is queued, see
    /// [`Builder::queue_age_max`](crate::Builder::queue_age_max). Local connections can receive it
    /// at once, see
    /// [`Builder::local_delivery_when_down`](crate::Builder::local_delivery_when_down).
    ///
    /// # Errors
    ///
    /// [`SendError`] if the broker did not accept the message. If the connection is lost before the
    /// reply, the outcome is unknown; the message is not sent again, since it could arrive twice.
    /// For a list of targets, the broker may have accepted some of the messages.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the message may or may not be sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// backplane.send(Target::all(), Invocation::new("say", ["hi"])?).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send(&self, target: Target, invocation: Invocation) -> Result<(), SendError> {
        self.send_placed(target, invocation).await.map(drop)
    }

    /// Sends an invocation like [`send`](Self::send), and returns its place in the message stream.
    ///
    /// With [`Connection::mark_after`], a connection can find out when it has received all messages
    /// up to that place. The place of a list of targets is that of its last message.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the message may or may not be sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Invocation, Target};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let first = backplane.send_placed(Target::all(), Invocation::new("say", ["one"])?).await?;
    /// let second = backplane.send_placed(Target::all(), Invocation::new("say", ["two"])?).await?;
    /// assert!(first < second);
    /// # Ok(()) }
    /// ```
    pub async fn send_placed(
        &self,
        target: Target,
        invocation: Invocation,
    ) -> Result<Cursor, SendError> {
        let sent = self.send_invocation(target, invocation).await;
        if let Err(error) = &sent {
            self.inner.span.in_scope(|| debug!(%error, "an invocation was not sent"));
        }
        sent
    }

    async fn send_invocation(
        &self,
        target: Target,
        invocation: Invocation,
    ) -> Result<Cursor, SendError> {
        let Inner { receiver, plane, .. } = &*self.inner;
        check_size(&invocation)?;
        let bus = match plane {
            Plane::Stream(bus) => bus,
            Plane::Channels(channels) => {
                return channels.send(self.dialect.hub(), &target, &invocation).await;
            }
        };
        let is_local = self.inner.local_delivery_when_down && receiver.delivers_locally();
        let bodies = match is_local {
            true => {
                let bodies = self.dialect.invocation(guid, &target, &invocation);
                receiver.deliver(&bodies);
                bodies
            }
            false => {
                let source = || receiver.source.clone();
                self.dialect.invocation(source, &target, &invocation)
            }
        };
        // All sends start in this order, and none waits for another.
        let sends = bodies.into_iter().map(|body| bus.send(body));
        let mut last: Option<u64> = None;
        for sent in futures_util::future::join_all(sends).await {
            last = last.max(Some(sent?));
        }
        Ok(Cursor::at(last))
    }

    /// Adds a connection of any server to a group. The change is effective when this returns.
    ///
    /// # Errors
    ///
    /// [`GroupError`] if no server acknowledges the change, or if the command cannot be sent.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the change may or may not happen.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::GroupError> {
    /// use backplane::Backplane;
    ///
    /// let broker = broker::Broker::new();
    /// let (here, there) =
    ///     (Backplane::embedded(&broker, "ChatApp"), Backplane::embedded(&broker, "ChatApp"));
    /// let _ann = here.attach("c1", None);
    /// there.join("c1", "room").await?;
    /// # Ok(()) }
    /// ```
    pub async fn join(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        let signal = self.group_signal(group);
        self.change(connection_id, Change::Join { signal }).await
    }

    /// Removes a connection of any server from a group. The change is effective when this returns.
    ///
    /// # Errors
    ///
    /// [`GroupError`] if no server acknowledges the change, or if the command cannot be sent.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the change may or may not happen.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::GroupError> {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let _ann = backplane.attach("c1", None);
    /// backplane.join("c1", "room").await?;
    /// backplane.leave("c1", "room").await?;
    /// # Ok(()) }
    /// ```
    pub async fn leave(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        let signal = self.group_signal(group);
        self.change(connection_id, Change::Leave { signal }).await
    }

    /// Ends a connection of any server with [`Disconnect::Aborted`].
    ///
    /// # Errors
    ///
    /// [`GroupError`] if no server acknowledges the change, or if the command cannot be sent.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the connection may or may not end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::GroupError> {
    /// use backplane::{Backplane, Disconnect};
    ///
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut ann = backplane.attach("c1", None);
    /// backplane.abort("c1").await?;
    /// assert_eq!(ann.recv().await.unwrap_err(), Disconnect::Aborted);
    /// # Ok(()) }
    /// ```
    pub async fn abort(&self, connection_id: &str) -> Result<(), GroupError> {
        self.change(connection_id, Change::Abort).await
    }

    /// Changes a local connection directly, and one of another server by a command on the bus.
    async fn change(&self, connection_id: &str, change: Change) -> Result<(), GroupError> {
        let Inner { receiver, plane, ack_timeout, .. } = &*self.inner;
        let is_here = receiver.change(connection_id, &change);
        let bus = match plane {
            _ if is_here => {
                self.confirmed(&change).await;
                return Ok(());
            }
            Plane::Stream(bus) => bus,
            Plane::Channels(channels) => {
                let asked = channels.change(self.dialect.hub(), connection_id, &change);
                return timeout(*ack_timeout, asked)
                    .await
                    .unwrap_or_else(|_| Err(self.no_answer(connection_id)));
            }
        };
        let command_id = guid();
        let mut expected = receiver.acks.expect(&command_id);
        let command =
            receiver.dialect.command(&receiver.source, connection_id, &command_id, &change);
        let asked = async {
            let mut pause = REPEATED_AFTER;
            loop {
                bus.send(command.clone()).await?;
                if timeout(pause, expected.acknowledged()).await.is_ok() {
                    return Ok(());
                }
                // The connection was on its way between two servers, and this one may be the next.
                if receiver.change(connection_id, &change) {
                    return Ok(());
                }
                pause *= 2;
            }
        };
        timeout(*ack_timeout, asked).await.unwrap_or_else(|_| Err(self.no_answer(connection_id)))
    }

    /// Waits until messages for a joined group arrive. The change holds in any case.
    async fn confirmed(&self, change: &Change) {
        if let (Plane::Channels(channels), Change::Join { signal }) = (&self.inner.plane, change) {
            let _ = timeout(self.inner.ack_timeout, channels.confirmed(signal)).await;
        }
    }

    fn no_answer(&self, connection_id: &str) -> GroupError {
        let (connection_id, within) = (connection_id.to_owned(), self.inner.ack_timeout);
        GroupError::NoAnswer { connection_id, within }
    }

    /// Returns the events from now on: gaps in the message ids, and resets of the id counter.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut events = backplane.events();
    /// tokio::spawn(async move {
    ///     while let Some(event) = events.recv().await {
    ///         eprintln!("{event}");
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.inner.receiver.events()
    }

    /// Returns the health of this backplane, for a readiness check. It is ready if probes return
    /// through the broker; an open socket alone is not enough.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let status = if backplane.health().is_ready { 200 } else { 503 };
    /// # let _ = status;
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        let Receiver { health_probe, metrics, .. } = &*self.inner.receiver;
        health_probe.health(self.state(), metrics.lost.get(), metrics.recovered.get())
    }

    /// Adds the metrics of this backplane to a registry, as `backplane_…` with the labels `app`, `hub`
    /// (of the builder) and `server`. All handles of [`hub`](Self::hub) share them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    ///
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut registry = Registry::default();
    /// backplane.register(&mut registry);
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// assert!(text.contains(r#"backplane_gaps_total{app="ChatApp",hub="Hub","#), "{text}");
    /// # Ok(()) }
    /// ```
    pub fn register(&self, registry: &mut Registry) {
        let Inner { receiver, plane, app_name, hub, .. } = &*self.inner;
        let connections = receiver.connections.clone();
        let labels = [("app", app_name.as_str()), ("hub", hub), ("server", plane.server())];
        receiver.metrics.register(labels, plane.queued(), connections, registry);
    }

    /// Returns whether the broker is reachable.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::{Backplane, State};
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// assert_eq!(backplane.state(), State::Connected);
    /// # }
    /// ```
    pub fn state(&self) -> State {
        self.state_changes().borrow().clone()
    }

    /// Returns a signal with the current [`state`](Self::state) and its changes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::{Backplane, State};
    /// let backplane = Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut changes = backplane.state_changes();
    /// changes.wait_for(|state| *state == State::Connected).await.unwrap();
    /// # }
    /// ```
    pub fn state_changes(&self) -> watch::Receiver<State> {
        self.inner.plane.state_changes()
    }

    /// Sends the queued messages, ends all connections with [`Disconnect::Shutdown`], and disconnects
    /// from the broker. If the broker does not accept the messages within two seconds, their sends
    /// fail. The other servers learn that this one leaves.
    ///
    /// This applies to all handles. A later send fails, and a connection that is attached later
    /// ends immediately.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the backplane is disconnected, but connections may still be
    /// attached.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let mut connection = backplane.attach("c1", None);
    /// backplane.shutdown().await;
    /// assert_eq!(connection.recv().await.unwrap_err(), backplane::Disconnect::Shutdown);
    /// # }
    /// ```
    pub async fn shutdown(self) {
        self.inner.plane.drain().await;
        if let Some(servers) = &self.inner.servers {
            servers.leave().await;
        }
        self.inner.plane.stop().await;
        self.inner.receiver.connections.close(Disconnect::Shutdown);
        self.inner.receiver.end();
    }
}

/// Starts the channel between servers, before any connection is attached.
fn start_servers(
    (channel, to_send): StartServers,
    receiver: &Receiver,
    tasks: &mut JoinSet<()>,
    span: &Span,
) -> Arc<ServerChannel> {
    if let Some(replica) = channel.presence() {
        receiver.connections.report_members(replica.own().clone());
    }
    span.in_scope(|| {
        let (name, answering) = inspect::answering(&receiver.connections);
        channel.handle(name, answering, 1);
        channel.start();
    });
    tasks.spawn(channel.clone().run(to_send).instrument(span.clone()));
    channel
}

/// Waits for the outcome of the first attempt to connect.
pub(crate) async fn first_attempt(
    mut changes: watch::Receiver<State>,
    server: &str,
) -> Result<(), ConnectError> {
    let outcome = changes.wait_for(|state| *state != State::Connecting).await;
    match outcome.as_deref() {
        Ok(State::Disconnected { reason }) => {
            Err(ConnectError::Failed { server: server.to_owned(), reason: reason.clone() })
        }
        _ => Ok(()),
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Plane::Channels(channels) = &self.plane {
            channels.bus.abort();
        }
        if let Some(servers) = &self.servers {
            servers.abort();
        }
        self.receiver.connections.close(Disconnect::Shutdown);
        self.receiver.end();
    }
}

/// Pause before a command without an answer is repeated. It doubles each time, since most commands
/// without one are for connections that are nowhere.
const REPEATED_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use broker::Broker;

    use super::*;
    use crate::connection::Received;

    async fn next(connection: &mut Connection) -> String {
        let received = timeout(Duration::from_secs(10), connection.recv()).await;
        received.expect("a message in time").unwrap().arguments().get().to_owned()
    }

    #[tokio::test]
    async fn all_servers_receive_messages_in_one_order() {
        let broker = Broker::new();
        let (here, there) =
            (Backplane::embedded(&broker, "App"), Backplane::embedded(&broker, "App"));
        let (mut ann, mut bob) = (here.attach("a", None), there.attach("b", None));
        for number in 0..10 {
            let server = if number % 2 == 0 { &here } else { &there };
            server.send(Target::all(), Invocation::new("m", [number]).unwrap()).await.unwrap();
        }
        for number in 0..10 {
            assert_eq!(next(&mut ann).await, format!("[{number}]"));
            assert_eq!(next(&mut bob).await, format!("[{number}]"));
        }
    }

    #[tokio::test]
    async fn a_mark_follows_the_messages_up_to_its_place() {
        let broker = Broker::new();
        let (here, there) =
            (Backplane::embedded(&broker, "App"), Backplane::embedded(&broker, "App"));
        let mut ann = there.attach("a", None);
        for number in 0..10 {
            let invocation = || Invocation::new("m", [number]).unwrap();
            here.send_placed(Target::connection("b"), invocation()).await.unwrap();
            let place =
                here.send_placed(Target::connections(["b", "a"]), invocation()).await.unwrap();
            ann.mark_after(place);
            assert_eq!(next(&mut ann).await, format!("[{number}]"));
            let mark = timeout(Duration::from_secs(10), ann.recv_or_gap()).await;
            let mark = mark.expect("a mark in time").unwrap();
            assert!(matches!(mark, Received::Mark(reached) if reached == place), "{mark:?}");
        }
    }

    #[tokio::test]
    async fn a_send_may_run_on_any_thread() {
        fn is_send(_: impl Send) {}
        let backplane = Backplane::embedded(&Broker::new(), "App");
        is_send(backplane.send(Target::all(), Invocation::new("m", ()).unwrap()));
        is_send(Backplane::use_redis("127.0.0.1", 1, "", "App"));
    }

    #[tokio::test]
    async fn apps_receive_no_messages_of_other_apps() {
        let broker = Broker::new();
        let (chat, game) =
            (Backplane::embedded(&broker, "Chat"), Backplane::embedded(&broker, "Game"));
        let mut player = game.attach("p", None);
        chat.send(Target::all(), Invocation::new("m", ["chat"]).unwrap()).await.unwrap();
        game.send(Target::all(), Invocation::new("m", ["game"]).unwrap()).await.unwrap();
        assert_eq!(next(&mut player).await, r#"["game"]"#);
    }

    #[tokio::test]
    async fn a_foreign_payload_is_skipped() {
        let broker = Broker::new();
        let backplane = Backplane::embedded(&broker, "App");
        let mut ann = backplane.attach("a", None);
        broker.publish("App", "hello");
        backplane.send(Target::all(), Invocation::new("m", ["on"]).unwrap()).await.unwrap();
        assert_eq!(next(&mut ann).await, r#"["on"]"#);
    }

    #[tokio::test]
    async fn after_a_shutdown_nothing_is_sent_and_nothing_attached() {
        let broker = Broker::new();
        let backplane = Backplane::embedded(&broker, "App");
        backplane.clone().shutdown().await;
        assert_eq!(broker.subscriptions("App"), 0);
        let mut late = backplane.attach("late", None);
        assert_eq!(late.recv().await.unwrap_err(), Disconnect::Shutdown);
        let sent = backplane.send(Target::all(), Invocation::new("m", ()).unwrap()).await;
        assert!(matches!(sent.unwrap_err(), SendError::Disconnected { .. }));
        assert!(matches!(backplane.state(), State::Disconnected { .. }));
    }

    #[tokio::test]
    async fn connections_end_with_the_last_handle() {
        let backplane = Backplane::embedded(&Broker::new(), "App");
        let mut ann = backplane.attach("a", None);
        drop(backplane);
        assert_eq!(ann.recv().await.unwrap_err(), Disconnect::Shutdown);
    }

    #[tokio::test]
    async fn a_dropped_backplane_unsubscribes() {
        let broker = Broker::new();
        let backplane = Backplane::embedded(&broker, "App");
        drop(backplane);
        let unsubscribes = async {
            while broker.subscriptions("App") > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), unsubscribes).await.expect("it unsubscribes");
    }
}
