//! Serves `<hub>` itself: opens the transport of a connection, and serves its later requests.
//!
//! Refusals have ASP.NET Core's status codes and texts. The origin of a page is checked on each
//! request.

mod http;
mod moves;
mod visitors;

use std::{pin::Pin, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::Response,
};
use tokio::sync::mpsc::OwnedPermit;
use tracing::Instrument;

pub(crate) use self::{
    http::{Forwardable, serve_forwarded},
    moves::hand_over,
};
use crate::{
    forwarding::{self, Located, MOVED},
    handoff::{Handed, Handoff},
    handover::Left,
    hub::Hub,
    metrics::Reason,
    negotiated::{Claim, ClaimError, Found, is_public, is_stateful},
    peer::{Peer, Visitor},
    query::query,
    refusal::{because, full, refusal, unlisted_page},
    session,
    socket::Upgrade,
    spans,
    transport::{
        long_polling, resumable,
        websocket::{self, Limits},
    },
    transport_kind::{TransportKind, accepts_events, is_websocket},
};

/// Serves any request on `<hub>`.
pub(crate) async fn connect(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(refused) = unlisted_page(&parts, hub.options()) {
        return refused;
    }
    // As in ASP.NET Core, an empty id is no id.
    let token = query(&parts, "id").filter(|id| !id.is_empty());
    if is_websocket(&parts) {
        // Before the token is claimed: a request that cannot become a WebSocket leaves no trace.
        let upgrade = match Upgrade::check(&mut parts).await {
            Ok(upgrade) => upgrade,
            Err(refusal) => return refusal,
        };
        let opened = match open(&hub, &parts, token.as_deref()).await {
            Ok(opened) => opened,
            Err(refusal) => {
                if token.is_some_and(|token| hub.negotiated().is_resumption(&token)) {
                    hub.metrics().resumed("refused");
                }
                return refusal;
            }
        };
        return match opened {
            Opened::New(claim) => match visitors::visitor(&hub, &parts).await {
                Ok(visitor) => accept(hub, visitor, claim, upgrade),
                Err(refusal) => refusal,
            },
            Opened::Resumed(permit) => {
                hub.metrics().resumed("ok");
                upgrade.then(async |socket| {
                    permit.send(Handed::Socket(Box::new(socket)));
                })
            }
        };
    }
    let Some(purpose) = Purpose::of(&parts) else {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "the hub expects GET, POST or DELETE");
    };
    let response = match token {
        Some(token) => http::serve(&hub, &parts, purpose, &token, body).await,
        None => refusal(StatusCode::BAD_REQUEST, "Connection ID required"),
    };
    match purpose {
        Purpose::Poll => long_polling::uncached(response),
        Purpose::Send | Purpose::Terminate | Purpose::Events => response,
    }
}

/// The purpose of a request that is not a WebSocket.
#[derive(Clone, Copy)]
enum Purpose {
    /// Sends hub messages.
    Send,
    /// Ends a connection of long polling.
    Terminate,
    /// Opens Server-Sent Events.
    Events,
    Poll,
}

impl Purpose {
    fn of(parts: &Parts) -> Option<Self> {
        match parts.method {
            Method::POST => Some(Self::Send),
            Method::DELETE => Some(Self::Terminate),
            Method::GET if accepts_events(parts) => Some(Self::Events),
            Method::GET => Some(Self::Poll),
            _ => None,
        }
    }

    /// Returns the transport that the request opens or continues.
    fn transport(self) -> Option<TransportKind> {
        match self {
            Self::Send | Self::Terminate => None,
            Self::Events => Some(TransportKind::ServerSentEvents),
            Self::Poll => Some(TransportKind::LongPolling),
        }
    }
}

