//! The backplane itself: local connections on one side, the bus on the other.

use std::sync::Arc;

use broker::Broker;
use tokio::sync::watch;

use crate::bus::{Bus, ConnectError, SendError};
use crate::connections::{Connection, Connections, Disconnect, GroupError};
use crate::envelope;
use crate::invocation::Invocation;
use crate::receiver::Receiver;
use crate::state::State;
use crate::target::Target;

/// Makes this server and all others of the same app act as one.
///
/// Cloning gives another handle to the same backplane. It ends with the last one, and then its
/// connections get [`Disconnect::Shutdown`].
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
}

#[derive(Debug)]
struct Inner {
    app_name: String,
    connections: Arc<Connections>,
    bus: Bus,
}

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
    /// # let config = broker::Config { port: 0, ..Default::default() };
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
        Self::connected(Bus::redis(server, port, password, app_name), app_name).await
    }

    /// Connects to the server of a URL such as `redis://user:password@host:6379`.
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
        Self::connected(Bus::from_url(url, app_name)?, app_name).await
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
        Ok(Self::over(Bus::from_url(url, app_name)?, app_name))
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
        Self::over(Bus::embedded(broker, app_name), app_name)
    }

    fn over(bus: Bus, app_name: &str) -> Self {
        let connections = Arc::new(Connections::default());
        bus.start(Receiver::new(connections.clone()));
        Self { inner: Arc::new(Inner { app_name: app_name.to_owned(), connections, bus }) }
    }

    /// Waits for the outcome of the first attempt.
    async fn connected(bus: Bus, app_name: &str) -> Result<Self, ConnectError> {
        let backplane = Self::over(bus, app_name);
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

    /// Returns the name of the app, which is that of the channel.
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

    /// Attaches a connection of this server. Ids are unique among all servers; one that is
    /// attached under the same id here is closed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let connection = backplane.attach("c1", Some("ann"));
    /// assert_eq!((connection.id(), connection.user()), ("c1", Some("ann")));
    /// # }
    /// ```
    pub fn attach(&self, connection_id: &str, user: Option<&str>) -> Connection {
        self.inner.connections.attach(connection_id, user)
    }

    /// Sends an invocation to connections of all servers.
    ///
    /// Returns when the broker has it. Connections here get it through the broker as well, so that
    /// all see one order. While the broker is away it waits for a few seconds.
    ///
    /// # Errors
    ///
    /// [`SendError`] when the broker did not take it. After a connection was lost in the middle it
    /// is not known whether it did, and it is not sent again, since twice is worse.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have sent it or not.
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
        self.inner.bus.publish(envelope::write(&target, &invocation)).await
    }

    /// Puts a connection into a group. Effective when it returns.
    ///
    /// # Errors
    ///
    /// [`GroupError`] when no such connection is attached here.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::GroupError> {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let _ann = backplane.attach("c1", None);
    /// backplane.join("c1", "room").await?;
    /// # Ok(()) }
    /// ```
    #[allow(
        clippy::unused_async,
        reason = "connections of other servers will be asked over the bus"
    )]
    pub async fn join(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.inner.connections.join(connection_id, group)
    }

    /// Takes a connection out of a group. Effective when it returns.
    ///
    /// # Errors
    ///
    /// [`GroupError`] when no such connection is attached here.
    ///
    /// # Cancel safety
    ///
    /// Never waits, so it cannot be cancelled in the middle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backplane::GroupError> {
    /// let backplane = backplane::Backplane::embedded(&broker::Broker::new(), "ChatApp");
    /// let _ann = backplane.attach("c1", None);
    /// backplane.join("c1", "room").await?;
    /// backplane.leave("c1", "room").await?;
    /// # Ok(()) }
    /// ```
    #[allow(
        clippy::unused_async,
        reason = "connections of other servers will be asked over the bus"
    )]
    pub async fn leave(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.inner.connections.leave(connection_id, group)
    }

    /// Returns whether the other servers are reached now.
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

    /// Returns a signal that follows [`state`](Self::state).
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
        self.inner.bus.state_changes()
    }

    /// Ends all connections with [`Disconnect::Shutdown`], and the subscription with them.
    ///
    /// It ends for all handles: what is sent afterwards is an error, and a connection that is
    /// attached afterwards ends at once.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has ended the subscription, but not the connections.
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
        self.inner.bus.stop().await;
        self.inner.connections.close(Disconnect::Shutdown);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connections.close(Disconnect::Shutdown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(connection: &mut Connection) -> String {
        connection.recv().await.unwrap().arguments().get().to_owned()
    }

    #[tokio::test]
    async fn all_servers_get_what_one_sends_in_one_order() {
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
    async fn a_send_may_run_on_any_thread() {
        fn is_send(_: impl Send) {}
        let backplane = Backplane::embedded(&Broker::new(), "App");
        is_send(backplane.send(Target::all(), Invocation::new("m", ()).unwrap()));
        is_send(Backplane::use_redis("127.0.0.1", 1, "", "App"));
    }

    #[tokio::test]
    async fn apps_do_not_hear_each_other() {
        let broker = Broker::new();
        let (chat, game) =
            (Backplane::embedded(&broker, "Chat"), Backplane::embedded(&broker, "Game"));
        let mut player = game.attach("p", None);
        chat.send(Target::all(), Invocation::new("m", ["chat"]).unwrap()).await.unwrap();
        game.send(Target::all(), Invocation::new("m", ["game"]).unwrap()).await.unwrap();
        assert_eq!(next(&mut player).await, r#"["game"]"#);
    }

    #[tokio::test]
    async fn a_payload_of_somebody_else_is_skipped() {
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
    async fn nothing_is_left_of_a_dropped_backplane() {
        let broker = Broker::new();
        let backplane = Backplane::embedded(&broker, "App");
        drop(backplane);
        while broker.subscriptions("App") > 0 {
            tokio::task::yield_now().await;
        }
    }
}
