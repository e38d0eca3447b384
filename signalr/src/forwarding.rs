//! Requests for connections that other servers of the app have.
//!
//! A load balancer sends the requests of one client to any server. The one that receives a request
//! asks the home of the token where the connection is, and passes the request on to its owner. A
//! WebSocket and a response of events are never passed on: the server that receives them owns them.
//!
//! A large body travels in parts, so it is bounded on the way as it is on the owner. A client that
//! hangs up ends its request on the owner as well.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time;

use crate::{
    blob::Blob,
    farm::Farm,
    http_connection::QUEUE_BYTES_MAX,
    hub::Hub,
    metrics::Reason,
    negotiated::{Found, LEFT, Whereabouts},
    refusal::{because, refusal},
    server_id::ServerId,
};

/// Where the connection of a token is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Located {
    At(ServerId),
    /// Nowhere, and this server opens it.
    Opens,
    Unknown,
}

/// A question about the place of a token.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Wanted<'a> {
    pub(crate) token: Cow<'a, str>,
    /// Whether the asker opens the connection if no server has it.
    pub(crate) enters: bool,
}

/// A request on its way to the server that has its connection.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Forwarded<'a> {
    pub(crate) token: Cow<'a, str>,
    /// The user that the authenticator of the other server has found.
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) action: Action,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Sends hub messages, or a part of them.
    Post(Blob),
    Poll {
        /// Names the poll if the client hangs up.
        number: u64,
        /// Set if the client may have sent new credentials.
        headers: Option<Headers>,
    },
    Terminate,
    /// Renews the user. The owner's authenticator finds it.
    Refresh {
        headers: Headers,
    },
}

/// The headers of a request.
pub(crate) type Headers = Vec<(String, String)>;

/// The answer to a forwarded request.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Blob,
}

/// Returns the state of a token. If it needs a key of another server, that is fetched.
pub(crate) async fn find(hub: &Hub, token: &str) -> Found {
    let found = hub.negotiated().find(token, hub.ages());
    if !matches!(found, Found::UnknownKey) {
        return found;
    }
    hub.farm().exchange_keys().await;
    match hub.negotiated().find(token, hub.ages()) {
        Found::UnknownKey => Found::Unknown,
        found => found,
    }
}

/// Finds the connection of a token of another server. If `enters`, and no server has it, this one
/// opens it.
pub(crate) async fn locate(farm: &Farm, token: &str, home: ServerId, enters: bool) -> Located {
    let wanted = Wanted { token: token.into(), enters };
    match farm.ask(home, WHEREABOUTS, &wanted, HOME_TIMEOUT).await {
        Some(Whereabouts::Here) => Located::At(home),
        Some(Whereabouts::At(owner)) => {
            ServerId::parse(&owner).map_or(Located::Unknown, Located::At)
        }
        Some(Whereabouts::Entered) => Located::Opens,
        Some(Whereabouts::Unknown) => Located::Unknown,
        None => {
            // The home is gone, and with it the list of its connections.
            let wanted = Wanted { enters: false, ..wanted };
            let asking = farm.ask_others::<Whereabouts>(WHEREABOUTS, &wanted, HOME_TIMEOUT);
            let answers = asking.await;
            let owner = answers.into_iter().find(|(_, place)| *place == Whereabouts::Here);
            match owner {
                Some((owner, _)) => Located::At(owner),
                None if enters => Located::Opens,
                None => Located::Unknown,
            }
        }
    }
}

/// One request for a connection on another server.
pub(crate) struct Forwarding<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) parts: &'a Parts,
    pub(crate) token: &'a str,
    pub(crate) owner: ServerId,
}