/// Claims a negotiated connection for a WebSocket, or a new one if the client skips negotiation.
async fn open(hub: &Arc<Hub>, parts: &Parts, token: Option<&str>) -> Result<Opened, Response> {
    let Some(token) = token else {
        check_supported(hub, TransportKind::WebSockets)?;
        return match hub.is_full() {
            true => Err(full()),
            false => Ok(Opened::New(Claim::unnegotiated())),
        };
    };
    let found = forwarding::find(hub, token).await;
    if matches!(found, Found::Unknown | Found::UnknownKey) {
        return Err(unknown_websocket());
    }
    check_supported(hub, TransportKind::WebSockets)?;
    match found {
        Found::Http(connection) => {
            Err(http::check_user(hub, parts, &connection).err().unwrap_or_else(other_transport))
        }
        Found::WebSocket(Some(handoff)) => resume(hub, parts, &handoff),
        Found::Parked(parked) => {
            let user_id = hub.visitor(parts).user_id;
            if parked.visitor.user_id != user_id {
                return Err(http::other_user());
            }
            let handoff = moves::take_back(hub, token).ok_or_else(unknown_websocket)?;
            resume(hub, parts, &handoff)
        }
        // A stateful client continues its connection on any server.
        Found::Elsewhere(owner) if is_stateful(token) => {
            let handoff = moves::take_over(hub, parts, token, owner).await?;
            resume(hub, parts, &handoff)
        }
        // Others may know the id of a connection, which is its token in version 0. They must not take
        // it over.
        Found::Elsewhere(_) if is_public(token) => Err(active()),
        Found::Elsewhere(owner) => {
            let claim = claim(hub, token)?;
            hub.farm().notify(owner, MOVED, token.to_owned());
            Ok(Opened::New(claim))
        }
        Found::Foreign { .. } if hub.is_full() => Err(full()),
        Found::Foreign { home, is_fresh } if is_stateful(token) || is_public(token) => {
            match forwarding::locate(hub.farm(), token, home, is_fresh).await {
                Located::Opens => claim(hub, token).map(Opened::New),
                Located::At(_) if is_public(token) => Err(active()),
                Located::At(owner) => {
                    let handoff = moves::take_over(hub, parts, token, owner).await?;
                    resume(hub, parts, &handoff)
                }
                Located::Unknown => Err(unknown_websocket()),
            }
        }
        Found::Foreign { home, .. } => {
            let claim = claim(hub, token)?;
            hub.farm().notify(home, MOVED, token.to_owned());
            Ok(Opened::New(claim))
        }
        Found::Fresh | Found::WebSocket(None) | Found::Unknown | Found::UnknownKey => {
            claim(hub, token).map(Opened::New)
        }
    }
}

/// Continues the connection of a stateful client, which is here.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn resume(hub: &Hub, parts: &Parts, handoff: &Handoff) -> Result<Opened, Response> {
    if !handoff.belongs_to(hub.visitor(parts).user_id.as_deref()) {
        return Err(http::other_user());
    }
    match handoff.reserve() {
        Some(permit) => Ok(Opened::Resumed(permit)),
        None if handoff.has_ended() => Err(unknown_websocket()),
        None => Err(active()),
    }
}

#[expect(clippy::result_large_err, reason = "the error is the response")]
fn claim(hub: &Hub, token: &str) -> Result<Claim, Response> {
    hub.negotiated().claim(token, hub.ages()).map_err(|error| match error {
        ClaimError::Unknown => unknown_websocket(),
        ClaimError::Active => active(),
    })
}

/// What a new WebSocket is for.
enum Opened {
    New(Claim),
    /// The session of a stateful client takes it in place of its old one.
    Resumed(OwnedPermit<Handed>),
}

/// Serves a client until its connection ends, or leaves for another server.
type Session = Pin<Box<dyn Future<Output = Option<Box<Left>>> + Send>>;

/// Opens a WebSocket.
fn accept(hub: Arc<Hub>, visitor: Visitor, mut claim: Claim, upgrade: Upgrade) -> Response {
    if let Some((handoff, _)) = &claim.resume {
        handoff.set_user(visitor.user_id.clone());
    }
    let span = spans::connection(hub.name(), &claim.connection_id);
    let id = Arc::clone(&claim.connection_id);
    let peer = Arc::new(Peer::new(id, visitor, TransportKind::WebSockets));
    let resume = claim.resume.take();
    upgrade.then(move |socket| {
        let sessions = hub.sessions().clone();
        // In a box, since the session of a stateful client is larger.
        let (session, claim): (Session, _) = match resume {
            Some((handoff, handed)) => {
                let moves = handoff.moves;
                let halves = resumable::halves(socket, hub.options(), handoff, handed);
                let session = Box::pin(session::serve(Arc::clone(&hub), peer, halves));
                (Box::pin(moves::run(hub, claim, moves, session)), None)
            }
            None => {
                let halves = websocket::halves(socket, Limits::of(hub.options()));
                // It does not leave.
                (Box::pin(session::serve(hub, peer, halves)), Some(claim))
            }
        };
        let session = async move {
            session.await;
            drop(claim);
        };
        sessions.track_future(session.instrument(span))
    })
}

/// Refuses a transport that the hub does not offer.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn check_supported(hub: &Hub, kind: TransportKind) -> Result<(), Response> {
    if hub.options().transports.contains(&kind) {
        return Ok(());
    }
    let text = format!("{} transport not supported by this end point type", kind.name());
    Err(refusal(StatusCode::NOT_FOUND, text))
}

fn unknown_id() -> Response {
    let text = "No Connection with that ID";
    because(Reason::Token, refusal(StatusCode::NOT_FOUND, text))
}

/// Refuses a WebSocket with an unknown id. ASP.NET Core names no content type here.
fn unknown_websocket() -> Response {
    let mut response = unknown_id();
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

fn active() -> Response {
    refusal(StatusCode::CONFLICT, "")
}

fn other_transport() -> Response {
    refusal(StatusCode::BAD_REQUEST, "Cannot change transports mid-connection")
}

#[cfg(test)]
mod tests;
