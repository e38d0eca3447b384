//! The answer to a request that the hub does not serve.

use axum::{
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tracing::info;

use crate::origin::FORWARDED_HOST;

/// Returns a refusal in plain text, as ASP.NET Core sends it.
pub(crate) fn refusal(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text.into()).into_response()
}

/// Refuses a request for now. Clients may try again after a second.
pub(crate) fn unavailable(text: &str) -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (retry, refusal(StatusCode::SERVICE_UNAVAILABLE, text)).into_response()
}

/// Refuses a page of another origin. Logs it at `info`, since the usual cause is a proxy that
/// rewrites `Host`.
pub(crate) fn foreign_page(parts: &Parts) -> Response {
    // The debug format escapes control characters, so a client cannot forge a log line.
    let value = |name: &str| parts.headers.get(name);
    info!(
        origin = ?value(header::ORIGIN.as_str()),
        host = ?value(header::HOST.as_str()),
        forwarded_host = ?value(FORWARDED_HOST),
        "refused a page of another origin"
    );
    refusal(StatusCode::FORBIDDEN, "the origin of this page is not allowed")
}
