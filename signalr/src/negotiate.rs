//! Serves `POST <hub>/negotiate`: creates a connection and returns its ids and transports.
//!
//! In version 1 a connection has two ids. Other clients may see the connection id. The connection
//! token is a secret, which the client's own requests carry. Version 0 uses one id for both.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    hub::Hub,
    metrics::Reason,
    negotiated::Issued,
    query::query,
    redirect::Redirect,
    refusal::{because, full, refusal, unavailable, unlisted_page},
    transport_kind::TransportKind,
    user::Authenticated,
};

/// Serves any request on `<hub>/negotiate`.
pub(crate) async fn negotiate(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if parts.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "negotiate expects POST");
    }
    hub.farm().is_ready().await;
    let metrics = hub.metrics();
    match answer(&hub, &parts) {
        Ok(Answer::Here(answer)) => {
            metrics.negotiated("ok");
            Json(answer).into_response()
        }
        Ok(Answer::Elsewhere(elsewhere)) => {
            metrics.negotiated("redirected");
            // It has a credential for the other server.
            let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (no_store, Json(elsewhere)).into_response()
        }
        Err(refused) => {
            metrics.negotiated("refused");
            refused
        }
    }
}

/// Returns the answer, or a refusal.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn answer(hub: &Hub, parts: &Parts) -> Result<Answer, Response> {
    if let Some(refused) = unlisted_page(parts, hub.options()) {
        return Err(refused);
    }
    if hub.stopping().is_cancelled() {
        return Err(because(Reason::Draining, unavailable("the server is shutting down")));
    }
    if let Some(Redirect { url, access_token }) = hub.redirected(parts) {
        return Ok(Answer::Elsewhere(Elsewhere { url, access_token }));
    }
    if hub.is_full() {
        return Err(full());
    }
    let asked = query(parts, "negotiateVersion");
    let version = version(asked.as_deref(), hub.options().negotiate_version_min)
        .map_err(|error| Json(Refused { error }).into_response())?;
    let asks = query(parts, "useStatefulReconnect");
    let is_stateful = hub.options().stateful_reconnect
        && version > 0
        && asks.is_some_and(|asks| asks.eq_ignore_ascii_case("true"));
    let Issued { connection_id, token } = hub.negotiated().issue(version, is_stateful);
    let user = parts.extensions.get::<Authenticated>().filter(|_| hub.options().auth_refresh);
    Ok(Answer::Here(Negotiation {
        use_stateful_reconnect: is_stateful.then_some(true),
        negotiate_version: version,
        connection_id,
        connection_token: (version > 0).then_some(token),
        available_transports: hub.options().transports.iter().map(Transport::from).collect(),
        token_lifetime_seconds: user.and_then(Authenticated::lifetime),
    }))
}

/// Returns the version to use for the version that the client requests.
fn version(asked: Option<&str>, min: u8) -> Result<u8, String> {
    // A client that requests none wants version 0.
    let asked = asked.unwrap_or("0");
    match asked.trim().parse::<i32>() {
        Ok(0) if min == 0 => Ok(0),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime_seconds: Option<i32>,
}

enum Answer {
    Here(Negotiation),
    Elsewhere(Elsewhere),
}

/// Another server, where the client negotiates again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Elsewhere {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
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
        check_min(None, 1, Err(&unsupported("0")));
        check_min(Some("0"), 1, Err(&unsupported("0")));
        check_min(Some("1"), 1, Ok(1));
        check(
            Some("-1"),
            Err("The client requested version '-1', but the server does not support this version."),
        );
        for text in ["", "x", "1.0", "99999999999"] {
            check(Some(text), Err("The client requested a non-integer protocol version."));
        }
    }

    fn check(asked: Option<&str>, expected: Result<u8, &str>) {
        check_min(asked, 0, expected);
    }

    fn check_min(asked: Option<&str>, min: u8, expected: Result<u8, &str>) {
        assert_eq!(super::version(asked, min), expected.map_err(str::to_owned), "{asked:?}");
    }

    fn unsupported(asked: &str) -> String {
        format!(
            "The client requested version '{asked}', but the server does not support this version."
        )
    }
}
