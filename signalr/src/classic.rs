//! Serves clients of SignalR 2 on the hubs that also serve those of ASP.NET Core.
//!
//! The path of a request ends in its endpoint. `endpoint` checks it. A client with a valid token
//! gets a `place`, whose `connection` carries messages to one of four transports. `calls` is the
//! only way to the methods of a hub.

mod attachment;
mod calls;
mod connection;
mod elsewhere;
mod endpoint;
mod negotiate;
mod outbox;
mod parked;
mod place;
mod reply;
mod request;
mod script;
mod send;
mod service;
mod times;
mod token;
mod transport;
mod websocket;

use std::{fmt, sync::Arc, time::Duration};

use axum::{Router, extract::Request, routing};
use tower::ServiceExt;

use self::service::{Service, Settings};
use crate::{hub::Hub, origin};

/// Serves clients of SignalR 2, such as `jquery.signalR` 2.4.3, on one or more hubs.
///
/// It has the transports WebSockets, Server-Sent Events, forever frame and long polling, and the
/// script `hubs` with a proxy for each hub. Messages of ASP.NET Core's clients and of these clients
/// reach each other. Origins, users, detailed errors and the times of writes and of a shutdown are
/// those of the hubs. A page may connect if all hubs allow it. The shutdown of one hub ends the
/// connections of all hubs of the path.
///
/// The authenticators of all hubs must allow a request, since a client can call each of them. Only
/// the script is public. A connection token is for one user. So the hubs' authenticators, or their
/// [`user_id`](Hub::user_id), must find the same user in each request of a client, for example by a
/// cookie.
///
/// The methods of one client run one at a time. `on_connected` runs when the client has started, or
/// before its first call. A client that returns after more than 30 s is a new connection.
///
/// The requests of a client may reach any server of the app, if the backplane has its
/// [channel of servers](backplane::Builder::server_channel). A transport on another server takes the
/// client with it, without a hook. The values of [`Local`](crate::Local) stay behind. Without the
/// channel, the requests of a client must reach one server. So must those of clients whose backplane has
/// [`Dialect::AspNetCore`](backplane::Dialect), since its messages have no cursor.
///
/// If messages for a client may be lost on the backplane, its client method `missed` is invoked
/// with the first and the last id of the gap. Clients without this method ignore it.
///
/// # Examples
///
/// ```
/// # use tower::ServiceExt;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, body::Body, http::Request};
/// use backplane::Backplane;
/// use broker::Broker;
/// use signalr::{Caller, Classic, Hub};
///
/// let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
/// let chat = Hub::new("ChatHub", backplane).method(
///     "Send",
///     |caller: Caller, (name, message): (String, String)| async move {
///         caller.clients().all().invoke("broadcastMessage", (name, message)).await?;
///         Ok(())
///     },
/// );
/// let app = Router::new()
///     .merge(chat.router("/chatHub")) // clients of ASP.NET Core
///     .merge(Classic::new().hub(&chat).router("/signalr")); // clients of SignalR 2
///
/// let ping = Request::get("/signalr/ping").body(Body::empty())?;
/// let pong = axum::body::to_bytes(app.oneshot(ping).await?.into_body(), 100).await?;
/// assert_eq!(pong, r#"{ "Response": "pong" }"#);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is served before the router is"]
pub struct Classic {
    hubs: Vec<Hub>,
    settings: Settings,
}

impl Classic {
    /// Creates a server without hubs.
    ///
    /// # Examples
    ///
    /// ```
    /// let app: axum::Router = signalr::Classic::new().router("/signalr");
    /// # drop(app);
    /// ```
    pub fn new() -> Self {
        let settings = Settings {
            message_bytes_max: MESSAGE_BYTES_MAX,
            long_poll_delay: Duration::ZERO,
            has_script: true,
            allows_jsonp: false,
        };
        Self { hubs: Vec::new(), settings }
    }

    /// Adds a hub. It lacks methods that are added to the hub later.
    ///
    /// # Panics
    ///
    /// Panics if there is a hub with this name, ignoring case, or if the hub is on another
    /// backplane than the other hubs.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use backplane::Backplane;
    /// use broker::Broker;
    /// use signalr::{Classic, Hub};
    ///
    /// let backplane = Backplane::embedded(&Broker::new(), "App");
    /// let chat = Hub::new("ChatHub", backplane.clone());
    /// let stock = Hub::new("StockHub", backplane);
    /// let app: axum::Router = Classic::new().hub(&chat).hub(&stock).router("/signalr");
    /// # drop(app);
    /// # }
    /// ```
    pub fn hub(mut self, hub: &Hub) -> Self {
        let name = hub.name();
        let is_known = |known: &Hub| known.name().to_lowercase() == name.to_lowercase();
        assert!(!self.hubs.iter().any(is_known), "there is already a hub named {name:?}");
        let is_same = |known: &Hub| known.backplane().is_same(hub.backplane());
        assert!(self.hubs.iter().all(is_same), "the hub {name:?} is on another backplane");
        self.hubs.push(hub.clone());
        self
    }

