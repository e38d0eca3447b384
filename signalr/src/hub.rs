//! The hub: the methods and hooks of the application, with the state that its connections share.
//!
//! All clones of a hub share this state. The look-up of a method ignores case, since clients in
//! other languages follow other conventions.

mod access;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use axum::http::{Extensions, request::Parts};
use backplane::Backplane;
use futures_util::{FutureExt, Stream};
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::time;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer, Service, ServiceExt};

use crate::{
    arguments::RawArguments,
    call::CallContext,
    call_service::{self, Call, CallService, Outcome},
    clients::Clients,
    error::HubError,
    handler::{self, Handler, Hook, Method, StartHook},
    metrics::Metrics,
    negotiated::Negotiated,
    options::Options,
    protocol::Encoding,
    recipients::Links,
    redirect::Redirect,
    refreshables::Refreshables,
    results::Askers,
    user::Authenticator,
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
    name: Arc<str>,
    backplane: Backplane,
    /// The names of the methods as they were registered.
    method_names: Vec<String>,
    /// By name in lower case.
    methods: HashMap<String, Method>,
    on_connected: Option<OnConnected>,
    on_disconnected: Option<OnDisconnected>,
    on_refreshed: Option<OnRefreshed>,
    user_id: Option<UserId>,
    authenticator: Option<Arc<Authenticator>>,
    redirect: Option<FindRedirect>,
    states: Extensions,
    /// Set if calls pass layers.
    service: Option<CallService>,
    /// Whether methods read the HTTP requests that began their connections.
    keeps_requests: bool,
    options: Options,
    negotiated: Negotiated,
    askers: Arc<Askers>,
    /// Made of the options by its first use.
    links: OnceLock<Arc<Links>>,
    /// Filled only if clients may renew their users.
    refreshables: Arc<Refreshables>,
    metrics: Metrics,
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
            name: name.into(),
            backplane: backplane.hub(name),
            method_names: Vec::new(),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            on_refreshed: None,
            user_id: None,
            authenticator: None,
            redirect: None,
            states: Extensions::new(),
            service: None,
            keeps_requests: false,
            options: Options::default(),
            negotiated: Negotiated::default(),
            askers: Arc::default(),
            links: OnceLock::new(),
            refreshables: Arc::default(),
            metrics: Metrics::default(),
            stopping: CancellationToken::new(),
            sessions: TaskTracker::new(),
        }
    }

    /// Adds a method. Its return value is the result of `invoke` at the client.
    ///
    /// The last parameter of the method is the tuple of the client's arguments. Parameters before
    /// it, such as [`Caller`](crate::Caller), implement [`FromCall`](crate::FromCall).
    ///
    /// The client receives the result after the invocations that the method sent to it through
    /// [`Caller::clients`](crate::Caller::clients).
    ///
    /// The methods of one connection run one at a time, in the order of the calls, unless
    /// [`Options::parallel_calls_max`] allows more. A method that takes an
    /// [`Upload`](crate::Upload) delays no other. A running method is never dropped. If the
    /// connection ends, [`Cancelled`](crate::Cancelled) tells it.
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
    pub fn method<M, H>(self, name: &str, method: H) -> Self
    where
        H: Handler<M>,
        H::Output: Serialize + 'static,
    {
        let metrics = self.metrics.method(name);
        self.with_method(H::NEEDS_REQUEST, Method::call(name, method, metrics))
    }

    /// Adds a method that returns a stream. Clients read it with `stream`.
    ///
    /// The stream ends early if the client cancels it or leaves. An error ends it as well, and
    /// the client receives it. While the client reads too slowly, no item is taken from the stream.
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
    /// use futures_util::stream;
    /// use signalr::{Caller, Hub};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .stream("Count", |_: Caller, (end,): (u32,)| async move { Ok(stream::iter((0..end).map(Ok))) });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # client.send(r#"{"type":4,"invocationId":"1","target":"Count","arguments":[2]}"#).await;
    /// # assert_eq!(client.receive().await["item"], 0);
    /// # assert_eq!(client.receive().await["item"], 1);
    /// # assert_eq!(client.receive().await["type"], 3);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stream<M, H, T>(self, name: &str, method: H) -> Self
    where
        H: Handler<M>,
        H::Output: Stream<Item = Result<T, HubError>> + Send + 'static,
        T: Serialize + 'static,
    {
        let metrics = self.metrics.method(name);
        self.with_method(H::NEEDS_REQUEST, Method::stream(name, method, metrics))
    }

    /// Allows a method only for users with at least one of these roles.
    ///
    /// # Panics
    ///
    /// Panics if the hub has no method with this name.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use signalr::{Hub, User};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone())
    ///     .authenticate(|_| async { Ok(Some(User::new("ann", ()).with_role("writer"))) })
    ///     .method("Write", |(): ()| async { Ok("written") })
    ///     .authorize("Write", ["writer", "admin"])
    ///     .method("Kick", |(): ()| async { Ok(()) })
    ///     .authorize("Kick", ["admin"]);
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.call("Write", json!([])).await["result"], "written");
    /// # let refused = client.call("Kick", json!([])).await;
    /// # assert_eq!(refused["error"], "Failed to invoke 'Kick' because user is unauthorized");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn authorize<T: Into<String>>(
        mut self,
        method: &str,
        roles: impl IntoIterator<Item = T>,
    ) -> Self {
        let found = self.methods.get_mut(&method.to_lowercase());
        let found = found.unwrap_or_else(|| panic!("the hub has no method named {method:?}"));
        found.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a tower layer around all methods. The last layer is the outermost.
    ///
    /// Hooks do not pass layers.
    ///
    /// # Examples
    ///
    /// See [`Call`](crate::Call) and [`CallLimit`](crate::CallLimit).
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<CallService>,
        L::Service:
            Service<Call, Response = Outcome, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        self.service = Some(call_service::layered(self.service.take(), &layer));
        self
    }

    /// Starts a method within the layers of the hub. Returns `None` if the hub has no layers.
    pub(crate) fn start_layered(
        &self,
        method: &Method,
        context: &mut CallContext,
        arguments: RawArguments<'_>,
        encoding: Encoding,
    ) -> Option<impl Future<Output = Outcome> + Send + 'static> {
        let service = self.service.clone()?;
        let context = context.take();
        let call = Call::new(&self.name, method, context, arguments, encoding);
        Some(service.oneshot(call).map(|outcome| match outcome {
            Ok(outcome) => outcome,
            Err(never) => match never {},
        }))
    }

    fn with_method(mut self, needs_request: bool, method: Method) -> Self {
        self.keeps_requests |= needs_request;
        let name = method.name.clone();
        let previous = self.methods.insert(name.to_lowercase(), method);
        assert!(previous.is_none(), "the hub already has a method named {name:?}");
        self.method_names.push(name.to_string());
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
    /// use signalr::{Caller, Hub, HubError};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).on_connected(|caller: Caller| async move {
    ///     let user = caller.user().ok_or_else(|| HubError::new("log in first"))?;
    ///     caller.groups().add(&format!("friends of {user}")).await?;
    ///     Ok(())
    /// });
    /// # let mut client = TestServer::serve(hub, backplane).connect().await;
    /// # assert_eq!(client.receive().await["error"], "Connection closed with an error.");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_connected<M, H>(mut self, hook: H) -> Self
    where
        H: Hook<M, Output = Result<(), HubError>>,
    {
        self.keeps_requests |= H::NEEDS_REQUEST;
        self.on_connected = Some(handler::hook(hook));
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
    /// use signalr::{Caller, Hub};
    /// use tokio::sync::mpsc;
    ///
    /// let (left, mut leaving) = mpsc::unbounded_channel();
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone()).on_disconnected(move |caller: Caller| {
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
    pub fn on_disconnected<M, H>(mut self, hook: H) -> Self
    where
        H: Hook<M, Output = ()>,
    {
        self.keeps_requests |= H::NEEDS_REQUEST;
        self.on_disconnected = Some(handler::hook(hook));
        self
    }

    /// Adds the metrics of this hub to a registry, as `signalr_…` with the labels `app` and `hub`.
    ///
    /// The crate's documentation lists them. Several hubs may share a registry, also with
    /// [`Backplane::register`]. Register a hub once in a registry: a second server of the same app
    /// in the process needs a registry of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use prometheus_client::{encoding::text::encode, registry::Registry};
    /// use signalr::Hub;
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane.clone());
    /// let mut registry = Registry::default();
    /// hub.register(&mut registry);
    /// # TestServer::serve(hub, backplane).negotiate().await;
    /// let mut text = String::new();
    /// encode(&mut text, &registry)?;
    /// let series = r#"signalr_negotiations_total{app="ChatApp",hub="ChatHub",outcome="ok"} 1"#;
    /// assert!(text.contains(series), "{text}");
    /// # Ok(()) }
    /// ```
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(self.backplane.app_name(), &self.name, registry);
    }

    /// Adds a value that methods read with [`State`](crate::State). A later value of the same type
    /// replaces it.
    ///
    /// # Examples
    ///
    /// See [`State`](crate::State).
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
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
        self.links = OnceLock::new();
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
        Clients::new(self.links())
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

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn method_names(&self) -> &[String] {
        &self.method_names
    }

    pub(crate) fn backplane(&self) -> &Backplane {
        &self.backplane
    }

    /// Returns what reaches the hub's clients.
    pub(crate) fn links(&self) -> Arc<Links> {
        let links = self.links.get_or_init(|| {
            Arc::new(Links {
                backplane: self.backplane.clone(),
                askers: Arc::clone(&self.askers),
                result_timeout: self.options.result_timeout,
                write_timeout: self.options.write_timeout,
                groups_max: self.options.groups_max,
            })
        });
        Arc::clone(links)
    }

    pub(crate) fn askers(&self) -> &Arc<Askers> {
        &self.askers
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

    pub(crate) fn on_refreshed_hook(&self) -> Option<&OnRefreshed> {
        self.on_refreshed.as_ref()
    }

    pub(crate) fn refreshables(&self) -> &Arc<Refreshables> {
        &self.refreshables
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn authenticator(&self) -> Option<&Arc<Authenticator>> {
        self.authenticator.as_ref()
    }

    /// Returns the values of the application.
    pub(crate) fn states(&self) -> &Extensions {
        &self.states
    }

    /// Returns whether the hub takes no more connections.
    pub(crate) fn is_full(&self) -> bool {
        self.sessions.len() >= self.options.connections_max
    }
}

type OnConnected = Arc<StartHook<Result<(), HubError>>>;
type OnDisconnected = Arc<StartHook<()>>;
type OnRefreshed = Arc<StartHook<()>>;
type FindRedirect = Arc<dyn Fn(&Parts) -> Option<Redirect> + Send + Sync>;
type UserId = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
