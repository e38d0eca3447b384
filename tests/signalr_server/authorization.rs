//! The token of the protected hub.

use axum::http::{header, request::Parts};
use signalr::{AuthError, User};

/// Returns the token, which is the same for all clients.
pub(crate) async fn token() -> &'static str {
    TOKEN
}

/// Finds the token where clients put it: browsers cannot set headers of a WebSocket.
pub(crate) async fn user_of(request: Parts) -> Result<Option<User<()>>, AuthError> {
    let header = request.headers.get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let mut pairs = request.uri.query().unwrap_or_default().split('&');
    let query = pairs.find_map(|pair| pair.strip_prefix("access_token="));
    match header.or(query) {
        Some(TOKEN) => Ok(Some(User::new("testuser", ()))),
        Some(_) | None => Err(AuthError::Missing),
    }
}

const TOKEN: &str = "the-token-of-these-tests";