    /// Turns off the script `hubs`. Pages then create proxies by `createHubProxy`.
    ///
    /// # Examples
    ///
    /// ```
    /// let app: axum::Router = signalr::Classic::new().without_script().router("/signalr");
    /// # drop(app);
    /// ```
    pub fn without_script(mut self) -> Self {
        self.settings.has_script = false;
        self
    }

    /// Sets the maximum size of a call. Default: 64 KiB, as with SignalR 2.
    ///
    /// # Examples
    ///
    /// ```
    /// let app: axum::Router = signalr::Classic::new().message_bytes_max(1024).router("/signalr");
    /// # drop(app);
    /// ```
    pub fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.message_bytes_max = bytes;
        self
    }

    /// Sets the time that clients wait between two polls. Default: none. It reduces the number of
    /// requests and delays messages.
    ///
    /// # Examples
    ///
    /// ```
    /// let delay = std::time::Duration::from_millis(500);
    /// let app: axum::Router = signalr::Classic::new().long_poll_delay(delay).router("/signalr");
    /// # drop(app);
    /// ```
    pub fn long_poll_delay(mut self, delay: Duration) -> Self {
        self.settings.long_poll_delay = delay;
        self
    }

    /// Allows JSONP, for old browsers and pages of other origins. Default: requests with `callback`
    /// are refused.
    ///
    /// With JSONP, any page can act as the user of a browser: the check of its origin does not
    /// apply. Allow it only if the server does not recognize users by cookies.
    ///
    /// # Examples
    ///
    /// ```
    /// let app: axum::Router = signalr::Classic::new().allow_jsonp().router("/signalr");
    /// # drop(app);
    /// ```
    pub fn allow_jsonp(mut self) -> Self {
        self.settings.allows_jsonp = true;
        self
    }

    /// Returns a router that serves the hubs at `path`, which begins with `/`, and below.
    ///
    /// A request must spell `path` in the same case. The case of the endpoint behind it is ignored.
    /// [`mount`](Self::mount) ignores both.
    ///
    /// # Panics
    ///
    /// Panics if axum refuses the path.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower::ServiceExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{body::Body, http::Request};
    ///
    /// let app = signalr::Classic::new().router("/signalr");
    /// let negotiate = Request::get("/signalr/negotiate").body(Body::empty())?;
    /// assert!(app.oneshot(negotiate).await?.status().is_success());
    /// # Ok(()) }
    /// ```
    pub fn router(self, path: &str) -> Router {
        let path = path.trim_end_matches('/');
        let service = Arc::new(Service::new(self.hubs, self.settings));
        let origins = service.origins();
        let mut router = Router::new()
            .route(&format!("{path}/"), routing::any(endpoint::serve))
            .route(&format!("{path}/{{*endpoint}}"), routing::any(endpoint::serve));
        if !path.is_empty() {
            router = router.route(path, routing::any(endpoint::serve));
        }
        origin::with_cors(router, &origins).with_state(service)
    }

    /// Returns an app with the hubs at `path`, which begins with `/`, and below. All other requests
    /// go to `app` and its fallback.
    ///
    /// As with SignalR 2, the case of a request's path is ignored.
    ///
    /// # Panics
    ///
    /// Panics if axum refuses the path.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower::ServiceExt;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, body::Body, http::Request, routing};
    ///
    /// let app = Router::new().route("/", routing::get(|| async { "the page" }));
    /// let app: Router = signalr::Classic::new().mount(app, "/signalr");
    /// let negotiate = Request::get("/SignalR/Negotiate").body(Body::empty())?;
    /// assert!(app.oneshot(negotiate).await?.status().is_success());
    /// # Ok(()) }
    /// ```
    pub fn mount(self, app: Router, path: &str) -> Router {
        let own = path.trim_end_matches('/').to_owned();
        let classic = self.router(path);
        Router::new().fallback(move |mut request: Request| {
            let router = match spelled(request.uri().path(), &own) {
                Some(path) => {
                    *request.uri_mut() = crate::router::with_path(request.uri(), &path);
                    classic.clone()
                }
                None => app.clone(),
            };
            router.oneshot(request)
        })
    }
}

impl Default for Classic {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hubs: Vec<_> = self.hubs.iter().map(Hub::name).collect();
        let Self { settings, .. } = self;
        f.debug_struct("Classic").field("hubs", &hubs).field("settings", settings).finish()
    }
}

/// Returns a request's path with its beginning spelled as `own`, if it is at or below `own`.
fn spelled(path: &str, own: &str) -> Option<String> {
    let (start, rest) = path.split_at_checked(own.len())?;
    let is_below = rest.is_empty() || rest.starts_with('/');
    (is_below && start.eq_ignore_ascii_case(own)).then(|| format!("{own}{rest}"))
}

/// SignalR 2's limit for a message over a WebSocket.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_below_is_spelled_as_its_own() {
        let check = |path, expected: Option<&str>| {
            assert_eq!(super::spelled(path, "/signalr").as_deref(), expected, "{path}");
        };
        check("/signalr", Some("/signalr"));
        check("/SignalR/NEGOTIATE", Some("/signalr/NEGOTIATE"));
        check("/signalrs", None);
        check("/signal", None);
        check("/é", None);
    }
}
