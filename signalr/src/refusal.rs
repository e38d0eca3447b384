//! The answer to a request that the hub does not serve.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// Returns a refusal in plain text, as ASP.NET Core sends it.
pub(crate) fn refusal(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text.into()).into_response()
}
