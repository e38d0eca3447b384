//! The caller of a hub method.
//!
//! A method reads the caller's ids, invokes methods of clients, changes the caller's groups, or
//! ends its connection. All of it goes through the backplane, so it works across servers.

use std::{
    marker::PhantomData,
    sync::{Arc, OnceLock},
};

use backplane::{Cursor, GroupError};
use tokio::runtime::Handle;
use tracing::{Instrument, warn};

use crate::{
    clients::{CallerClients, TypedClient},
    close_handle::CloseHandle,
    disconnect::Disconnect,
    hub_state::HubState,
    peer::Peer,
    recipients::Links,
    sends::Sends,
};

/// The connection that a hub method runs for.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Caller, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone())
///     .method("Greet", |caller: Caller, ()| async move {
///         Ok(format!("hello {}", caller.connection_id()))
///     });
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # let greeting = client.call("Greet", json!([])).await;
/// # assert!(greeting["result"].as_str().unwrap().starts_with("hello "));
/// # Ok(()) }
/// ```
///
/// `C` is the interface of the hub's clients, as in [`Clients`](crate::Clients).
#[derive(Clone, Debug)]
pub struct Caller<C: TypedClient = ()> {
    peer: Arc<Peer>,
    links: Arc<Links>,
    close_handle: Arc<CloseHandle>,
    sends: Arc<Sends>,
    /// Created by its first use, unless a client has sent it.
    state: OnceLock<HubState>,
    interface: PhantomData<fn() -> C>,
}

impl Caller {
    pub(crate) fn new(peer: Arc<Peer>, links: Arc<Links>, close_handle: Arc<CloseHandle>) -> Self {
        let (sends, state) = (Sends::new(), OnceLock::new());
        Self { peer, links, close_handle, sends, state, interface: PhantomData }
    }
}

impl<C: TypedClient> Caller<C> {
    /// Returns the same caller with an interface of the clients.
    pub(crate) fn typed<D: TypedClient>(&self) -> Caller<D> {
        let Self { peer, links, close_handle, sends, state, .. } = self.clone();
        Caller { peer, links, close_handle, sends, state, interface: PhantomData }
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the caller of one call, which has a state of its own.
    pub(crate) fn with_state(&self, state: HubState) -> Self {
        Self { state: state.into(), ..self.clone() }
    }

    /// Returns the place of the last invocation that the caller's methods have sent.
    pub(crate) fn last_sent(&self) -> Option<Cursor> {
        self.sends.last()
    }

    /// Returns the caller of one call and its sends, which do not wait for the broker.
    pub(crate) fn of_call(&self) -> (Self, Arc<Sends>) {
        let sends = self.sends.of_call();
        (Self { sends: Arc::clone(&sends), ..self.clone() }, sends)
    }

    /// Returns the id of the connection, which other clients may see.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("Id", |caller: Caller, ()| async move {
    ///         Ok(caller.connection_id().to_owned())
    ///     });
    /// # let id = TestServer::serve(hub, backplane).connect().await.call("Id", json!([])).await;
    /// # assert_eq!(id["result"].as_str().unwrap().len(), 22);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn connection_id(&self) -> &str {
        &self.peer.connection_id
    }

