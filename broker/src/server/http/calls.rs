//! `POST /command` and `POST /stream`: commands of the broker over HTTP, for the console page and for
//! scripts.
//!
//! A page of a foreign site must not reach the broker through the browser of somebody who may. So the
//! host must be an address or a known name, and the origin, if there is one, the same host. The body
//! is read only after its caller is known.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{Stream, stream};
use resp::value::Value;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::json::{json as as_json, lossy};
use super::local_client::{LocalClient, Memory, NoReply};
use super::words::{WORDS_MAX, Words};
use super::{Connection, EXPECTED_TOKEN, Sources, has_token};
use crate::address::Address;
use crate::config::Config;
use crate::server::accept::Identity;
use crate::server::accept::{PROTECTED, is_protected};
use crate::server::within::{self, Origin};

/// A request that may run commands.
pub(super) struct Caller {
    origin: Origin,
    /// The token and the user of the settings when it came.
    access: Access,
}

/// The token and the user of the settings.
type Access = (Option<Vec<u8>>, Option<String>);

/// The response to a caller that gets no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

/// Maximum size of a request. As words it takes several times as much.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests up to this size need no share of the memory: those of all connections together are few.
const SMALL_BODY_BYTES: usize = 16 * 1024;
/// Maximum time in which a request arrives.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// A stream without messages has an empty line after this time, so that a connection that is gone is
/// noticed.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Reason of a caller that has not logged in, in Redis' words.
const NO_LOGIN: &str = "NOAUTH Authentication required.";

impl FromRequestParts<Arc<Sources>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        sources: &Arc<Sources>,
    ) -> Result<Self, Refusal> {
        let config = sources.server.settings.get();
        check_host(&parts.headers, &config.http.names)
            .map_err(|reason| Refusal::new(StatusCode::FORBIDDEN, reason))?;
        let user = user(&parts.headers, sources, &config)?;
        let Some(connection) = parts.extensions.get::<Connection>() else {
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no address is known"));
        };
        let (peer, local) = connection.ends;
        if user.is_none() {
            if is_protected(&sources.server, &config, &Address::Tcp(peer)) {
                let text = within::refuse(&sources.server, PROTECTED);
                return Err(Refusal::new(StatusCode::FORBIDDEN, within::reason(text)));
            }
            if !sources.server.users.is_open() {
                return Err(Refusal::new(StatusCode::UNAUTHORIZED, NO_LOGIN));
            }
        }
        let identity = user.map_or(Identity::Unknown, Identity::User);
        Ok(Self { origin: Origin { peer, local, identity }, access: access(&config) })
    }
}

/// Runs a command, and returns its reply.
pub(super) async fn run_command(
    State(sources): State<Arc<Sources>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let (_, reply) = call(&sources, &caller, read(&sources, request).await?).await?;
    Ok(Json(json!({ "reply": as_json(&reply) })).into_response())
}

/// Runs a command such as `SUBSCRIBE`, and returns what arrives until the client leaves, each as a line
/// of JSON. The reply of any other command is the only line.
pub(super) async fn run_stream(
    State(sources): State<Arc<Sources>>,
    Extension(connection): Extension<Connection>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let Ok(place) = sources.streams.clone().try_acquire_owned() else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open"));
    };
    let read = read(&sources, request).await?;
    let name = read.0.0.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    let goes_on =
        [&b"monitor"[..], b"subscribe", b"psubscribe", b"ssubscribe"].contains(&&name[..]);
    let (client, reply) = call(&sources, &caller, read).await?;
    let content = [(header::CONTENT_TYPE, "application/x-ndjson")];
    if !goes_on {
        return Ok((content, format!("{}\n", as_json(&reply))).into_response());
    }
    let lines = lines(sources, connection, (client, reply), (caller.access, place));
    Ok((content, Body::from_stream(lines)).into_response())
}

