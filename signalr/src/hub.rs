//! The hub: the methods and hooks of the application, with the state that its connections share.
//!
//! All clones of a hub share this state. The look-up of a method ignores case, since clients in
//! other languages follow other conventions.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use axum::http::request::Parts;
use backplane::Backplane;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    arguments::{Arguments, BindError},
    caller::Caller,
    clients::Clients,
    error::HubError,
    negotiated::Negotiated,
    options::Options,
};

/// The methods that clients call, on one backplane. Clones serve the same connections.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use signalr::{Caller, Hub};
///
/// # let backplane = backplane();
/// let hub = Hub::new("ChatHub", backplane.clone()).method(
///     "Send",
///     |caller: Caller, (name, message): (String, String)| async move {
///         caller.clients().all().invoke("broadcastMessage", (name, message)).await?;
///         Ok(())
///     },
/// );
/// let app: Router = Router::new().merge(hub.router("/chatHub"));
/// # let mut client = TestServer::serve(hub, backplane).connect().await;
/// # client.send(r#"{"type":1,"target":"Send","arguments":["ann", "hi"]}"#).await;
/// # assert_eq!(client.receive().await["arguments"], json!(["ann", "hi"]));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub {
    backplane: Backplane,
    /// By name in lower case.
    methods: HashMap<String, Method>,
    on_connected: Option<OnConnected>,
    on_disconnected: Option<OnDisconnected>,
    user_id: Option<UserId>,
    options: Options,
    negotiated: Negotiated,
    stopping: CancellationToken,
    sessions: TaskTracker,
}

