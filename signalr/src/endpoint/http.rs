//! Serves the requests of connections over Server-Sent Events and long polling.
//!
//! The first request of a fresh token creates the connection with its task. The task owns the
//! place in the table, serves the session, and ends with the connection.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{StatusCode, request::Parts},
    response::Response,
};
use tokio::select;
use tracing::Instrument;

use super::{Purpose, active, check_supported, other_transport, unknown_id, visitors};
use crate::{
    disconnect::Disconnect,
    forwarding::{self, Entering, Forwarding, Located},
    http_connection::{HttpConnection, OpenError, Polled},
    hub::Hub,
    metrics::Reason,
    negotiated::{Found, Held},
    peer::Peer,
    refusal::{because, full, refusal},
    server_id::ServerId,
    session, spans,
    transport::{
        Outgoing, long_polling,
        posts::{self, PostError},
        sse,
    },
    transport_kind::TransportKind,
    user::Authenticated,
};

/// Serves a request with a token.
pub(super) async fn serve(
    hub: &Arc<Hub>,
    parts: &Parts,
    purpose: Purpose,
    token: &str,
    body: Body,
) -> Response {
    let connection = match find(hub, parts, purpose, token).await {
        Ok(Place::Here(connection)) => connection,
        Ok(Place::At(owner)) => {
            return forward(Forwarding { hub, parts, token, owner }, purpose, body).await;
        }
        Err(refusal) => return refusal,
    };
    match purpose {
        Purpose::Send => send(hub, &connection, body).await,
        Purpose::Terminate => terminate(hub, &connection, token),
        Purpose::Events => match connection.open(TransportKind::ServerSentEvents) {
            Ok(()) => sse::response(connection),
            Err(error) => refuse(error),
        },
        Purpose::Poll => next_poll(hub, Some(parts), connection, token).await,
    }
}

/// Passes a request on to the server that has its connection.
async fn forward(forwarding: Forwarding<'_>, purpose: Purpose, body: Body) -> Response {
    match purpose {
        Purpose::Send => forwarding.post(body).await,
        Purpose::Terminate => forwarding.terminate().await,
        Purpose::Poll => forwarding.poll().await,
        Purpose::Events => active(),
    }
}

/// A request that another server passes on.
pub(crate) enum Forwardable<'a> {
    Post(Body),
    Terminate,
    /// With the request, if it may have new credentials.
    Poll(Option<&'a Parts>),
}

/// Serves a request that another server has received, for the user whom that server has found.
/// Returns `None` if the connection is not here.
pub(crate) async fn serve_forwarded(
    hub: &Hub,
    token: &str,
    user_id: Option<&str>,
    request: Forwardable<'_>,
) -> Option<Response> {
    hub.negotiated().arrived(token).await;
    let connection = match (hub.negotiated().find(token, hub.ages()), &request) {
        (Found::Http(connection), _) => connection,
        (Found::WebSocket(_), Forwardable::Post(_)) => return Some(no_posts()),
        (Found::WebSocket(_), Forwardable::Terminate) => return Some(not_terminable()),
        (Found::WebSocket(_), Forwardable::Poll(_)) => return Some(other_transport()),
        _ => return None,
    };
    if connection.visitor.user_id.as_deref() != user_id {
        return Some(other_user());
    }
    Some(match request {
        Forwardable::Post(body) => send(hub, &connection, body).await,
        Forwardable::Terminate => terminate(hub, &connection, token),
        Forwardable::Poll(parts) => next_poll(hub, parts, connection, token).await,
    })
}

/// Serves a poll: the first one opens the transport.
async fn next_poll(
    hub: &Hub,
    parts: Option<&Parts>,
    connection: Arc<HttpConnection>,
    token: &str,
) -> Response {
    match connection.open(TransportKind::LongPolling) {
        Ok(()) => long_polling::opened(),
        Err(OpenError::Active) => {
            if let Some(parts) = parts {
                refresh(hub, parts, &connection);
            }
            poll(hub, &connection, token).await
        }
        Err(error) => refuse(error),
    }
}

