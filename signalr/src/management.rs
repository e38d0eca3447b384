//! Groups, presence and connections of a hub, for code outside of its methods.
//!
//! The connections may be on any server. A change waits until the server that has the connection
//! confirms it.

use backplane::{Answers, AskError, Backplane, GroupError, Presence, Target};

use crate::hub::Hub;

impl Hub {
    /// Returns the groups of the hub, to which connections of any server can be added.
    ///
    /// # Examples
    ///
    /// See [`HubGroups`].
    #[must_use]
    pub fn groups(&self) -> HubGroups {
        HubGroups { backplane: self.backplane().clone() }
    }

    /// Returns the members of groups and the users that are online, on all servers.
    ///
    /// The backplane must have [`Builder::presence`](backplane::Builder::presence), else nobody is
    /// there.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, PresenceChange};
    ///
    /// let builder = Backplane::builder("ChatApp").presence(["*"]);
    /// let hub = signalr::Hub::new("ChatHub", builder.embedded(&broker::Broker::new())?);
    /// let presence = hub.presence();
    /// assert_eq!(presence.count("red").users, 0);
    /// let mut watch = presence.watch("red");
    /// assert_eq!(watch.recv().await, Some(PresenceChange::Reset(Vec::new())));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.backplane().presence()
    }

    /// Ends connections of all servers, and tells their clients the reason: in a Close message that
    /// forbids to reconnect, or in SignalR 2's error. Returns how many each server has ended.
    ///
    /// The backplane must have
    /// [`Builder::server_channel`](backplane::Builder::server_channel) on each server.
    ///
    /// # Errors
    ///
    /// Returns an error if the servers cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connections may or may not end.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use backplane::{Backplane, Target};
    ///
    /// let builder = Backplane::builder("ChatApp").server_channel(true);
    /// let hub = signalr::Hub::new("ChatHub", builder.embedded(&broker::Broker::new())?);
    /// let ended = hub.disconnect(Target::user("ann"), "signed out").await?;
    /// assert_eq!(ended.received[0].1, 0);
    /// # Ok(()) }
    /// ```
    pub async fn disconnect(
        &self,
        target: Target,
        reason: &str,
    ) -> Result<Answers<usize>, AskError> {
        self.backplane().disconnect(target, reason).await
    }

    /// Returns a connection of any server.
    ///
    /// # Examples
    ///
    /// See [`HubConnection`].
    #[must_use]
    pub fn connection(&self, id: impl Into<String>) -> HubConnection {
        HubConnection { backplane: self.backplane().clone(), id: id.into() }
    }
}

/// Adds connections of a hub to groups and removes them, from outside of its methods.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| {
/// #     hub.method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
/// # });
/// # let mut client = server.connect().await;
/// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
/// # let hub = &server.hub;
/// hub.groups().add(&id, "red").await?;
/// hub.clients().group("red").invoke("welcome", ()).await?;
/// # assert_eq!(client.receive().await["target"], "welcome");
/// hub.groups().remove(&id, "red").await?;
/// # hub.clients().group("red").invoke("welcome", ()).await?;
/// # hub.clients().all().invoke("end", ()).await?;
/// # assert_eq!(client.receive().await["target"], "end");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HubGroups {
    backplane: Backplane,
}

impl HubGroups {
    /// Adds a connection to a group. It receives each later invocation for the group.
    ///
    /// The group does not count towards [`Options::groups_max`](crate::Options::groups_max), which
    /// limits the calls of clients.
    ///
    /// # Errors
    ///
    /// Returns an error if no server has the connection, or if its server does not confirm the
    /// change.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection may or may not be in the group.
    ///
    /// # Examples
    ///
    /// See [`HubGroups`].
    pub async fn add(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.backplane.join(connection_id, group).await
    }

    /// Removes a connection from a group.
    ///
    /// # Errors
    ///
    /// Returns an error if no server has the connection, or if its server does not confirm the
    /// change.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection may or may not be in the group.
    ///
    /// # Examples
    ///
    /// See [`HubGroups`].
    pub async fn remove(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.backplane.leave(connection_id, group).await
    }
}

/// One connection of a hub, on any server.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| {
/// #     hub.method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
/// # });
/// # let mut client = server.connect().await;
/// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
/// # let hub = &server.hub;
/// hub.connection(id).abort().await?;
/// # assert_eq!(client.receive().await, json!({"type": 7}));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HubConnection {
    backplane: Backplane,
    id: String,
}

impl HubConnection {
    /// Ends the connection. The client does not reconnect by itself.
    ///
    /// # Errors
    ///
    /// Returns an error if no server has the connection, or if its server does not confirm the end.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connection may or may not end.
    ///
    /// # Examples
    ///
    /// See [`HubConnection`].
    pub async fn abort(&self) -> Result<(), GroupError> {
        self.backplane.abort(&self.id).await
    }
}
