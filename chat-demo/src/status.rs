//! `GET /status`, `/healthz` and `/readyz`: the state of the server for operators and balancers.
//!
//! `/healthz` answers as long as the process does. `/readyz` fails while the backplane is not
//! connected, and from the begin of a shutdown on, so that a balancer sends no more clients.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use backplane::{Backplane, State as BackplaneState};
use tokio_util::sync::CancellationToken;

use crate::server::ServerState;

/// Serves the status of one server. It is ready until `draining` is cancelled.
pub(crate) fn router(server: String, backplane: Backplane, draining: CancellationToken) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/healthz", get(|| async { ([NO_STORE], "ok\n") }))
        .route("/readyz", get(ready))
        .with_state(Arc::new(Server { server, backplane, draining }))
}

struct Server {
    server: String,
    backplane: Backplane,
    draining: CancellationToken,
}

async fn status(State(server): State<Arc<Server>>) -> impl IntoResponse {
    ([NO_STORE], Json(ServerState::new(server.server.clone(), &server.backplane)))
}

async fn ready(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let (status, text) = match server.backplane.state() {
        _ if server.draining.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        BackplaneState::Connected => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the broker is not reachable\n"),
    };
    (status, [NO_STORE], text)
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use broker::Broker;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_status_has_the_server_its_app_and_its_backplane() {
        let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
        let router = router("here:1".to_owned(), backplane, CancellationToken::new());
        let found: Value = serde_json::from_slice(&get_of(&router, "/status").await.1).unwrap();
        let connected = json!({"state": "connected", "error": null});
        assert_eq!(found, json!({"server": "here:1", "app": "ChatApp", "backplane": connected}));
    }

    #[tokio::test]
    async fn a_server_is_ready_until_it_drains_and_healthy_until_it_ends() {
        let (backplane, draining) =
            (Backplane::embedded(&Broker::new(), "ChatApp"), CancellationToken::new());
        let router = router("here:1".to_owned(), backplane, draining.clone());
        assert_eq!(get_of(&router, "/readyz").await.0, StatusCode::OK);
        draining.cancel();
        let (status, text) = get_of(&router, "/readyz").await;
        assert_eq!((status, &text[..]), (StatusCode::SERVICE_UNAVAILABLE, &b"draining\n"[..]));
        assert_eq!(get_of(&router, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_server_without_its_broker_is_healthy_and_not_ready() {
        let backplane = Backplane::builder("ChatApp").connect_lazy("redis://127.0.0.1:1").unwrap();
        let router = router("here:1".to_owned(), backplane, CancellationToken::new());
        assert_eq!(get_of(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get_of(&router, "/healthz").await.0, StatusCode::OK);
    }

    async fn get_of(router: &Router, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), 1024).await.unwrap().to_vec())
    }
}
