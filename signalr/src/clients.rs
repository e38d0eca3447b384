//! Selects the clients that receive an invocation.
//!
//! Each invocation goes through the backplane. It reaches the clients of all servers, and all of
//! them receive invocations in the same order.

use std::{ops::Deref, sync::Arc, time::Duration};

use backplane::{Backplane, Cursor, Invocation, InvocationError, SendError, Target};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use crate::results::{AskError, Askers};

/// The clients of a hub, on all servers.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
///
/// use std::time::Duration;
///
/// let clients = hub.clients();
/// let news = tokio::spawn(async move {
///     for number in 1..=3 {
///         clients.all().invoke("news", (number,)).await?;
///         tokio::time::sleep(Duration::from_millis(1)).await;
///     }
///     Ok::<_, signalr::InvokeError>(())
/// });
/// # for number in 1..=3 {
/// #     assert_eq!(client.receive().await["arguments"], json!([number]));
/// # }
/// # news.await??;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Clients {
    links: Links,
    /// Records the invocations that the results of a caller follow.
    last_sent: Option<Arc<LastSent>>,
}

/// What reaches the clients of a hub: all of them, and those of this server.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) backplane: Backplane,
    pub(crate) askers: Arc<Askers>,
    pub(crate) result_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) groups_max: usize,
}

impl Clients {
    pub(crate) fn new(links: Links) -> Self {
        Self { links, last_sent: None }
    }

    /// Returns all clients.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| hub);
    /// # let mut client = server.connect().await;
    /// # let hub = &server.hub;
    /// hub.clients().all().invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn all(&self) -> Recipients {
        self.recipients(Target::all())
    }

    /// Returns all clients except these connections.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().all_except(["AAAAAAAAAAAAAAAAAAAAAA"]).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn all_except<T: Into<String>>(&self, ids: impl IntoIterator<Item = T>) -> Recipients {
        self.recipients(Target::all().except(ids))
    }

    /// Returns all connections in a group.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().group("lobby").invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn group(&self, group: impl Into<String>) -> Recipients {
        self.recipients(Target::group(group))
    }

    /// Returns all connections in a group except these.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// let quiet = ["AAAAAAAAAAAAAAAAAAAAAA"];
    /// hub.clients().group_except("lobby", quiet).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn group_except<T: Into<String>>(
        &self,
        group: impl Into<String>,
        ids: impl IntoIterator<Item = T>,
    ) -> Recipients {
        self.recipients(Target::group(group).except(ids))
    }

    /// Returns all connections of a user.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| hub.user_id(|_| Some("ann".to_owned())));
    /// # let mut client = server.connect().await;
    /// # let hub = &server.hub;
    /// hub.clients().user("ann").invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn user(&self, user: impl Into<String>) -> Recipients {
        self.recipients(Target::user(user))
    }

    /// Returns one connection, on any server.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().connection(&id).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn connection(&self, connection_id: impl Into<String>) -> Recipient {
        let connection_id = connection_id.into();
        Recipient { recipients: self.recipients(Target::connection(&connection_id)), connection_id }
    }

    fn recipients(&self, target: Target) -> Recipients {
        Recipients { links: self.links.clone(), target, last_sent: self.last_sent.clone() }
    }
}

/// The clients of a hub from the caller's point of view: [`Clients`], the caller and the others.
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
///     .on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
///     .method("Send", |caller: Caller, (text,): (String,)| async move {
///         caller.clients().others().invoke("message", (text,)).await?;
///         caller.clients().caller().invoke("sent", ()).await?;
///         Ok(())
///     });
/// # let server = TestServer::serve(hub, backplane);
/// # let (mut ann, mut bob) = (server.connect().await, server.connect().await);
/// # bob.call("Wait", json!([])).await;
/// # ann.send(r#"{"type":1,"target":"Send","arguments":["hi"]}"#).await;
/// # assert_eq!(ann.receive().await["target"], "sent");
/// # assert_eq!(bob.receive().await["target"], "message");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CallerClients {
    clients: Clients,
    connection_id: Arc<str>,
}

