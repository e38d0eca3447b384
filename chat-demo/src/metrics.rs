//! `GET /metrics`: the metrics of the hub and of its backplane, in the text format of Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use backplane::Backplane;
use prometheus_client::{encoding::text::encode, registry::Registry};
use signalr::Hub;

/// Serves the metrics of one server.
pub(crate) fn router(hub: &Hub, backplane: &Backplane) -> Router {
    let mut registry = Registry::default();
    hub.register(&mut registry);
    backplane.register(&mut registry);
    Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry))
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use broker::Broker;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_metrics_are_those_of_the_hub_and_of_its_backplane() {
        let backplane = Backplane::embedded(&Broker::new(), "ChatApp");
        let hub = Hub::new("ChatHub", backplane.clone());
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = router(&hub, &backplane).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        for line in [
            r#"signalr_delivered_total{app="ChatApp",hub="ChatHub"} 0"#,
            r#"backplane_connected{app="ChatApp",hub="Hub",server="the broker in this process"} 1"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
