//! The requests that opened the connections, so that methods can report their headers.
//!
//! The token in a request names its connection. The answer to the negotiation has both.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::Response,
};
use parking_lot::Mutex;
use serde_json::Value;

/// The first request of each connection's transport. Clones share their content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Connection ids by token.
    ids: HashMap<String, String>,
    /// Requests by connection id.
    opened: HashMap<String, Opened>,
}

/// What the first request of a transport had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    pub(crate) transport: &'static str,
    headers: HeaderMap,
    query: String,
}

impl Requests {
    pub(crate) fn of(&self, connection_id: &str) -> Opened {
        self.0.lock().opened.get(connection_id).cloned().unwrap_or_default()
    }

    fn opened(&self, parts: &Parts) {
        let opened = Opened::from(parts);
        let Some(token) = opened.query("id") else { return };
        let mut known = self.0.lock();
        if let Some(id) = known.ids.get(&token).cloned() {
            known.opened.entry(id).or_insert(opened);
        }
    }

    fn negotiated(&self, answer: &Value) {
        let (id, token) = (answer["connectionId"].as_str(), answer["connectionToken"].as_str());
        if let Some(id) = id {
            self.0.lock().ids.insert(token.unwrap_or(id).to_owned(), id.to_owned());
        }
    }
}

impl Opened {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        Some(pairs.find(|(key, _)| *key == name)?.1.to_owned())
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.header(header::COOKIE.as_str())?;
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        Some(pairs.find(|(key, _)| *key == name)?.1.to_owned())
    }
}

impl From<&Parts> for Opened {
    fn from(parts: &Parts) -> Self {
        let accepts_events = parts
            .headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"));
        let transport = match parts.headers.contains_key(header::UPGRADE) {
            true => "WebSockets",
            false if accepts_events => "ServerSentEvents",
            false => "LongPolling",
        };
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Self { transport, headers: parts.headers.clone(), query }
    }
}

/// Remembers a request and reads the answer to a negotiation.
pub(crate) async fn remember(
    State(requests): State<Requests>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    requests.opened(&parts);
    let is_negotiation = parts.uri.path().ends_with("/negotiate");
    let response = next.run(Request::from_parts(parts, body)).await;
    if !is_negotiation {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
    if let Ok(answer) = serde_json::from_slice(&bytes) {
        requests.negotiated(&answer);
    }
    Response::from_parts(parts, Body::from(bytes))
}

const ANSWER_BYTES_MAX: usize = 64 * 1024;
