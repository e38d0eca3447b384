//! `GET /status`: the name of the server and the state of its backplane.
//!
//! The page polls it, since the WebSocket stays open when the backplane is disconnected.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::header, response::IntoResponse, routing::get};
use backplane::Backplane;
use serde::Serialize;

/// Serves the status of one server.
pub(crate) fn router(server: String, backplane: Backplane) -> Router {
    Router::new().route("/status", get(status)).with_state(Arc::new(Server { server, backplane }))
}

struct Server {
    server: String,
    backplane: Backplane,
}

async fn status(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let state = server.backplane.state();
    let (state, error) = match state {
        backplane::State::Connected => ("connected", None),
        backplane::State::Disconnected { .. } => ("disconnected", Some(UNREACHABLE)),
        _ => ("connecting", None),
    };
    let status = Status {
        server: server.server.clone(),
        app: server.backplane.app_name().to_owned(),
        backplane: BackplaneStatus { state, error },
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(status))
}

#[derive(Serialize)]
struct Status {
    server: String,
    app: String,
    backplane: BackplaneStatus,
}

#[derive(Serialize)]
struct BackplaneStatus {
    state: &'static str,
    error: Option<&'static str>,
}

/// The reason itself is in the log: it may name addresses and users of the broker.
const UNREACHABLE: &str = "The broker is not reachable.";

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
        let request = Request::get("/status").body(Body::empty()).unwrap();
        let response = router("here:1".to_owned(), backplane).oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let found: Value = serde_json::from_slice(&body).unwrap();
        let connected = json!({"state": "connected", "error": null});
        assert_eq!(found, json!({"server": "here:1", "app": "ChatApp", "backplane": connected}));
    }
}
