//! The hub: the methods and hooks of the application, with the state that its connections share.
//!
//! All clones of a hub share this state. The look-up of a method ignores case, since clients in
//! other languages follow other conventions.

mod access;
mod methods;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use axum::http::{Extensions, request::Parts};
use backplane::Backplane;
use prometheus_client::registry::Registry;
use tokio::time::{self, Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call_service::CallService,
    clients::Clients,
    drain::Drain,
    error::HubError,
    farm::Farm,
    handler::{self, Hook, Method, StartHook},
    metrics::{Metrics, Remaining},
    negotiated::{Ages, Negotiated},
    options::{DURATION_MAX, Options},
    raw::RawHandler,
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
    /// Set for a router of raw connections.
    raw: Option<RawHandler>,
    states: Extensions,
    /// Set if calls pass layers.
    service: Option<CallService>,
    /// Whether methods read the HTTP requests that began their connections.
    keeps_requests: bool,
    is_resumable: bool,
    options: Options,
    farm: Arc<Farm>,
    negotiated: Negotiated,
    askers: Arc<Askers>,
    /// Made of the options by its first use.
    links: OnceLock<Arc<Links>>,
    /// Filled only if clients may renew their users.
    refreshables: Arc<Refreshables>,
    metrics: Metrics,
    drain: Arc<Drain>,
    sessions: TaskTracker,
}

