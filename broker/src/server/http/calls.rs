//! `POST /command` and `POST /stream`: commands of the broker over HTTP, for the console page and for
//! scripts.
//!
//! A page of a foreign site must not reach the broker through the browser of somebody who may. So the
//! host must be an address or a known name, and the origin, if there is one, the same host.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use resp::value::Value;
use serde::Deserialize;
use serde_json::json;

use super::json::{json as as_json, lossy};
use super::local_client::{LocalClient, NoReply};
use super::{Connection, EXPECTED_TOKEN, Sources, has_token};
use crate::config::Config;
use crate::server::within::Origin;

/// A request that may run commands.
pub(super) struct Caller(Origin);

/// The response to a caller that gets no reply.
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

/// A word of a command.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Word {
    Text(String),
    Number(serde_json::Number),
}

impl FromRequestParts<Arc<Sources>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        sources: &Arc<Sources>,
    ) -> Result<Self, Refusal> {
        let config = sources.server.settings.get();
        if let Err(reason) = check_host(&parts.headers, &config.http.names) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        }
        let user = user(&parts.headers, sources, &config)?;
        let Some(connection) = parts.extensions.get::<Connection>() else {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no address is known"));
        };
        let (peer, local) = connection.ends;
        Ok(Self(Origin { peer, local, user }))
    }
}

/// Runs a command, and returns its reply.
pub(super) async fn run_command(
    State(sources): State<Arc<Sources>>,
    Caller(origin): Caller,
    Json(words): Json<Vec<Word>>,
) -> Response {
    match call(&sources, origin, words).await {
        Ok((_, reply)) => Json(json!({ "reply": as_json(&reply) })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Runs a command such as `SUBSCRIBE`, and returns what arrives until the client leaves, each as a line
/// of JSON.
pub(super) async fn run_stream(
    State(sources): State<Arc<Sources>>,
    Extension(connection): Extension<Connection>,
    Caller(origin): Caller,
    Json(words): Json<Vec<Word>>,
) -> Response {
    match call(&sources, origin, words).await {
        Ok((client, reply)) => {
            connection.keep();
            let lines = stream::unfold((client, Some(reply)), |(mut client, reply)| async move {
                let lines = client.lines(reply).await.ok()?;
                Some((Ok::<_, std::convert::Infallible>(lines), (client, None)))
            });
            let content = [(header::CONTENT_TYPE, "application/x-ndjson")];
            (content, Body::from_stream(lines)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Runs a command, and returns the client with its reply; an error of the broker is a response.
async fn call(
    sources: &Sources,
    origin: Origin,
    words: Vec<Word>,
) -> Result<(LocalClient, Value), Refusal> {
    if words.is_empty() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "expected the words of a command"));
    }
    let words: Vec<Vec<u8>> = words.into_iter().map(Word::into_bytes).collect();
    match LocalClient::call(sources, origin, &words).await {
        Ok((_, Value::Error(text))) => Err(Refusal::new(status(&text), lossy(&text))),
        Ok(called) => Ok(called),
        Err(error) => Err(Refusal::new(error.status(), error.to_string())),
    }
}

/// Returns the user of the token; none if the settings name no token.
fn user(
    headers: &HeaderMap,
    sources: &Sources,
    config: &Config,
) -> Result<Option<Box<[u8]>>, Refusal> {
    let Some(token) = &config.http.token else { return Ok(None) };
    if !has_token(headers, token) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, EXPECTED_TOKEN));
    }
    let name = config.http.user.as_bytes();
    match sources.server.users.get(name).filter(|user| user.is_enabled()) {
        Some(_) => Ok(Some(name.into())),
        None => {
            let reason = format!("the user '{}' of http-token is off or missing", config.http.user);
            Err(Refusal::new(StatusCode::FORBIDDEN, reason))
        }
    }
}

/// Checks the host and the origin of a request.
fn check_host(headers: &HeaderMap, names: &[String]) -> Result<(), &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(&header::HOST).and_then(|host| host.parse::<Authority>().ok());
    let host = host.ok_or("expected a Host header")?;
    let name = host.host().trim_matches(['[', ']']);
    let is_known = name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if !is_known {
        return Err("this host is no address, and not in http-names");
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let is_same =
                origin.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host.as_str()));
            if is_same { Ok(()) } else { Err("a page of another site may not run commands") }
        }
    }
}

/// Returns the status for an error of the broker.
fn status(text: &[u8]) -> StatusCode {
    match text.split(|byte| *byte == b' ').next() {
        Some(b"NOAUTH" | b"WRONGPASS") => StatusCode::UNAUTHORIZED,
        Some(b"NOPERM" | b"DENIED") => StatusCode::FORBIDDEN,
        Some(b"BUSY" | b"OOM" | b"LOADING") => StatusCode::SERVICE_UNAVAILABLE,
        Some(b"QUOTA") => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let challenge = (self.status == StatusCode::UNAUTHORIZED)
            .then_some(AppendHeaders([(header::WWW_AUTHENTICATE, "Bearer")]));
        (self.status, challenge, Json(json!({ "error": self.reason }))).into_response()
    }
}

impl Word {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Number(number) => number.to_string().into_bytes(),
        }
    }
}

impl NoReply {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(text) if text.starts_with("DENIED") => StatusCode::FORBIDDEN,
            Self::Refused(_) | Self::Closed | Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLong | Self::Invalid(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a value"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        check_host(&headers, &["Broker.example".to_owned()])
    }

    #[test]
    fn a_host_is_an_address_or_a_known_name() {
        for host in
            ["127.0.0.1", "10.0.0.5:9121", "[::1]:9121", "localhost:9121", "broker.EXAMPLE:9121"]
        {
            assert_eq!(check(host, None), Ok(()), "{host}");
            assert_eq!(check(host, Some(&format!("http://{host}"))), Ok(()), "{host}");
            for foreign in ["http://evil.example", "null", "http://127.0.0.1:1", ""] {
                assert!(check(host, Some(foreign)).is_err(), "{host} {foreign}");
            }
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"]
        {
            assert!(check(host, None).is_err(), "{host}");
        }
        assert!(check_host(&HeaderMap::new(), &[]).is_err());
    }

    #[test]
    fn words_are_texts_and_numbers() {
        let words: Vec<Word> = serde_json::from_str(r#"["SET", "k", 10, -1.5]"#).expect("words");
        let words: Vec<_> = words.into_iter().map(Word::into_bytes).collect();
        assert_eq!(words, [&b"SET"[..], b"k", b"10", b"-1.5"]);
        assert!(serde_json::from_str::<Vec<Word>>("[[]]").is_err());
    }
}
