//! The token of the protected hub.

use axum::{
    Router,
    extract::{Query, Request},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

/// Lets requests with the token pass only. It does not see requests for other paths.
pub(crate) fn protect(router: Router) -> Router {
    router.route_layer(middleware::from_fn(check))
}

/// Returns the token, which is the same for all clients.
pub(crate) async fn token() -> &'static str {
    TOKEN
}

#[derive(Debug, Deserialize)]
struct InQuery {
    access_token: Option<String>,
}

/// Finds the token where clients put it: browsers cannot set headers of a WebSocket.
async fn check(Query(query): Query<InQuery>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if header == Some(TOKEN) || query.access_token.as_deref() == Some(TOKEN) {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

const TOKEN: &str = "the-token-of-these-tests";