/// Refuses a request of another user than the first request of its connection.
#[expect(clippy::result_large_err, reason = "the error is the response")]
pub(super) fn check_user(
    hub: &Hub,
    parts: &Parts,
    connection: &HttpConnection,
) -> Result<(), Response> {
    if hub.visitor(parts).user_id == connection.visitor.user_id {
        return Ok(());
    }
    Err(other_user())
}

pub(super) fn other_user() -> Response {
    let text = "the connection belongs to another user";
    because(Reason::Auth, refusal(StatusCode::FORBIDDEN, text))
}

/// Where the connection of a request is.
enum Place {
    Here(Arc<HttpConnection>),
    At(ServerId),
}

/// Returns the place of a token's connection. If the token is fresh, the connection is created.
async fn find(
    hub: &Arc<Hub>,
    parts: &Parts,
    purpose: Purpose,
    token: &str,
) -> Result<Place, Response> {
    let found = forwarding::find(hub, token).await;
    if matches!(found, Found::Unknown) {
        return Err(unknown_id());
    }
    if let Some(kind) = purpose.transport() {
        check_supported(hub, kind)?;
    }
    match (found, purpose) {
        (Found::Http(connection), _) => {
            check_user(hub, parts, &connection)?;
            Ok(Place::Here(connection))
        }
        (Found::Elsewhere(owner), _) => Ok(Place::At(owner)),
        (Found::Foreign { home, is_fresh }, _) => {
            // As on the home, a POST may precede the transport.
            let enters = is_fresh
                && match purpose {
                    Purpose::Events | Purpose::Poll => true,
                    Purpose::Send => !takes_no_posts(hub),
                    Purpose::Terminate => false,
                };
            if enters && hub.is_full() {
                return Err(full());
            }
            let entering = enters.then(|| Entering::new(hub.farm(), home, token));
            let arriving = enters.then(|| hub.negotiated().arrive(token));
            let located = forwarding::locate(hub.farm(), token, home, enters).await;
            let place = match located {
                Located::At(owner) => Ok(Place::At(owner)),
                Located::Opens => create(hub, parts, token).await.map(Place::Here),
                Located::Unknown => Err(unknown_id()),
            };
            if let Some(entering) = entering.filter(|_| place.is_ok()) {
                entering.end();
            }
            drop(arriving);
            place
        }
        (Found::WebSocket(_) | Found::Parked(_) | Found::Fresh, Purpose::Terminate) => {
            Err(not_terminable())
        }
        (Found::WebSocket(_) | Found::Parked(_), Purpose::Send) => Err(no_posts()),
        (Found::WebSocket(_) | Found::Parked(_), Purpose::Events | Purpose::Poll) => {
            Err(other_transport())
        }
        (Found::Fresh, Purpose::Send) if takes_no_posts(hub) => Err(no_posts()),
        _ => create(hub, parts, token).await.map(Place::Here),
    }
}

/// Returns whether no transport of the hub uses POSTs.
fn takes_no_posts(hub: &Hub) -> bool {
    hub.options().transports.iter().all(|kind| *kind == TransportKind::WebSockets)
}

/// Creates the connection of a fresh token, and starts its task.
async fn create(
    hub: &Arc<Hub>,
    parts: &Parts,
    token: &str,
) -> Result<Arc<HttpConnection>, Response> {
    let visitor = visitors::visitor(hub, parts).await?;
    match hub.negotiated().create_http(token, hub.ages(), visitor) {
        Ok((connection, held)) => {
            let span = spans::connection(hub.name(), &connection.connection_id);
            let task = run(Arc::clone(hub), Arc::clone(&connection), held);
            tokio::spawn(task.instrument(span));
            Ok(connection)
        }
        // Another request has just used the token.
        Err(_) => match hub.negotiated().find(token, hub.ages()) {
            Found::Http(connection) => check_user(hub, parts, &connection).map(|()| connection),
            Found::WebSocket(_) => Err(other_transport()),
            _ => Err(unknown_id()),
        },
    }
}

