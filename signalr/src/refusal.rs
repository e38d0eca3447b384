//! The answer to a request that the hub does not serve.

use axum::{
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use tracing::info;

use crate::{metrics::Reason, options::Options, origin::FORWARDED_HOST};

/// Returns a refusal in plain text, as ASP.NET Core sends it.
pub(crate) fn refusal(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text.into()).into_response()
}

/// Refuses a request for now. Clients may try again after a second.
pub(crate) fn unavailable(text: &str) -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (retry, refusal(StatusCode::SERVICE_UNAVAILABLE, text)).into_response()
}

/// Refuses a new connection, since there are too many.
pub(crate) fn full() -> Response {
    because(Reason::Limit, unavailable("the server has too many connections"))
}

/// Adds the reason of a refusal, which the router counts.
pub(crate) fn because(reason: Reason, mut response: Response) -> Response {
    response.extensions_mut().insert(reason);
    response
}

/// Returns the refusal of a request from a page or for a host that the hub does not serve.
pub(crate) fn unlisted_page(parts: &Parts, options: &Options) -> Option<Response> {
    if !options.allow_host_of(parts) {
        return Some(foreign_host(parts));
    }
    (!options.allow_page(parts)).then(|| foreign_page(parts))
}

/// Refuses a request for another host. Logs it at `info`, since the usual cause is a name that the
/// operator has not listed.
fn foreign_host(parts: &Parts) -> Response {
    info!(
        host = ?parts.headers.get(header::HOST),
        forwarded_host = ?parts.headers.get(FORWARDED_HOST),
        "refused a request for another host"
    );
    because(Reason::Host, refusal(StatusCode::FORBIDDEN, "this host is not allowed"))
}

/// Refuses a page of another origin. Logs it at `info`, since the usual cause is a proxy that
/// rewrites `Host`.
fn foreign_page(parts: &Parts) -> Response {
    // The debug format escapes control characters, so a client cannot forge a log line.
    let value = |name: &str| parts.headers.get(name);
    info!(
        origin = ?value(header::ORIGIN.as_str()),
        host = ?value(header::HOST.as_str()),
        forwarded_host = ?value(FORWARDED_HOST),
        "refused a page of another origin"
    );
    let text = "the origin of this page is not allowed";
    because(Reason::Origin, refusal(StatusCode::FORBIDDEN, text))
}
