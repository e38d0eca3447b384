//! Asks the application's authenticator about each request.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
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
    // The clients of `testing` bring their own user. The type is private, so others cannot.
    if request.extensions().get::<Authenticated>().is_some() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match user(&hub, &parts).await {
        Ok(Some(user)) => {
            parts.extensions.insert(user);
        }
        Ok(None) => {}
        // Without a text, JavaScript clients show the name of the status.
        Err(error) => return because(Reason::Auth, refusal(status(error), "")),
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Returns the user of a request, or `None` without an authenticator or for an anonymous one.
///
/// # Errors
///
/// Returns the reason of the authenticator for a refusal.
pub(crate) async fn user(hub: &Hub, parts: &Parts) -> Result<Option<Authenticated>, AuthError> {
    match hub.authenticator() {
        Some(authenticator) => authenticator(parts.clone()).await,
        None => Ok(None),
    }
}

/// Returns the status of a refusal.
pub(crate) fn status(error: AuthError) -> StatusCode {
    match error {
        AuthError::Missing => StatusCode::UNAUTHORIZED,
        AuthError::Denied => StatusCode::FORBIDDEN,
    }
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