/// The task of a connection.
async fn run(hub: Arc<Hub>, connection: Arc<HttpConnection>, held: Held) {
    let ending = Ending { connection: Arc::clone(&connection), held };
    let writer = Arc::clone(&connection);
    match connection.opened(hub.options().disconnect_timeout).await {
        Some(TransportKind::ServerSentEvents) => {
            run_session(&hub, &connection, sse::Writer::new(writer)).await;
        }
        Some(_) => {
            run_session(&hub, &connection, long_polling::Writer::new(writer)).await;
            // The client has still to poll the last messages.
            select! {
                () = connection.ended() => {}
                () = connection.inactive(hub.options().disconnect_timeout) => {}
            }
        }
        None => {}
    }
    drop(ending);
}

/// Serves the session of a connection, which ends if the client polls no more.
async fn run_session(
    hub: &Arc<Hub>,
    connection: &Arc<HttpConnection>,
    outgoing: impl Outgoing + 'static,
) {
    let Some(transport) = connection.transport() else { return };
    let (id, visitor) = (Arc::clone(&connection.connection_id), connection.visitor.clone());
    let peer = Arc::new(Peer::new(id, visitor, transport));
    let incoming = posts::Reader::new(Arc::clone(connection));
    let session = async {
        let session = session::serve(Arc::clone(hub), peer, (incoming, outgoing));
        let mut session = std::pin::pin!(session);
        select! {
            _ = &mut session => return,
            () = connection.inactive(hub.options().disconnect_timeout) => {}
        }
        connection.end(Disconnect::Lost("no poll within the disconnect timeout".to_owned()));
        session.await;
    };
    hub.sessions().track_future(session).await;
    connection.close();
}

/// Ends a connection and its place in the table, also if its task panics.
struct Ending {
    connection: Arc<HttpConnection>,
    #[expect(dead_code, reason = "its drop ends the place in the table")]
    held: Held,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.connection.end(Disconnect::TransportClosed);
    }
}

async fn send(hub: &Hub, connection: &HttpConnection, body: Body) -> Response {
    let limits = posts::Limits {
        bytes_max: hub.options().post_bytes_max,
        timeout: hub.options().poll_timeout,
    };
    match posts::receive(connection, body, limits).await {
        Ok(()) => refusal(StatusCode::OK, ""),
        Err(PostError::TooLarge | PostError::Broken) => refusal(StatusCode::BAD_REQUEST, ""),
        Err(PostError::TimedOut) => refusal(StatusCode::REQUEST_TIMEOUT, ""),
        Err(PostError::Ended) => unknown_id(),
    }
}

/// Renews the user of a connection if a poll has new credentials.
fn refresh(hub: &Hub, parts: &Parts, connection: &HttpConnection) {
    if !hub.options().auth_refresh {
        return;
    }
    let user = parts.extensions.get::<Authenticated>();
    if let Some(connection) = hub.refreshables().find(&connection.connection_id)
        && connection.is_news(user)
    {
        let number = connection.begin();
        connection.refresh(number, user.map(|user| &**user.id()), user.cloned());
    }
}

async fn poll(hub: &Hub, connection: &HttpConnection, token: &str) -> Response {
    let polled = connection.poll(hub.options().poll_timeout).await;
    if polled == Polled::Ended {
        connection.end(Disconnect::TransportClosed);
        hub.negotiated().end(token, hub.ages());
    }
    long_polling::response(polled)
}

fn terminate(hub: &Hub, connection: &HttpConnection, token: &str) -> Response {
    if connection.transport() != Some(TransportKind::LongPolling) {
        return not_terminable();
    }
    // The token is unknown at once. The session may still wait for a method.
    hub.negotiated().end(token, hub.ages());
    connection.end(Disconnect::TransportClosed);
    refusal(StatusCode::ACCEPTED, "")
}

fn refuse(error: OpenError) -> Response {
    match error {
        OpenError::Active => active(),
        OpenError::Other => other_transport(),
        OpenError::Expired => unknown_id(),
    }
}

fn not_terminable() -> Response {
    let text = "Cannot terminate this connection using the DELETE endpoint.";
    refusal(StatusCode::BAD_REQUEST, text)
}

fn no_posts() -> Response {
    let text = "POST requests are not allowed for WebSocket connections.";
    refusal(StatusCode::METHOD_NOT_ALLOWED, text)
}