/// Returns the lines of a stream. It ends with its client, and when the settings name another token.
fn lines(
    sources: Arc<Sources>,
    connection: Connection,
    (client, reply): (LocalClient, Value),
    (begun_by, place): (Access, OwnedSemaphorePermit),
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((client, Some(reply), place), move |(mut client, reply, place)| {
        let (sources, connection, known) = (sources.clone(), connection.clone(), begun_by.clone());
        async move {
            connection.progresses();
            let lines = match timeout(HEARTBEAT, client.lines(reply)).await {
                Ok(lines) => lines.ok()?,
                Err(_) => Bytes::from_static(b"\n"),
            };
            let is_valid = access(&sources.server.settings.get()) == known;
            is_valid.then_some((Ok(lines), (client, None, place)))
        }
    })
}

fn access(config: &Config) -> Access {
    (config.http.token.clone(), config.http.user.clone())
}

/// Reads the words of a command, and returns them with their share of the memory for requests.
async fn read(sources: &Sources, request: Request) -> Result<(Words, Memory), Refusal> {
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|content| {
        let kind = content.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !is_json {
        // Browsers send other types for foreign pages without a question.
        let reason = "expected the content type application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u32>().ok());
    let Some(length) = length else {
        return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "expected a content length"));
    };
    let too_large = || {
        let reason = format!("expected at most {BODY_BYTES_MAX} bytes and {WORDS_MAX} words");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    };
    if length as usize > BODY_BYTES_MAX {
        return Err(too_large());
    }
    let memory = match length as usize <= SMALL_BODY_BYTES {
        true => None,
        false => {
            let waiting = sources.requests.clone().acquire_many_owned(length);
            let Ok(Ok(memory)) = timeout(BODY_TIME_MAX, waiting).await else {
                let reason = "too many large requests arrive";
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason));
            };
            Some(memory)
        }
    };
    let reading = to_bytes(request.into_body(), BODY_BYTES_MAX);
    let Ok(body) = timeout(BODY_TIME_MAX, reading).await else {
        let reason = "the request did not arrive in time";
        return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason));
    };
    let body = body.map_err(|_| too_large())?;
    match serde_json::from_slice::<Words>(&body) {
        Ok(words) if !words.0.is_empty() => Ok((words, memory)),
        Ok(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "expected the words of a command")),
        Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string())),
    }
}

/// Runs a command, and returns the client with its reply; an error of the broker is a refusal.
async fn call(
    sources: &Sources,
    Caller { origin, access: known }: &Caller,
    (Words(words), memory): (Words, Memory),
) -> Result<(LocalClient, Value), Refusal> {
    let config = sources.server.settings.get();
    if access(&config) != *known {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, EXPECTED_TOKEN));
    }
    let renamed = config.rename_command.iter().find(|(old, _)| old.eq_ignore_ascii_case("client"));
    let name = renamed.map_or("client", |(_, new)| new);
    if let [client, reply, ..] = &words[..]
        && client.eq_ignore_ascii_case(name.as_bytes())
        && reply.eq_ignore_ascii_case(b"reply")
    {
        let reason = "each command over HTTP has a reply, so CLIENT REPLY changes nothing";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    match LocalClient::call(sources, origin.clone(), words, memory).await {
        Ok((_, Value::Error(text))) => Err(Refusal::new(status(&text), lossy(&text))),
        Ok(called) => Ok(called),
        Err(error) => Err(Refusal::new(error.status(), error.to_string())),
    }
}

/// Returns the user of the token; none if the settings have no token.
fn user(
    headers: &HeaderMap,
    sources: &Sources,
    config: &Config,
) -> Result<Option<Box<[u8]>>, Refusal> {
    let Some(token) = &config.http.token else { return Ok(None) };
    if !has_token(headers, token) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, EXPECTED_TOKEN));
    }
    let Some(name) = &config.http.user else {
        let reason = "http-token names no user, so the token opens the metrics only";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    };
    match sources.server.users.get(name.as_bytes()).filter(|user| user.is_enabled()) {
        Some(_) => Ok(Some(name.as_bytes().into())),
        None => {
            let reason = format!("the user '{name}' of http-token is off or missing");
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
        // The body may be unread, so the next request could not be found.
        let close = AppendHeaders([(header::CONNECTION, "close")]);
        (self.status, challenge, close, Json(json!({ "error": self.reason }))).into_response()
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
}
