//! Serves `POST <hub>/negotiate`: creates a connection and returns its ids and transports.
//!
//! In version 1 a connection has two ids. Other clients may see the connection id. The connection
//! token is a secret, which the client's own requests carry. Version 0 uses one id for both.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    hub::Hub,
    negotiated::Issued,
    query::query,
    refusal::{foreign_page, refusal, unavailable},
    transport_kind::TransportKind,
};

/// Serves any request on `<hub>/negotiate`.
pub(crate) async fn negotiate(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if parts.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "negotiate expects POST");
    }
    if !hub.options().allow_page(&parts) {
        return foreign_page(&parts);
    }
    if hub.stopping().is_cancelled() {
        return unavailable("the server is shutting down");
    }
    if hub.is_full() {
        return unavailable("the server has too many connections");
    }
    let version = match version(query(&parts, "negotiateVersion").as_deref()) {
        Ok(version) => version,
        Err(error) => return Json(Refused { error }).into_response(),
    };
    let asks = query(&parts, "useStatefulReconnect");
    let is_stateful = hub.options().stateful_reconnect
        && version > 0
        && asks.is_some_and(|asks| asks.eq_ignore_ascii_case("true"));
    let Issued { connection_id, token } = hub.negotiated().issue(version, is_stateful);
    let answer = Negotiation {
        use_stateful_reconnect: is_stateful.then_some(true),
        negotiate_version: version,
        connection_id,
        connection_token: (version > 0).then_some(token),
        available_transports: hub.options().transports.iter().map(Transport::from).collect(),
    };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (no_store, Json(answer)).into_response()
}

/// Returns the version to use for the version that the client requests.
fn version(asked: Option<&str>) -> Result<u8, String> {
    let Some(asked) = asked else { return Ok(0) };
    match asked.trim().parse::<i32>() {
        Ok(0) => Ok(0),
        Ok(1..) => Ok(VERSION_MAX),
        Ok(_) => Err(format!(
            "The client requested version '{asked}', but the server does not support this version."
        )),
        Err(_) => Err("The client requested a non-integer protocol version.".to_owned()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Negotiation {
    #[serde(skip_serializing_if = "Option::is_none")]
    use_stateful_reconnect: Option<bool>,
    negotiate_version: u8,
    connection_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<String>,
    available_transports: Vec<Transport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transport {
    transport: &'static str,
    transfer_formats: &'static [&'static str],
}

impl From<&TransportKind> for Transport {
    fn from(kind: &TransportKind) -> Self {
        Self { transport: kind.name(), transfer_formats: kind.formats() }
    }
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

const VERSION_MAX: u8 = 1;

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_the_highest_that_both_support() {
        check(None, Ok(0));
        check(Some("0"), Ok(0));
        check(Some("1"), Ok(1));
        check(Some("17"), Ok(1));
        check(
            Some("-1"),
            Err("The client requested version '-1', but the server does not support this version."),
        );
        for text in ["", "x", "1.0", "99999999999"] {
            check(Some(text), Err("The client requested a non-integer protocol version."));
        }
    }

    fn check(asked: Option<&str>, expected: Result<u8, &str>) {
        assert_eq!(super::version(asked), expected.map_err(str::to_owned), "{asked:?}");
    }
}
