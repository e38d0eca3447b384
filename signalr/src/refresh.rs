//! Serves `POST <hub>/refresh`: a client of .NET 11 renews the user of its connection.
//!
//! The client sends new credentials before its old ones expire. Its connection goes on with the new
//! user. The errors are JSON, as in ASP.NET Core.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    forwarding::{self, Forwarding, Located},
    hub::Hub,
    metrics::Reason,
    negotiated::Found,
    query::query,
    refusal::{because, refusal, unlisted_page},
    server_id::ServerId,
    user::{AuthError, Authenticated},
};

/// Serves any request on `<hub>/refresh`.
pub(crate) async fn refresh(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if parts.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "refresh expects POST");
    }
    if let Some(refused) = unlisted_page(&parts, hub.options()) {
        return refused;
    }
    if !hub.options().auth_refresh {
        return error(StatusCode::NOT_FOUND, "refresh_disabled");
    }
    let Some(token) = query(&parts, "id").filter(|id| !id.is_empty()) else {
        return error(StatusCode::BAD_REQUEST, "missing_connection_token");
    };
    let found = forwarding::find(&hub, &token).await;
    let Some((version, connection_id)) = hub.negotiated().read(&token) else {
        return because(Reason::Token, error(StatusCode::NOT_FOUND, "connection_not_found"));
    };
    if version == 0 {
        return error(StatusCode::BAD_REQUEST, "unsupported_negotiate_version");
    }
    let Some(connection) = hub.refreshables().find(&connection_id) else {
        if parts.extensions.get::<IsForwarded>().is_none()
            && let Some(owner) = owner(&hub, &token, found).await
            && let Some(response) =
                (Forwarding { hub: &hub, parts: &parts, token: &token, owner }).refresh().await
        {
            return uncached(response);
        }
        return because(Reason::Token, error(StatusCode::NOT_FOUND, "connection_not_found"));
    };
    // The number is taken before the authenticator runs, which may wait.
    let number = connection.begin();
    if let Some(authenticator) = hub.authenticator() {
        match authenticator(parts.clone()).await {
            Ok(Some(user)) => {
                parts.extensions.insert(user);
            }
            Ok(None) => {}
            Err(AuthError::Missing) => {
                return because(Reason::Auth, error(StatusCode::UNAUTHORIZED, "invalid_token"));
            }
            Err(AuthError::Denied) => return rejected(),
        }
    }
    let visitor = hub.visitor(&parts);
    let token_lifetime_seconds = visitor.user.as_ref().and_then(Authenticated::lifetime);
    if !connection.refresh(number, visitor.user_id.as_deref(), visitor.user) {
        return rejected();
    }
    uncached(Json(Refreshed { token_lifetime_seconds }).into_response())
}

/// Returns the other server that has the connection of a token.
async fn owner(hub: &Hub, token: &str, found: Found) -> Option<ServerId> {
    match found {
        Found::Elsewhere(owner) => Some(owner),
        Found::Foreign { home, .. } => {
            match forwarding::locate(hub.farm(), token, home, false).await {
                Located::At(owner) => Some(owner),
                Located::Opens | Located::Unknown => None,
            }
        }
        _ => None,
    }
}

/// In the extensions of a request that another server has passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsForwarded;

fn rejected() -> Response {
    because(Reason::Auth, error(StatusCode::FORBIDDEN, "permission_change_rejected"))
}

fn error(status: StatusCode, error: &'static str) -> Response {
    uncached((status, Json(Failed { error })).into_response())
}

fn uncached(response: Response) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], response).into_response()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refreshed {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime_seconds: Option<i32>,
}

#[derive(Serialize)]
struct Failed {
    error: &'static str,
}
