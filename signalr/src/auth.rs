//! Asks the application's authenticator about each request.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};

use crate::{
    hub::Hub,
    metrics::Reason,
    refusal::{because, refusal},
    user::{AuthError, Authenticated},
};

/// Refuses a request that the authenticator does not allow. Otherwise adds its user.
pub(crate) async fn authenticate(
    State(hub): State<Arc<Hub>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(authenticator) = hub.authenticator() else { return next.run(request).await };
    // The clients of `testing` bring their own user. The type is private, so others cannot.
    if request.extensions().get::<Authenticated>().is_some() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match authenticator(parts.clone()).await {
        Ok(Some(user)) => {
            parts.extensions.insert(user);
        }
        Ok(None) => {}
        Err(AuthError::Missing) => {
            // Without a text, JavaScript clients show the name of the status.
            return because(Reason::Auth, refusal(StatusCode::UNAUTHORIZED, ""));
        }
        Err(AuthError::Denied) => {
            return because(Reason::Auth, refusal(StatusCode::FORBIDDEN, ""));
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Counts refusals by their reasons.
pub(crate) async fn count_refusals(
    State(hub): State<Arc<Hub>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(&reason) = response.extensions().get::<Reason>() {
        hub.metrics().refused(reason);
    }
    response
}
