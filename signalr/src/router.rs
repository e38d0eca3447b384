//! Routes requests to a hub, to its negotiation and to the renewal of users.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    middleware, routing,
};
use tower::ServiceExt;

use crate::{
    answering, auth, endpoint,
    hub::Hub,
    negotiate, origin,
    raw::{RawConnection, RawHandler},
    refresh,
};

impl Hub {
    /// Returns a router that serves the hub at `path`, which begins with `/`.
    ///
    /// A request must spell the path in the same case; [`mount`](Self::mount) ignores case. The
    /// router lacks methods that are added to the hub later.
    ///
    /// # Panics
    ///
    /// Panics if axum refuses the path.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, routing};
    /// use signalr::Hub;
    ///
    /// # let backplane = backplane();
    /// # let hub = Hub::new("ChatHub", backplane.clone());
    /// let app: Router = Router::new()
    ///     .route("/", routing::get(|| async { "the page" }))
    ///     .merge(hub.router("/chatHub"));
    /// # let request = Request::post("/chatHub/negotiate").body(Body::empty())?;
    /// # assert_eq!(app.oneshot(request).await?.status(), StatusCode::OK);
    /// # Ok(()) }
    /// ```
    pub fn router(&self, path: &str) -> Router {
        let [hub, negotiation, refreshing] = paths(path);
        let state = Arc::new(self.clone());
        let router = Router::new()
            .route(&hub, routing::any(endpoint::connect))
            .route(&negotiation, routing::any(negotiate::negotiate))
            .layer(middleware::from_fn_with_state(Arc::clone(&state), auth::authenticate))
            // Its refusals of credentials are JSON, so it asks the authenticator itself.
            .route(&refreshing, routing::any(refresh::refresh))
            .layer(middleware::from_fn_with_state(Arc::clone(&state), answering::answer_others))
            .layer(middleware::from_fn_with_state(Arc::clone(&state), auth::count_refusals));
        origin::with_cors(router, &self.options().origins).with_state(state)
    }

    /// Returns a router that serves connections of bytes at `path`, which begins with `/`.
    ///
    /// Such clients use the transports of SignalR without a hub protocol, such as `HttpConnection`
    /// of the JavaScript client. `handle` runs for each of them, and the connection ends with it.
    /// The hub's options, users, limits, metrics and shutdown apply. Its methods and hooks do not.
    ///
    /// There are no pings without a hub protocol, so `keep_alive` and `client_timeout` have no
    /// effect, nor has `stateful_reconnect`. The application finds silent clients by messages of its
    /// own. A handler that neither takes waiting bytes of its client nor sends any for
    /// `write_timeout` loses the connection. One that goes on for `close_timeout` after the end of its
    /// connection is dropped.
    ///
    /// # Panics
    ///
    /// Panics if axum refuses the path.
    ///
    /// # Examples
    ///
    /// An echo:
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::Router;
    /// use signalr::{Hub, RawConnection};
    ///
    /// # let backplane = backplane();
    /// let hub = Hub::new("ChatHub", backplane);
    /// let echo = hub.raw_router("/echo", |mut connection: RawConnection| async move {
    ///     while let Some(bytes) = connection.recv().await {
    ///         if connection.send_binary(bytes).await.is_err() {
    ///             return;
    ///         }
    ///     }
    /// });
    /// let app: Router = Router::new().merge(hub.router("/chatHub")).merge(echo);
    /// # let request = Request::post("/echo/negotiate").body(Body::empty())?;
    /// # assert_eq!(app.oneshot(request).await?.status(), StatusCode::OK);
    /// # Ok(()) }
    /// ```
    pub fn raw_router<F, R>(&self, path: &str, handle: F) -> Router
    where
        F: Fn(RawConnection) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let handler: RawHandler = Arc::new(move |connection| Box::pin(handle(connection)));
        self.for_raw(handler).router(path)
    }

    /// Returns an app with the hub at `path`, which begins with `/`.
    ///
    /// As in ASP.NET Core, the hub ignores the case of a request's path and a slash at its end. All
    /// other requests go to `app` and its fallback. The result lacks methods that are added to the
    /// hub later.
    ///
    /// # Panics
    ///
    /// Panics if axum refuses the path.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/server.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use axum::{Router, routing};
    /// use signalr::Hub;
    ///
    /// # let hub = Hub::new("ChatHub", backplane());
    /// let app = Router::new().route("/", routing::get(|| async { "the page" }));
    /// let app: Router = hub.mount(app, "/chatHub");
    /// # let request = Request::post("/CHATHUB/negotiate/").body(Body::empty())?;
    /// # assert_eq!(app.oneshot(request).await?.status(), StatusCode::OK);
    /// # Ok(()) }
    /// ```
    pub fn mount(&self, app: Router, path: &str) -> Router {
        let paths = paths(path);
        let hub = self.router(path);
        Router::new().fallback(move |mut request: Request| {
            let own = paths.iter().find(|path| is_spelling(request.uri().path(), path));
            let router = match own {
                Some(path) => {
                    *request.uri_mut() = with_path(request.uri(), path);
                    hub.clone()
                }
                None => app.clone(),
            };
            router.oneshot(request)
        })
    }
}

/// Returns the paths of the hub, of its negotiation and of the renewal of users.
fn paths(hub: &str) -> [String; 3] {
    let hub = hub.trim_end_matches('/');
    let own = if hub.is_empty() { "/" } else { hub };
    [own.to_owned(), format!("{hub}/negotiate"), format!("{hub}/refresh")]
}

/// Returns whether two paths differ in case and in a slash at the end only.
fn is_spelling(path: &str, own: &str) -> bool {
    let without_slash = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
    without_slash(path).eq_ignore_ascii_case(&without_slash(own))
}

/// Replaces the path of a URI.
pub(crate) fn with_path(uri: &Uri, path: &str) -> Uri {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
