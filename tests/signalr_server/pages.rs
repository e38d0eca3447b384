//! Pages beside the hubs: tokens, redirects, cookies, and questions from outside of a call.

use std::time::SystemTime;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header::SET_COOKIE},
    middleware::Next,
    response::{IntoResponse, Response},
    routing,
};
use serde::Deserialize;
use serde_json::json;
use signalr::Hub;

use crate::authorization;

pub(crate) fn router(hub: Hub) -> Router {
    Router::new()
        .route("/generateJwtToken", routing::get(authorization::token))
        .route("/clientresult/{id}", routing::get(client_result))
        .route("/redirect/negotiate", routing::post(redirect))
        .route("/bad-negotiate/negotiate", routing::post(refuse))
        .with_state(hub)
}

/// Asks a client for a number, and returns the number or the reason.
async fn client_result(State(hub): State<Hub>, Path(id): Path<String>) -> String {
    match hub.clients().connection(id).invoke_with_result::<i32>("Result", ()).await {
        Ok(number) => number.to_string(),
        Err(error) => error.to_string(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedirectQuery {
    base_url: String,
}

/// Answers a negotiation with the address of the hub. A later answer has a higher number, also if it is
/// of another server.
async fn redirect(Query(query): Query<RedirectQuery>) -> impl IntoResponse {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = since.as_millis();
    Json(json!({"url": format!("{}/testHub?numRedirects={count}", query.base_url)}))
}

async fn refuse() -> impl IntoResponse {
    (StatusCode::BAD_REQUEST, "Some response from server")
}

/// Sets cookies with each negotiation. One of them has expired already.
pub(crate) async fn set_cookies(request: Request, next: Next) -> Response {
    let is_negotiation = request.uri().path().contains("/negotiate");
    let mut response = next.run(request).await;
    if is_negotiation {
        for cookie in COOKIES {
            response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
    }
    response
}

const COOKIES: [&str; 3] = [
    "testCookie=testValue; path=/",
    "testCookie2=testValue2; path=/",
    "expiredCookie=doesntmatter; path=/; expires=Thu, 01 Jan 2015 00:00:00 GMT",
];
