//! Serves `<hub>` itself: opens the transport of a connection.
//!
//! WebSockets is the only transport. All other requests are refused with ASP.NET Core's texts.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tracing::{Instrument, debug_span};

use crate::{
    hub::Hub,
    negotiated::{Claim, ClaimError},
    query::query,
    refusal::{foreign_page, refusal},
    session::{self, Peer},
    transport::websocket,
};

/// Serves any request on `<hub>`.
pub(crate) async fn connect(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if !hub.options().allow_page(&parts) {
        return foreign_page(&parts);
    }
    // As in ASP.NET Core, an empty id is no id.
    let token = query(&parts, "id").filter(|id| !id.is_empty());
    if is_websocket(&parts) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => accept(hub, &parts, token.as_deref(), upgrade),
            Err(rejection) => rejection.into_response(),
        };
    }
    refuse(&hub, &parts, token.as_deref())
}

/// Opens a WebSocket for a negotiated connection, or for a new one if the client skips negotiation.
fn accept(
    hub: Arc<Hub>,
    parts: &Parts,
    token: Option<&str>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let claim =
        match token.map(|token| hub.negotiated().claim(token, hub.options().disconnect_timeout)) {
            None => Claim::unnegotiated(),
            Some(Ok(claim)) => claim,
            Some(Err(ClaimError::Unknown)) => return unknown_id(),
            Some(Err(ClaimError::Active)) => return StatusCode::CONFLICT.into_response(),
        };
    let user = hub.user_of(parts);
    let span = debug_span!("connection", connection.id = %claim.connection_id);
    websocket::configure(upgrade, hub.options()).on_upgrade(move |socket| {
        let sessions = hub.sessions().clone();
        let session = async move {
            let peer = Peer { connection_id: Arc::clone(&claim.connection_id), user };
            session::serve(&hub, peer, websocket::halves(socket, hub.options())).await;
            drop(claim);
        };
        sessions.track_future(session.instrument(span))
    })
}

/// Refuses a request that is not a WebSocket.
fn refuse(hub: &Hub, parts: &Parts, token: Option<&str>) -> Response {
    if ![Method::GET, Method::POST, Method::DELETE].contains(&parts.method) {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "the hub expects GET, POST or DELETE");
    }
    let Some(token) = token else {
        return refusal(StatusCode::BAD_REQUEST, "Connection ID required");
    };
    if !hub.negotiated().contains(token, hub.options().disconnect_timeout) {
        return unknown_id();
    }
    match parts.method {
        Method::POST => refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "POST requests are not allowed for WebSocket connections.",
        ),
        Method::DELETE => refusal(
            StatusCode::BAD_REQUEST,
            "Cannot terminate this connection using the DELETE endpoint.",
        ),
        _ if accepts_events(parts) => unsupported("ServerSentEvents"),
        _ => unsupported("LongPolling"),
    }
}

fn unknown_id() -> Response {
    refusal(StatusCode::NOT_FOUND, "No Connection with that ID")
}

fn unsupported(transport: &str) -> Response {
    let text = format!("{transport} transport not supported by this end point type");
    refusal(StatusCode::NOT_FOUND, text)
}

fn is_websocket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE);
    parts.method == Method::CONNECT
        || upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn accepts_events(parts: &Parts) -> bool {
    let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/event-stream"))
}
