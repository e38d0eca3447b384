//! Serves `negotiate`: a new connection id with its token, and the times of the protocol.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    reply::{self, Refusal},
    request::ClassicRequest,
    service::{Service, Users},
    times,
    token::{self, Identity},
};

/// Serves `negotiate`. It creates no connection.
pub(super) fn negotiate(
    service: &Service,
    request: &ClassicRequest,
    users: &Users,
    callback: Option<&str>,
) -> Response {
    if service.is_stopping() {
        let text = "The server is shutting down.";
        let mut refused = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return refused;
    }
    let identity = Identity { connection_id: token::connection_id(), user: users.identity() };
    let negotiation = Negotiation {
        url: &request.path().replace("/negotiate", ""),
        connection_token: &service.tokens.connection(&identity),
        connection_id: &identity.connection_id,
        keep_alive_timeout: (2 * times::KEEP_ALIVE).as_secs_f64(),
        disconnect_timeout: times::DISCONNECT.as_secs_f64(),
        connection_timeout: times::POLL.as_secs_f64(),
        try_web_sockets: true,
        protocol_version: &request.version().agreed(),
        transport_connect_timeout: times::TRANSPORT_CONNECT.as_secs_f64(),
        long_poll_delay: service.settings.long_poll_delay.as_secs_f64(),
    };
    let text = serde_json::to_vec(&negotiation).expect("texts and numbers always serialise");
    reply::uncached(reply::json(text, callback))
}

/// In the order of SignalR 2. Times are in seconds.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Negotiation<'a> {
    url: &'a str,
    connection_token: &'a str,
    connection_id: &'a str,
    keep_alive_timeout: f64,
    disconnect_timeout: f64,
    connection_timeout: f64,
    try_web_sockets: bool,
    protocol_version: &'a str,
    transport_connect_timeout: f64,
    long_poll_delay: f64,
}