impl Hub {
    /// Creates a hub without methods.
    ///
    /// Hubs with different names on one backplane are separate: each has its own clients, groups
    /// and users. Servers of one app serve the same hub under the same name. For servers of
    /// SignalR 2, that is the name of its class. A name has no dot.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::Hub;
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone());
    /// # TestServer::serve(hub, backplane).connect().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(name: &str, backplane: Backplane) -> Self {
        Self {
            backplane: backplane.hub(name),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            user_id: None,
            options: Options::default(),
            negotiated: Negotiated::default(),
            stopping: CancellationToken::new(),
            sessions: TaskTracker::new(),
        }
    }

    /// Adds a method. Its return value is the result of `invoke` at the client.
    ///
    /// The client receives the result after the invocations that the method sent to it through
    /// [`Caller::clients`].
    ///
    /// The methods of one connection run one at a time, in the order of the calls. A running method
    /// is never cancelled.
    ///
    /// # Panics
    ///
    /// Panics if the hub already has a method with this name, ignoring case.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Caller, Hub, HubError};
    ///
    /// async fn divide(_: Caller, (a, b): (i32, i32)) -> Result<i32, HubError> {
    ///     a.checked_div(b).ok_or_else(|| HubError::new("the divisor is 0"))
    /// }
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).method("Divide", divide);
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Divide", json!([6, 2])).await, json!({"result": 3}));
    /// # assert!(client.call("Divide", json!([6, 0])).await["error"].is_string());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn method<F, Fut, A, R>(mut self, name: &str, method: F) -> Self
    where
        F: Fn(Caller, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, HubError>> + Send + 'static,
        A: Arguments + 'static,
        R: Serialize,
    {
        let method: Method = Arc::new(move |caller, arguments| {
            let running = method(caller, A::bind(arguments)?);
            Ok(Box::pin(async move { Ok(to_raw_value(&running.await?)?) }))
        });
        let previous = self.methods.insert(name.to_lowercase(), method);
        assert!(previous.is_none(), "the hub already has a method named {name:?}");
        self
    }

    /// Sets the hook that runs for each new connection, before its first method. An error refuses
    /// the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Hub, HubError};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).on_connected(|caller| async move {
    ///     let user = caller.user().ok_or_else(|| HubError::new("log in first"))?;
    ///     caller.groups().add(&format!("friends of {user}")).await?;
    ///     Ok(())
    /// });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.receive().await["error"], "Connection closed with an error.");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_connected<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.on_connected = Some(Arc::new(move |caller| Box::pin(hook(caller))));
        self
    }

    /// Sets the hook that runs after each connection, except a refused one.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::Hub;
    /// use tokio::sync::mpsc;
    ///
    /// let (left, mut leaving) = mpsc::unbounded_channel();
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).on_disconnected(move |caller| {
    ///     let left = left.clone();
    ///     async move {
    ///         let _ = left.send(caller.connection_id().to_owned());
    ///     }
    /// });
    /// # drop(TestServer::serve(hub, backplane).connect().await);
    /// # assert_eq!(leaving.recv().await.unwrap().len(), 22);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_disconnected<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Caller) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_disconnected = Some(Arc::new(move |caller| Box::pin(hook(caller))));
        self
    }

    /// Sets the function that finds the user of a connection in the request that opens its
    /// transport.
    ///
    /// Without it, connections have no user. A later request of the same connection, such as a POST
    /// or a long poll, must have the same user, or is refused with status 403.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::http::request::Parts;
    /// use signalr::{Caller, Hub};
    ///
    /// fn user_of(request: &Parts) -> Option<String> {
    ///     // Set by a proxy that has checked the password.
    ///     Some(request.headers.get("x-user")?.to_str().ok()?.to_owned())
    /// }
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .user_id(user_of)
    ///     .method("Me", |caller: Caller, ()| async move { Ok(caller.user().map(str::to_owned)) });
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut client = server.connect_with(&[("x-user", "ann")]).await;
    /// # assert_eq!(client.call("Me", json!([])).await, json!({"result": "ann"}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn user_id(
        mut self,
        user_id: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.user_id = Some(Arc::new(user_id));
        self
    }

    /// Replaces the options.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use signalr::{Hub, Options};
    ///
    /// let mut options = Options::default();
    /// options.keep_alive = Duration::from_millis(10);
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).with_options(options);
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.receive().await, json!({"type": 6}));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Returns the clients of the hub, for code outside of its methods.
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
    /// hub.clients().all().invoke("news", ("hello",)).await?;
    /// # assert_eq!(client.receive().await["target"], "news");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn clients(&self) -> Clients {
        Clients::new(self.backplane.clone())
    }

    /// Closes all connections and waits until they have ended. Clients may reconnect to another
    /// server.
    ///
    /// Each connection closes at a random time within [`Options::close_window`]. New connections
    /// are closed at once, and negotiation is refused with status 503. The wait is at most the
    /// window plus [`Options::write_timeout`] plus [`Options::close_timeout`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the connections still close, without a wait.
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
    /// # tokio::spawn(async move {
    /// #     assert_eq!(client.receive().await, json!({"type": 7, "allowReconnect": true}));
    /// # });
    /// hub.shutdown().await;
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(&self) {
        self.stopping.cancel();
        self.sessions.close();
        let Options { close_window, write_timeout, close_timeout, .. } = self.options;
        let bound = close_window.saturating_add(write_timeout + close_timeout);
        if time::timeout(bound, self.sessions.wait()).await.is_err() {
            tracing::warn!(connections = self.sessions.len(), "hub shutdown timed out");
        }
    }

    pub(crate) fn backplane(&self) -> &Backplane {
        &self.backplane
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) fn sessions(&self) -> &TaskTracker {
        &self.sessions
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Method> {
        self.methods.get(&name.to_lowercase())
    }

    pub(crate) fn on_connected_hook(&self) -> Option<&OnConnected> {
        self.on_connected.as_ref()
    }

    pub(crate) fn on_disconnected_hook(&self) -> Option<&OnDisconnected> {
        self.on_disconnected.as_ref()
    }

    pub(crate) fn user_of(&self, parts: &Parts) -> Option<Arc<str>> {
        self.user_id.as_ref().and_then(|user_id| user_id(parts)).map(Into::into)
    }
}

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Binds the arguments and returns the running method.
pub(crate) type Method = Arc<
    dyn Fn(Caller, &RawValue) -> Result<Running<Result<Box<RawValue>, HubError>>, BindError>
        + Send
        + Sync,
>;
pub(crate) type OnConnected = Arc<dyn Fn(Caller) -> Running<Result<(), HubError>> + Send + Sync>;
pub(crate) type OnDisconnected = Arc<dyn Fn(Caller) -> Running<()> + Send + Sync>;
type UserId = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
