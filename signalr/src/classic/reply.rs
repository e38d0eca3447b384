//! Replies with the headers of SignalR 2, and refusals with its texts.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

/// The reply to a request that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// Returns a refusal for which a server of SignalR 2 throws an exception.
    pub(super) fn failed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    pub(super) fn bad_request(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // As in SignalR 2, the text has no type. Browsers do not guess one.
        let mut response = (self.status, Body::from(self.text.into_owned())).into_response();
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        response
    }
}

/// Returns JSON, or a call of the function `callback` with it.
pub(super) fn json(text: impl Into<Bytes>, callback: Option<&str>) -> Response {
    let text = text.into();
    match callback {
        Some(callback) => {
            let script = [callback.as_bytes(), b"(", &text, b");"].concat();
            body(SCRIPT, Body::from(script))
        }
        None => body(JSON, Body::from(text)),
    }
}

/// Returns a body of a type. Browsers do not guess another type.
pub(super) fn body(content_type: &'static str, body: Body) -> Response {
    with_type(content_type, Response::new(body))
}

fn with_type(content_type: &'static str, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// Adds the headers that keep proxies from holding or storing a reply.
pub(super) fn uncached(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Returns whether a text is the name of a function in JavaScript, with dots.
pub(super) fn is_callback(text: &str) -> bool {
    let is_name = |part: &str| {
        let is_start = |first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '$');
        part.chars().next().is_some_and(is_start)
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
    };
    text.len() <= CALLBACK_BYTES_MAX && text.split('.').all(is_name)
}

pub(super) const JSON: &str = "application/json; charset=UTF-8";
pub(super) const SCRIPT: &str = "application/javascript; charset=UTF-8";
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CALLBACK_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    #[test]
    fn a_callback_is_a_name() {
        for (text, expected) in [
            ("f", true),
            ("jQuery3_1.$cb_2", true),
            ("", false),
            ("a.", false),
            ("1a", false),
            ("alert(1)", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(super::is_callback(text), expected, "{text}");
        }
    }
}