impl Hub {
    /// Creates a hub without methods.
    ///
    /// Hubs with different names on one backplane are separate: each has its own clients, groups
    /// and users. Servers of one app serve the same hub under the same name. For servers of
    /// SignalR 2, that is the name of its class.
    ///
    /// # Panics
    ///
    /// Panics if the dialect of the backplane cannot express the name, see
    /// [`Backplane::hub`](backplane::Backplane::hub). SignalR 2's names have no dot.
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
        let backplane = backplane.hub(name);
        let farm = Arc::new(Farm::new(&backplane, name, Arc::default()));
        Self {
            name: name.into(),
            negotiated: Negotiated::new(Arc::clone(&farm), name),
            farm,
            backplane,
            method_names: Vec::new(),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            on_refreshed: None,
            user_id: None,
            authenticator: None,
            redirect: None,
            raw: None,
            states: Extensions::new(),
            service: None,
            keeps_requests: false,
            is_resumable: false,
            options: Options::default(),
            askers: Arc::default(),
            links: OnceLock::new(),
            refreshables: Arc::default(),
            metrics: Metrics::default(),
            drain: Arc::default(),
            sessions: TaskTracker::new(),
        }
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
        let stopping = self.drain.stopping().clone();
        let remaining = Remaining { stopping, sessions: self.sessions.clone() };
        self.metrics.register(self.backplane.app_name(), &self.name, remaining, registry);
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
        self.farm.tokens().fix(&options.token_keys);
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
    /// It is a [`drain`](Self::drain) over [`Options::close_window`], without a pause before it. The
    /// wait is at most the window plus [`Options::write_timeout`] plus [`Options::close_timeout`].
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
        self.end_connections(self.options.close_window).await;
    }

    /// Moves all clients to other servers, before a deployment for example.
    ///
    /// At first, only [`is_draining`](Self::is_draining) changes, for
    /// [`Options::readiness_pause`]. A load balancer that asks for it sends new clients elsewhere
    /// meanwhile. Then negotiation is refused with status 503 and `Retry-After: 1`, and the connections
    /// end over the window, in a random order: each second has its share. A client that opens its
    /// transport now is served, and ends within the rest of the window. Clients get a Close message
    /// that lets them reconnect; those of SignalR 2 reconnect by themselves. Stateful clients get none if
    /// there are other servers: they open another WebSocket at once, and continue on one of these. Such a
    /// connection waits for [`Options::close_timeout`].
    ///
    /// It returns when all connections have ended, at most [`Options::write_timeout`] plus
    /// [`Options::close_timeout`] after the window. [`shutdown`](Self::shutdown) in the middle replaces
    /// the rest of the window by its own.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped during the pause, the hub goes on, and its readiness stays false.
    /// Later, the connections still close, without a wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # let server = TestServer::start(|hub| hub);
    /// # let mut client = server.connect().await;
    /// # let hub = &server.hub;
    ///
    /// # tokio::spawn(async move {
    /// #     let close = client.receive_past_pings().await;
    /// #     assert_eq!(close, json!({"type": 7, "allowReconnect": true}));
    /// # });
    /// hub.drain(Duration::from_secs(30)).await;
    /// assert!(hub.is_draining());
    /// # Ok(()) }
    /// ```
    pub async fn drain(&self, window: Duration) {
        self.drain.announce();
        time::sleep(self.options.readiness_pause).await;
        self.end_connections(window).await;
    }

    /// Returns whether a [`drain`](Self::drain) or a [`shutdown`](Self::shutdown) has begun, so that the
    /// readiness check of this server fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{http::StatusCode, routing};
    /// use signalr::Hub;
    ///
    /// fn ready(hub: Hub) -> axum::Router {
    ///     let ready = async move || match hub.is_draining() {
    ///         true => StatusCode::SERVICE_UNAVAILABLE,
    ///         false => StatusCode::OK,
    ///     };
    ///     axum::Router::new().route("/readyz", routing::get(ready))
    /// }
    /// # drop(ready as fn(Hub) -> axum::Router);
    /// ```
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_announced()
    }

    /// Ends all connections over a window, and waits until they have ended.
    async fn end_connections(&self, window: Duration) {
        let window = window.min(DURATION_MAX);
        self.drain.begin(self.sessions.len(), window);
        self.sessions.close();
        let Options { write_timeout, close_timeout, .. } = self.options;
        let bound = window.saturating_add(write_timeout + close_timeout);
        if time::timeout(bound, self.sessions.wait()).await.is_err() {
            tracing::warn!(connections = self.sessions.len(), "hub shutdown timed out");
        }
    }

    /// Lets clients go on after the end of their server without loss, also after a crash.
    ///
    /// A client asks for it with `cursor=` in the query of the hub's URL. Each invocation of such a client
    /// has one more, last argument: its **cursor**, a text. The server also invokes the client's
    /// method `groupsToken` with a text, at the start and after each change of its groups. To go
    /// on, on any server, the client puts the last cursor and the last text into its URL, as
    /// `cursor=` and `groups=`. The new connection begins in the same groups, and the server sends
    /// what the client has missed first, also messages to its former connection id. Invocations that
    /// expect a result have no cursor.
    ///
    /// If the server no longer has all of these messages, it invokes the client's method `missed` with the
    /// first and the last missing number, and goes on. The history of the backplane decides how many
    /// it has, see [`Builder::history_messages_max`](backplane::Builder::history_messages_max). Without a
    /// text, or with one of another user, older than a day, or of a key that no server has any more,
    /// the client begins anew, and `missed` has `null` for both numbers. An invalid cursor is refused
    /// with status 400, and a forged text with 403.
    ///
    /// No message is lost, and few come twice: those that reached the client while the broker was down,
    /// and the first ones of several that a server of SignalR 2 has sent as one.
    ///
    /// The text is a right: for a day, it brings its user back into the groups, also if the user was
    /// removed from one meanwhile. It grows with their names, and is empty with more than about 12 KB
    /// of them. A proxy may allow less in a URL.
    ///
    /// Servers need common keys, see [`Options::token_keys`](crate::Options::token_keys). In ASP.NET Core's
    /// dialect messages have no cursors, and this has no effect.
    ///
    /// A client in JavaScript:
    ///
    /// ```js
    /// const url = (cursor, groups) => "/chatHub?" + new URLSearchParams({ cursor, groups });
    /// const connection = new signalR.HubConnectionBuilder()
    ///   .withUrl(url("", "")).withAutomaticReconnect().build();
    /// let cursor = "", groups = "";
    /// connection.on("said", (name, text, at) => { cursor = at; show(name, text); });
    /// connection.on("groupsToken", (token, at) => { groups = token; cursor = at; });
    /// connection.onreconnecting(() => { connection.baseUrl = url(cursor, groups); });
    /// ```
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
    /// let hub = Hub::new("ChatHub", backplane.clone()).resumable();
    /// # let server = TestServer::serve(hub, backplane);
    /// # let mut client = server.open("?cursor=", &[]).await.unwrap();
    /// # client.handshake().await;
    /// # assert_eq!(client.receive().await["target"], "groupsToken");
    /// # server.hub.clients().all().invoke("said", ("ann", "hi")).await?;
    /// # let said = client.receive().await["arguments"].clone();
    /// # assert!(said[2].as_str().unwrap().starts_with("s-0,"), "{said}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn resumable(mut self) -> Self {
        self.is_resumable = true;
        self
    }

    /// Returns whether clients may have cursors.
    pub(crate) fn is_resumable(&self) -> bool {
        self.is_resumable && self.raw.is_none() && self.backplane.has_cursors()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
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

    /// Returns the way to the other servers.
    pub(crate) fn farm(&self) -> &Arc<Farm> {
        &self.farm
    }

    /// Returns the ages up to which tokens open connections.
    pub(crate) fn ages(&self) -> Ages {
        Ages::of(&self.options)
    }

    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// Returns the same hub for raw connections.
    pub(crate) fn for_raw(&self, handler: RawHandler) -> Self {
        let mut raw = Self { raw: Some(handler), ..self.clone() };
        // It needs messages with numbers.
        raw.options.stateful_reconnect = false;
        raw
    }

    pub(crate) fn raw(&self) -> Option<&RawHandler> {
        self.raw.as_ref()
    }

    /// Returns the signal that connections begin to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        self.drain.stopping()
    }

    /// Returns when a connection is to end, since the server loses all of them.
    pub(crate) async fn turn_to_end(&self) {
        self.drain.turn().await;
    }

    pub(crate) fn sessions(&self) -> &TaskTracker {
        &self.sessions
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
