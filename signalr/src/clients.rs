//! Selects the clients that receive an invocation.
//!
//! Each invocation goes through the backplane. It reaches the clients of all servers, and all of
//! them receive invocations in the same order.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc};

use backplane::Target;

use crate::{
    recipients::{Links, Recipient, Recipients},
    sends::Sends,
};

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
///
/// `C` is the interface of the clients, such as one of `#[signalr::client]`, or `()` for clients
/// without an interface.
#[derive(Clone, Debug)]
pub struct Clients<C: TypedClient = ()> {
    links: Arc<Links>,
    /// Records the invocations that the results of a caller follow.
    sends: Option<Arc<Sends>>,
    interface: PhantomData<fn() -> C>,
}

impl<C: TypedClient> Clients<C> {
    pub(crate) fn new(links: Arc<Links>) -> Self {
        Self { links, sends: None, interface: PhantomData }
    }

    /// Returns the same clients with an interface, such as one of `#[signalr::client]`.
    ///
    /// # Examples
    ///
    /// See [`TypedClient`].
    #[must_use]
    pub fn typed<D: TypedClient>(&self) -> Clients<D> {
        let (links, sends) = (self.links.clone(), self.sends.clone());
        Clients { links, sends, interface: PhantomData }
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
    pub fn all(&self) -> C::Recipients {
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
    /// #     hub.on_connected(|caller: signalr::Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().all_except(["AAAAAAAAAAAAAAAAAAAAAA"]).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn all_except<T: Into<String>>(&self, ids: impl IntoIterator<Item = T>) -> C::Recipients {
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
    /// #     hub.on_connected(|caller: signalr::Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().group("lobby").invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn group(&self, group: impl Into<String>) -> C::Recipients {
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
    /// #     hub.on_connected(|caller: signalr::Caller| async move { Ok(caller.groups().add("lobby").await?) })
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
    ) -> C::Recipients {
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
    pub fn user(&self, user: impl Into<String>) -> C::Recipients {
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
    /// #     hub.on_connected(|caller: signalr::Caller| async move { Ok(caller.groups().add("lobby").await?) })
    /// #         .method("Id", |caller: signalr::Caller, ()| async move { Ok(caller.connection_id().to_owned()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # let id = client.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().connection(&id).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn connection(&self, connection_id: impl Into<String>) -> C::Recipient {
        let connection_id = connection_id.into();
        let recipients = self.untyped(Target::connection(&connection_id));
        Recipient::new(recipients, connection_id).into()
    }

    /// Returns several groups. A connection in two of them receives an invocation twice.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = TestServer::start(|hub| {
    /// #     hub.on_connected(|caller: signalr::Caller| async move { Ok(caller.groups().add("red").await?) })
    /// #         .method("Wait", |(): ()| async { Ok(()) })
    /// # });
    /// # let mut client = server.connect().await;
    /// # client.call("Wait", json!([])).await;
    /// # let hub = &server.hub;
    /// hub.clients().groups(["red", "blue"]).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn groups<T: Into<String>>(&self, groups: impl IntoIterator<Item = T>) -> C::Recipients {
        self.recipients(Target::groups(groups))
    }

    /// Returns all connections of several users.
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
    /// hub.clients().users(["ann", "bob"]).invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn users<T: Into<String>>(&self, users: impl IntoIterator<Item = T>) -> C::Recipients {
        self.recipients(Target::users(users))
    }

    /// Returns several connections, on any servers.
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
    /// # let (mut first, mut second) = (server.connect().await, server.connect().await);
    /// # let ann = first.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let bob = second.call("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    /// # let hub = &server.hub;
    /// hub.clients().connections([ann, bob]).invoke("news", ("hello",)).await?;
    /// # assert_eq!(first.receive().await["target"], "news");
    /// # assert_eq!(second.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    pub fn connections<T: Into<String>>(&self, ids: impl IntoIterator<Item = T>) -> C::Recipients {
        self.recipients(Target::connections(ids))
    }

    fn recipients(&self, target: Target) -> C::Recipients {
        self.untyped(target).into()
    }

    fn untyped(&self, target: Target) -> Recipients {
        Recipients::new(self.links.clone(), target, self.sends.clone())
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
pub struct CallerClients<C: TypedClient = ()> {
    clients: Clients<C>,
    connection_id: Arc<str>,
}

impl<C: TypedClient> CallerClients<C> {
    pub(crate) fn new(links: Arc<Links>, connection_id: Arc<str>, sends: Arc<Sends>) -> Self {
        let clients = Clients { links, sends: Some(sends), interface: PhantomData };
        Self { clients, connection_id }
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
    pub fn caller(&self) -> C::Recipient {
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
    pub fn others(&self) -> C::Recipients {
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
    pub fn others_in_group(&self, group: impl Into<String>) -> C::Recipients {
        self.unrecorded().group_except(group, [&*self.connection_id])
    }

    /// Returns the clients for an invocation that does not reach the caller. Results need not wait
    /// for it.
    fn unrecorded(&self) -> Clients<C> {
        Clients::new(self.clients.links.clone())
    }
}

impl<C: TypedClient> Deref for CallerClients<C> {
    type Target = Clients<C>;

    fn deref(&self) -> &Clients<C> {
        &self.clients
    }
}

/// An interface of clients: the methods that a hub can invoke at them.
///
/// `#[signalr::client]` implements it. Clients without an interface have the type `()`,
/// and are invoked by the name of a method.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use signalr::{InvokeError, Recipient, Recipients, TypedClient};
///
/// #[derive(Clone, Debug)]
/// struct News;
///
/// struct Readers(Recipients);
///
/// impl Readers {
///     async fn read(self, text: &str) -> Result<(), InvokeError> {
///         self.0.invoke("read", (text,)).await
///     }
/// }
///
/// impl From<Recipients> for Readers {
///     fn from(recipients: Recipients) -> Self {
///         Self(recipients)
///     }
/// }
///
/// impl TypedClient for News {
///     type Recipients = Readers;
///     type Recipient = Recipient;
/// }
///
/// # let server = TestServer::start(|hub| hub);
/// # let mut client = server.connect().await;
/// # let hub = &server.hub;
/// hub.clients().typed::<News>().all().read("hello").await?;
/// # assert_eq!(client.receive().await["arguments"], json!(["hello"]));
/// # Ok(()) }
/// ```
pub trait TypedClient: Clone + fmt::Debug + Send + Sync + 'static {
    /// The clients that receive one invocation.
    type Recipients: From<Recipients> + Send;
    /// One client, which can also return results.
    type Recipient: From<Recipient> + Send;
}

impl TypedClient for () {
    type Recipients = Recipients;
    type Recipient = Recipient;
}