impl Forwarding<'_> {
    /// Sends the body of a POST.
    pub(crate) async fn post(&self, body: Body) -> Response {
        let options = self.hub.options();
        if body.size_hint().lower() > options.post_bytes_max as u64 {
            return refusal(StatusCode::BAD_REQUEST, "");
        }
        let passed = time::timeout(options.poll_timeout, self.pass_on(body)).await;
        match passed {
            Ok(Ok(response) | Err(response)) => response,
            Err(_) => refusal(StatusCode::REQUEST_TIMEOUT, ""),
        }
    }

    async fn pass_on(&self, body: Body) -> Result<Response, Response> {
        let mut partial = Notice::new(self, BROKE_OFF, self.token.to_owned());
        let (mut pieces, mut gathered, mut bytes) = (body.into_data_stream(), BytesMut::new(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| refusal(StatusCode::BAD_REQUEST, ""))?;
            bytes += piece.len();
            if bytes > self.hub.options().post_bytes_max {
                return Err(refusal(StatusCode::BAD_REQUEST, ""));
            }
            if !gathered.is_empty() && gathered.len() + piece.len() > QUEUE_BYTES_MAX {
                let part = Blob::from(&gathered.split()[..]);
                // Due before the answer: a client that hangs up meanwhile has sent a part as well.
                let has_parts = std::mem::replace(&mut partial.is_due, true);
                let response = self.send(Action::Post(part), self.waiting()).await;
                if response.status() != StatusCode::OK {
                    partial.is_due = has_parts;
                    return Err(response);
                }
            }
            gathered.extend_from_slice(&piece);
        }
        let response = self.send(Action::Post(Blob::from(&gathered[..])), self.waiting()).await;
        partial.is_due &= response.status() != StatusCode::OK;
        Ok(response)
    }

    pub(crate) async fn poll(&self) -> Response {
        let number = rand::random();
        let mut hung_up = Notice::new(self, HUNG_UP, number);
        hung_up.is_due = true;
        let headers = self.hub.options().auth_refresh.then(|| self.headers());
        let response = self.send(Action::Poll { number, headers }, self.waiting()).await;
        hung_up.is_due = false;
        response
    }

    pub(crate) async fn terminate(&self) -> Response {
        self.send(Action::Terminate, self.hub.options().write_timeout).await
    }

    /// Renews the user. Returns `None` if the owner does not answer.
    pub(crate) async fn refresh(&self) -> Option<Response> {
        let action = Action::Refresh { headers: self.headers() };
        self.ask(action, self.hub.options().write_timeout).await
    }

    async fn send(&self, action: Action, within: Duration) -> Response {
        let response = self.ask(action, within).await;
        response.unwrap_or_else(|| {
            because(Reason::Token, refusal(StatusCode::NOT_FOUND, "No Connection with that ID"))
        })
    }

    async fn ask(&self, action: Action, within: Duration) -> Option<Response> {
        let visitor = self.hub.visitor(self.parts);
        let user_id = visitor.user_id.as_deref().map(Cow::Borrowed);
        let forwarded = Forwarded { token: self.token.into(), user_id, action };
        let served = self.hub.farm().ask(self.owner, REQUEST, &forwarded, within).await;
        self.hub.metrics().forwarded(if served.is_some() { "ok" } else { "lost" });
        served.map(Served::into_response)
    }

    /// Returns a time after which the owner itself has answered.
    fn waiting(&self) -> Duration {
        self.hub.options().poll_timeout + ANSWER_GRACE
    }

    fn headers(&self) -> Headers {
        let texts = self.parts.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        texts.collect()
    }
}

impl Served {
    /// Returns the answer of a response with a whole body.
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        Self { status: parts.status.as_u16(), content_type, body: Blob::from(&body[..]) }
    }

    pub(crate) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = Body::from(self.body.into_vec());
        let mut response = (status, body).into_response();
        let content_type = self.content_type.and_then(|text| HeaderValue::try_from(text).ok());
        if let Some(content_type) = content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}

/// A message to the owner, if a request is dropped or fails at the wrong moment.
struct Notice<M: Serialize + Clone + Send + Sync + 'static> {
    farm: Arc<Farm>,
    owner: ServerId,
    name: &'static str,
    message: M,
    is_due: bool,
}

impl<M: Serialize + Clone + Send + Sync + 'static> Notice<M> {
    fn new(of: &Forwarding<'_>, name: &'static str, message: M) -> Self {
        Self { farm: Arc::clone(of.hub.farm()), owner: of.owner, name, message, is_due: false }
    }
}

/// Tells the home that a connection has not begun here, until it is marked as begun.
pub(crate) struct Entering(Notice<String>);

impl Entering {
    pub(crate) fn new(farm: &Arc<Farm>, home: ServerId, token: &str) -> Self {
        let (farm, message) = (Arc::clone(farm), token.to_owned());
        Self(Notice { farm, owner: home, name: LEFT, message, is_due: true })
    }

    /// The home was not told that the connection is here, or it has begun.
    pub(crate) fn end(mut self) {
        self.0.is_due = false;
    }
}

impl<M: Serialize + Clone + Send + Sync + 'static> Drop for Notice<M> {
    fn drop(&mut self) {
        if self.is_due {
            self.farm.notify(self.owner, self.name, self.message.clone());
        }
    }
}

/// The question where a connection is.
pub(crate) const WHEREABOUTS: &str = "whereabouts";
/// The question that is a request.
pub(crate) const REQUEST: &str = "request";
/// The question for the state of a stateful connection.
pub(crate) const TAKE: &str = "take";
/// The question whether the sender goes on with a stateful connection.
pub(crate) const CONFIRM: &str = "confirm";
/// The message to the home that a stateful connection is on another server.
pub(crate) const ARRIVED: &str = "arrived";
/// The message that a WebSocket has opened elsewhere.
pub(crate) const MOVED: &str = "moved";
/// The message that a client has not sent the rest of a POST.
pub(crate) const BROKE_OFF: &str = "broke_off";
/// The message that a client does not wait for its poll any more.
pub(crate) const HUNG_UP: &str = "hung_up";
/// Maximum wait for a home, or for all others if it is gone. A busy server has the time to answer:
/// otherwise, another one would open the same connection. One that is not there takes no time.
const HOME_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which the answer of the owner may travel.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