impl CallerClients {
    pub(crate) fn new(links: Links, connection_id: Arc<str>, last_sent: Arc<LastSent>) -> Self {
        Self { clients: Clients { links, last_sent: Some(last_sent) }, connection_id }
    }

    /// Returns the caller.
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
    ///     .on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    ///     .method("Send", |caller: Caller, (text,): (String,)| async move {
    ///         caller.clients().caller().invoke("sent", (text,)).await?;
    ///         Ok(())
    ///     });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    /// # bob.call("Wait", json!([])).await;
    /// # ann.send(r#"{"type":1,"target":"Send","arguments":["hi"]}"#).await;
    /// # assert_eq!(ann.receive().await["target"], "sent");
    /// # Ok(()) }
    /// ```
    pub fn caller(&self) -> Recipient {
        self.connection(&*self.connection_id)
    }

    /// Returns all clients except the caller.
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
    ///     .on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    ///     .method("Send", |caller: Caller, (text,): (String,)| async move {
    ///         caller.clients().others().invoke("message", (text,)).await?;
    ///         Ok(())
    ///     });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    /// # bob.call("Wait", json!([])).await;
    /// # ann.send(r#"{"type":1,"target":"Send","arguments":["hi"]}"#).await;
    /// # assert_eq!(bob.receive().await["target"], "message");
    /// # Ok(()) }
    /// ```
    pub fn others(&self) -> Recipients {
        self.unrecorded().all_except([&*self.connection_id])
    }

    /// Returns all connections in a group except the caller.
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
    ///     .on_connected(|caller: Caller| async move { Ok(caller.groups().add("lobby").await?) })
    ///     .method("Send", |caller: Caller, (text,): (String,)| async move {
    ///         caller.clients().others_in_group("lobby").invoke("message", (text,)).await?;
    ///         Ok(())
    ///     });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let (mut ann, mut bob) = (server.connect().await, server.connect().await);
    /// # bob.call("Wait", json!([])).await;
    /// # ann.send(r#"{"type":1,"target":"Send","arguments":["hi"]}"#).await;
    /// # assert_eq!(bob.receive().await["target"], "message");
    /// # Ok(()) }
    /// ```
    pub fn others_in_group(&self, group: impl Into<String>) -> Recipients {
        self.unrecorded().group_except(group, [&*self.connection_id])
    }

    /// Returns the clients for an invocation that does not reach the caller. Results need not wait
    /// for it.
    fn unrecorded(&self) -> Clients {
        Clients::new(self.clients.links.clone())
    }
}

