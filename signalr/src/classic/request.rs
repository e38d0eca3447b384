//! A request of a client of SignalR 2: its endpoint and its parameters.
//!
//! An endpoint is the end of the path, and its case does not matter. Parameters come in the query,
//! for long polling also in a form.

use std::time::Duration;

use axum::{
    body::{self, Body},
    extract::OriginalUri,
    http::{StatusCode, request::Parts},
};
use serde::Deserialize;
use tokio::time;

use super::reply::Refusal;

/// The part of a request that precedes its body.
#[derive(Debug)]
pub(super) struct ClassicRequest {
    pub(super) parts: Parts,
    pub(super) endpoint: Endpoint,
    parameters: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Script,
    Negotiate,
    Ping,
    Connect,
    Reconnect,
    Poll,
    Start,
    Send,
    Abort,
    /// SignalR 2 handles it like a request for a transport.
    Unknown,
}

impl ClassicRequest {
    pub(super) fn new(parts: Parts) -> Self {
        let endpoint = Endpoint::of(parts.uri.path());
        let parameters = pairs(parts.uri.query().unwrap_or_default().as_bytes());
        Self { parts, endpoint, parameters }
    }

    /// Returns the first value of a parameter. The case of its name is ignored.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let is_named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.parameters.iter().find(is_named).map(|(_, value)| value.as_str())
    }

    /// Adds the parameters of a form.
    pub(super) async fn read_form(&mut self, body: Body) -> Result<(), Refusal> {
        let form = read_body(body, FORM_BYTES_MAX).await?;
        self.parameters.extend(pairs(&form));
        Ok(())
    }

    /// Returns the path that the client requested, also within a nested router. As with SignalR 2,
    /// the path of this server has its own spelling.
    pub(super) fn path(&self) -> String {
        let path = self.parts.uri.path();
        let original = self.parts.extensions.get::<OriginalUri>();
        let outer = original.map_or("", |OriginalUri(uri)| {
            let uri = uri.path();
            uri.len().checked_sub(path.len()).and_then(|length| uri.get(..length)).unwrap_or("")
        });
        format!("{outer}{path}")
    }

    /// Returns the names of the hubs that the client subscribes to.
    pub(super) fn hub_names(&self) -> Result<Vec<String>, Refusal> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(alias = "Name")]
            name: String,
        }
        let text = self.parameter("connectionData").unwrap_or_default();
        if text.len() > CONNECTION_DATA_BYTES_MAX {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "connectionData is too long."));
        }
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let named: Vec<Named> = serde_json::from_str(text)
            .map_err(|_| Refusal::failed("connectionData is no list of hubs."))?;
        Ok(named.into_iter().map(|named| named.name).collect())
    }

    /// Returns the client's version of the protocol.
    pub(super) fn version(&self) -> Version {
        self.parameter("clientProtocol").and_then(Version::parse).unwrap_or(Version::MIN)
    }
}

impl Endpoint {
    fn of(path: &str) -> Self {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let known = ENDPOINTS.iter().find(|(name, _)| last.eq_ignore_ascii_case(name));
        known.map_or(Self::Unknown, |(_, endpoint)| *endpoint)
    }
}

/// A version of the client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// SignalR 2 assumes it for clients that name none.
    pub(super) const MIN: Self = Self { major: 1, minor: 2 };
    pub(super) const MAX: Self = Self { major: 2, minor: 0 };
    /// The first version in which clients send `start`.
    const START: Self = Self { major: 1, minor: 4 };

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Returns whether clients of this version send `start`.
    pub(super) fn has_start(self) -> bool {
        self >= Self::START
    }

    /// Returns the text of the version that both sides support.
    pub(super) fn agreed(self) -> String {
        let Self { major, minor } = self.clamp(Self::MIN, Self::MAX);
        format!("{major}.{minor}")
    }
}

/// Reads a body up to a limit, within a deadline.
pub(super) async fn read_body(body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let read = body::to_bytes(body, bytes_max);
    match time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body is too slow.")),
    }
}

/// Returns the pairs of a query or a form.
pub(super) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

const ENDPOINTS: [(&str, Endpoint); 10] = [
    ("hubs", Endpoint::Script),
    ("js", Endpoint::Script),
    ("negotiate", Endpoint::Negotiate),
    ("ping", Endpoint::Ping),
    ("connect", Endpoint::Connect),
    ("reconnect", Endpoint::Reconnect),
    ("poll", Endpoint::Poll),
    ("start", Endpoint::Start),
    ("send", Endpoint::Send),
    ("abort", Endpoint::Abort),
];

/// More than the names of many hubs.
const CONNECTION_DATA_BYTES_MAX: usize = 16 * 1024;
/// More than a cursor and a groups token of the maximum size.
const FORM_BYTES_MAX: usize = 128 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn the_end_of_the_path_is_the_endpoint() {
        for (path, expected) in [
            ("/signalr/negotiate", Endpoint::Negotiate),
            ("/signalr/NEGOTIATE", Endpoint::Negotiate),
            ("/signalr/signalr/poll", Endpoint::Poll),
            ("/signalr/hubs/", Endpoint::Script),
            ("/signalr/js", Endpoint::Script),
            ("/signalr", Endpoint::Unknown),
            ("/signalr/nothing", Endpoint::Unknown),
            ("/", Endpoint::Unknown),
        ] {
            assert_eq!(Endpoint::of(path), expected, "{path}");
        }
    }

    #[test]
    fn the_version_is_one_that_both_support() {
        for (query, expected, has_start) in [
            ("", "1.2", false),
            ("?clientProtocol=", "1.2", false),
            ("?clientProtocol=x", "1.2", false),
            ("?clientProtocol=2", "1.2", false),
            ("?clientProtocol=1.0", "1.2", false),
            ("?clientProtocol=1.3", "1.3", false),
            ("?clientProtocol=1.4", "1.4", true),
            ("?clientprotocol=1.5", "1.5", true),
            ("?clientProtocol=2.0", "2.0", true),
            ("?clientProtocol=2.1", "2.0", true),
            ("?clientProtocol=99999999999.1", "1.2", false),
        ] {
            let version = request(query).version();
            assert_eq!((&*version.agreed(), version.has_start()), (expected, has_start), "{query}");
        }
    }

    #[test]
    fn hubs_have_a_name_in_either_case() {
        let names = |data: &str| {
            let query: String = form_urlencoded::byte_serialize(data.as_bytes()).collect();
            request(&format!("?connectionData={query}")).hub_names().ok()
        };
        assert_eq!(names(r#"[{"name":"chathub"}]"#), Some(vec!["chathub".to_owned()]));
        assert_eq!(names(r#"[{"Name":"ChatHub"}]"#), Some(vec!["ChatHub".to_owned()]));
        assert_eq!(names(""), Some(vec![]));
        assert_eq!(names("[]"), Some(vec![]));
        for data in ["{}", "nope", "[1]", "[{}]", &format!("[{}]", " ".repeat(20_000))] {
            assert_eq!(names(data), None, "{data}");
        }
        assert_eq!(request("").hub_names().ok(), Some(vec![]));
    }

    fn request(query: &str) -> ClassicRequest {
        let request = Request::get(format!("/signalr/connect{query}")).body(()).unwrap();
        ClassicRequest::new(request.into_parts().0)
    }
}