    /// Returns the user that the hub's [`user_id`](crate::Hub::user_id) gave the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .user_id(|request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()))
    ///     .method("Me", |caller: Caller, ()| async move { Ok(caller.user().map(str::to_owned)) });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut client = server.connect_with(&[("x-user", "ann")]).await;
    /// # assert_eq!(client.call("Me", json!([])).await, json!({"result": "ann"}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.peer.user_id.as_deref()
    }

    /// Returns the clients of the hub, from the caller's point of view.
    ///
    /// The result of a method reaches the caller after the invocations that the method sent here.
    /// [`Hub::clients`](crate::Hub::clients) has no caller, so results do not wait for its
    /// invocations.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("Echo", |caller: Caller, (text,): (String,)| async move {
    ///         caller.clients().caller().invoke("echo", (text,)).await?;
    ///         Ok(())
    ///     });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # client.send(r#"{"type":1,"target":"Echo","arguments":["hi"]}"#).await;
    /// # assert_eq!(client.receive().await["target"], "echo");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn clients(&self) -> CallerClients<C> {
        let connection_id = Arc::clone(&self.peer.connection_id);
        CallerClients::new(self.links.clone(), connection_id, Arc::clone(&self.sends))
    }

    /// Returns the groups that the connection can join and leave.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("Join", |caller: Caller, (room,): (String,)| async move {
    ///         caller.groups().add(&room).await?;
    ///         Ok(())
    ///     });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Join", json!(["lobby"])).await, json!({"result": null}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        Groups { peer: &self.peer, links: &self.links }
    }

    /// Returns the state that a client of SignalR 2 sent with the call. Other clients send none.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("Name", |caller: Caller, ()| async move {
    ///         Ok(caller.state().get::<String>("name"))
    ///     });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Name", json!([])).await, json!({"result": null}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn state(&self) -> &HubState {
        self.state.get_or_init(HubState::default)
    }

    /// Ends the connection after the running method and the invocations that it has sent to the
    /// caller. The client receives no result of this method, and does not reconnect by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("LogOut", |caller: Caller, ()| async move {
    ///         caller.abort();
    ///         Ok(())
    ///     });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # client.send(r#"{"type":1,"target":"LogOut","arguments":[]}"#).await;
    /// # assert_eq!(client.receive().await, json!({"type": 7}));
    /// # Ok(()) }
    /// ```
    pub fn abort(&self) {
        if matches!(self.close_handle.reason(), Some(Disconnect::Moved)) {
            self.abort_elsewhere();
        }
        self.close_handle.close(Disconnect::Aborted);
    }

    /// Ends a connection that another server has taken. The caller is one of an earlier call.
    fn abort_elsewhere(&self) {
        // Outside of a runtime, the process ends.
        let Ok(runtime) = Handle::try_current() else { return };
        let (backplane, id) = (self.links.backplane.clone(), Arc::clone(&self.peer.connection_id));
        let aborting = async move {
            if let Err(error) = backplane.abort(&id).await {
                warn!(connection = &*id, %error, "could not abort a connection on another server");
            }
        };
        runtime.spawn(aborting.in_current_span());
    }

    /// Returns whether the application has aborted the connection.
    pub(crate) fn is_aborted(&self) -> bool {
        matches!(self.close_handle.reason(), Some(Disconnect::Aborted))
    }
}

/// Adds one connection to groups and removes it.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{Caller, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method(
///     "Move",
///     |caller: Caller, (from, to): (String, String)| async move {
///         let groups = caller.groups();
///         groups.remove(&from).await?;
///         groups.add(&to).await?;
///         Ok(())
///     },
/// );
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # assert_eq!(client.call("Move", json!(["lobby", "garden"])).await, json!({"result": null}));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    peer: &'a Peer,
    links: &'a Links,
}

impl Groups<'_> {
    /// Adds the connection to a group. It receives each later invocation for the group.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended, the backplane does not confirm the change, or
    /// the connection would have more groups than [`Options::groups_max`](crate::Options::groups_max).
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).on_connected(|caller: Caller| async move {
    ///     caller.groups().add("lobby").await?;
    ///     Ok(())
    /// });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut client = server.connect().await;
    /// # client.call("Wait", json!([])).await;
    /// # server.hub.clients().group("lobby").invoke("news", ()).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub async fn add(&self, group: &str) -> Result<(), JoinError> {
        let Self { peer, links } = self;
        if !peer.enter(group, links.groups_max) {
            return Err(JoinError::TooManyGroups(links.groups_max));
        }
        Ok(links.backplane.join(&peer.connection_id, group).await?)
    }

    /// Removes the connection from a group.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection has ended or the backplane does not confirm the change.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .method("Leave", |caller: Caller, (room,): (String,)| async move {
    ///         caller.groups().remove(&room).await?;
    ///         Ok(())
    ///     });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Leave", json!(["lobby"])).await, json!({"result": null}));
    /// # Ok(()) }
    /// ```
    pub async fn remove(&self, group: &str) -> Result<(), GroupError> {
        let Self { peer, links } = self;
        peer.leave(group);
        links.backplane.leave(&peer.connection_id, group).await
    }
}

/// The reason why a connection is not in a group.
///
/// # Examples
///
/// ```
/// let error = signalr::JoinError::TooManyGroups(1_000);
/// assert_eq!(error.to_string(), "the connection is in 1000 groups already");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The connection has as many groups as it may have.
    #[error("the connection is in {0} groups already")]
    TooManyGroups(usize),
    /// The backplane did not confirm the change.
    #[error(transparent)]
    Backplane(#[from] GroupError),
}