impl Deref for CallerClients {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

/// The clients that receive one invocation.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
///
/// let everyone = hub.clients().all();
/// everyone.clone().invoke("news", ("one",)).await?;
/// everyone.invoke("news", ("two",)).await?;
/// # assert_eq!(client.receive().await["arguments"], json!(["one"]));
/// # assert_eq!(client.receive().await["arguments"], json!(["two"]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before invoke"]
pub struct Recipients {
    links: Links,
    target: Target,
    last_sent: Option<Arc<LastSent>>,
}

impl Recipients {
    /// Invokes a method of the clients. The arguments are a tuple or a `Vec`, or `()` for none.
    ///
    /// Returns after the backplane has accepted the invocation. Clients send no result.
    ///
    /// Arguments travel as JSON, which has no form for NaN and infinity. Such a number arrives as
    /// `null`.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments do not serialize to a JSON array, or if the backplane does
    /// not accept the invocation.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| hub);
    /// # let mut client = server.connect().await;
    /// # let hub = &server.hub;
    ///
    /// hub.clients().all().invoke("moved", ("rook", 3, 7)).await?;
    /// # assert_eq!(client.receive().await["arguments"], json!(["rook", 3, 7]));
    /// # Ok(()) }
    /// ```
    pub async fn invoke(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<(), InvokeError> {
        let invocation = Invocation::new(method, arguments)?;
        let place = self.links.backplane.send_placed(self.target, invocation).await?;
        if let Some(last_sent) = &self.last_sent {
            last_sent.raise(place);
        }
        Ok(())
    }
}

/// One client, which can also return a result.
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
/// let hub = Hub::new("ChatHub", backplane.clone()).method("Delete", |caller: Caller, ()| async move {
///     let is_sure: bool =
///         caller.clients().caller().invoke_with_result("confirm", ("Really?",)).await?;
///     Ok(if is_sure { "deleted" } else { "kept" })
/// });
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client.send(r#"{"type":1,"invocationId":"1","target":"Delete","arguments":[]}"#).await;
/// # let question = client.receive().await;
/// # assert_eq!(question["arguments"], json!(["Really?"]));
/// # let id = &question["invocationId"];
/// # client.send(json!({"type": 3, "invocationId": id, "result": true}).to_string()).await;
/// # assert_eq!(client.receive().await["result"], "deleted");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before invoke"]
pub struct Recipient {
    recipients: Recipients,
    connection_id: String,
}

impl Recipient {
    /// Invokes a method of the client, as [`Recipients::invoke`].
    ///
    /// If the client is connected to this server and reads too slowly, waits until it has read
    /// some messages, at most for [`Options::write_timeout`](crate::Options::write_timeout).
    ///
    /// # Errors
    ///
    /// As [`Recipients::invoke`].
    ///
    /// # Examples
    ///
    /// See [`Clients::connection`].
    pub async fn invoke(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<(), InvokeError> {
        if let Some(asker) = self.recipients.links.askers.find(&self.connection_id) {
            asker.has_room(self.recipients.links.write_timeout).await;
        }
        self.recipients.invoke(method, arguments).await
    }

    /// Invokes a method of the client and waits for its result.
    ///
    /// The client must be connected to this server. The wait is at most
    /// [`Options::result_timeout`](crate::Options::result_timeout).
    ///
    /// # Errors
    ///
    /// Returns an error if the client is not connected to this server, leaves, does not answer in
    /// time, answers with an error, or returns a value of another type.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the client may still run its method. Its result is ignored.
    ///
    /// # Examples
    ///
    /// See [`Recipient`].
    pub async fn invoke_with_result<R: DeserializeOwned>(
        self,
        method: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<R, InvokeError> {
        let Recipients { links, last_sent, .. } = self.recipients;
        let invocation = Invocation::new(method, arguments)?;
        let asker = links.askers.find(&self.connection_id).ok_or(InvokeError::NotConnected)?;
        let after = last_sent.and_then(|last_sent| last_sent.get());
        let result = match asker.ask(&invocation, after, links.result_timeout).await {
            Ok(result) => result,
            Err(AskError::Ended) => return Err(InvokeError::NotConnected),
            Err(AskError::TimedOut) => return Err(InvokeError::NoResult),
            Err(AskError::Client(error)) => return Err(InvokeError::Client(error)),
        };
        match result {
            Some(result) => result.as_raw().read(),
            // A client's method without a result returns null.
            None => serde_json::from_str("null").ok(),
        }
        .ok_or(InvokeError::ResultType)
    }
}

/// The place of the last invocation that the methods of one connection have sent.
#[derive(Debug, Default)]
pub(crate) struct LastSent(Mutex<Option<Cursor>>);

impl LastSent {
    pub(crate) fn get(&self) -> Option<Cursor> {
        *self.0.lock()
    }

    fn raise(&self, place: Cursor) {
        let mut last = self.0.lock();
        *last = (*last).max(Some(place));
    }
}

/// The reason why an invocation was not sent.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
///
/// use signalr::InvokeError;
///
/// let refused = hub.clients().all().invoke("news", "no array").await;
/// assert!(matches!(refused, Err(InvokeError::Arguments(_))));
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The arguments do not serialize to a JSON array.
    #[error(transparent)]
    Arguments(#[from] InvocationError),
    /// The backplane did not accept the invocation.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The client that was asked for a result is not connected to this server, or left.
    #[error("the client is not connected to this server")]
    NotConnected,
    /// The client did not return a result in time.
    #[error("the client returned no result in time")]
    NoResult,
    /// The client returned an error.
    #[error("{0}")]
    Client(String),
    /// The client's result has another type.
    #[error("the client's result has another type")]
    ResultType,
}
