//! The paths of a hub: the hub itself and its negotiation.

use std::sync::Arc;

use axum::{Router, routing};

use crate::{endpoint, hub::Hub, negotiate, origin};

impl Hub {
    /// Returns a router that serves the hub at `path`, which begins with `/`.
    ///
    /// Add methods first: they belong to the router from then on.
    ///
    /// # Panics
    ///
    /// When axum refuses the path.
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
    /// # let hub = Hub::new(backplane.clone());
    /// let app: Router = Router::new()
    ///     .route("/", routing::get(|| async { "the page" }))
    ///     .merge(hub.router("/chatHub"));
    /// # let request = Request::post("/chatHub/negotiate").body(Body::empty())?;
    /// # assert_eq!(app.oneshot(request).await?.status(), StatusCode::OK);
    /// # Ok(()) }
    /// ```
    pub fn router(&self, path: &str) -> Router {
        let path = path.trim_end_matches('/');
        let hub = if path.is_empty() { "/" } else { path };
        Router::new()
            .route(&format!("{path}/negotiate"), routing::any(negotiate::negotiate))
            .route(hub, routing::any(endpoint::connect))
            .layer(origin::cors(&self.options().origins))
            .with_state(Arc::new(self.clone()))
    }
}
