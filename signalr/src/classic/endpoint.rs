//! Serves the requests of one path.
//!
//! The order of the checks is SignalR 2's: the user, the hubs, the transport, the token. No check
//! stores anything. A place begins after the last of them.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use backplane::Cursor;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{
    elsewhere::{self, Action},
    negotiate,
    place::{Beginning, Opening, Place, Places, Resume, Visitor},
    reply::{self, Refusal},
    request::{ClassicRequest, Endpoint},
    script,
    send::{self, Sender},
    service::Service,
    token::Identity,
    transport::{Form, Kind, Transport},
    websocket,
};
use crate::{disconnect::Disconnect, tokens::Invalid};

/// Serves any request.
pub(super) async fn serve(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refused) = service.refuse_page(&parts) {
        return refused;
    }
    service.elsewhere.answer_others(&service);
    let request = ClassicRequest::new(parts);
    answer(&service, request, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(
    service: &Arc<Service>,
    mut request: ClassicRequest,
    body: Body,
) -> Result<Response, Refusal> {
    if request.endpoint == Endpoint::Script {
        return match service.settings.has_script {
            true => Ok(script::script(service, &request)),
            false => Err(Refusal::new(StatusCode::NOT_FOUND, "The script is turned off.")),
        };
    }
    let users = service.users(&mut request.parts).await?;
    let callback = callback(service, &request)?;
    let callback = callback.as_deref();
    let hubs = service.find_all(&request.hub_names()?)?;
    match request.endpoint {
        Endpoint::Negotiate => {
            service.elsewhere.is_ready().await;
            return Ok(negotiate::negotiate(service, &request, &users, callback));
        }
        Endpoint::Ping => return Ok(reply::json(PONG, callback)),
        _ => {}
    }
    let kind = request.parameter("transport").and_then(Kind::parse);
    let kind = kind.filter(|_| request.endpoint != Endpoint::Unknown);
    let kind = kind.ok_or(Refusal::bad_request("Protocol error: Unknown transport."))?;
    let Identity { connection_id, user } = identity(service, &request).await?;
    if users.identity() != user {
        return Err(Refusal::new(StatusCode::FORBIDDEN, OTHER_USER));
    }
    let id = connection_id.into();
    let visitor = Visitor { id, users, transport: kind.transport_kind(), hubs };
    match request.endpoint {
        Endpoint::Start => start_anywhere(service, &visitor, callback).await,
        Endpoint::Send => match elsewhere::place(service, &visitor.id).await {
            Some(place) => Ok(send::send(Sender::Here(place), body, callback).await),
            None => Ok(send::send_elsewhere(service, visitor, body, callback).await),
        },
        Endpoint::Abort => {
            match elsewhere::place(service, &visitor.id).await {
                Some(place) => place.close_handle.close(Disconnect::Client),
                None => {
                    let _ = service.elsewhere.forward(&visitor.id, callback, Action::Abort).await;
                }
            }
            Ok(aborted())
        }
        endpoint => {
            if kind == Kind::LongPolling {
                request.read_form(body).await?;
            }
            open(service, request, visitor, kind, endpoint == Endpoint::Connect).await
        }
    }
}

/// Returns the name of the function that the client wants to be called with the reply.
fn callback(service: &Service, request: &ClassicRequest) -> Result<Option<String>, Refusal> {
    let Some(callback) = request.parameter("callback").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if !service.settings.allows_jsonp {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "JSONP is disabled."));
    }
    match reply::is_callback(callback) {
        true => Ok(Some(callback.to_owned())),
        false => Err(Refusal::failed("The callback is no name of a function.")),
    }
}

/// Returns the reply to `abort`.
pub(super) fn aborted() -> Response {
    reply::body("text/plain", Body::empty())
}

/// Returns the client that the connection token names.
async fn identity(service: &Service, request: &ClassicRequest) -> Result<Identity, Refusal> {
    let token = request.parameter("connectionToken").filter(|token| !token.is_empty());
    let token = token.ok_or(Refusal::bad_request("Protocol error: Missing connection token."))?;
    let mut identity = service.tokens.read_connection(token);
    if identity == Err(Invalid::UnknownKey) {
        service.elsewhere.exchange_keys().await;
        identity = service.tokens.read_connection(token);
    }
    identity.map_err(|_| Refusal::bad_request("The ConnectionId is in the incorrect format."))
}

/// Serves `start` on the server that has the client's place.
async fn start_anywhere(
    service: &Service,
    visitor: &Visitor,
    callback: Option<&str>,
) -> Result<Response, Refusal> {
    // The first poll may take the place to another server at the same time, also to this one.
    for _ in 0..ATTEMPTS_MAX {
        if let Some(place) = elsewhere::place(service, &visitor.id).await {
            let started = start(Some(Arc::clone(&place)), callback).await;
            if started.is_ok() || !place.has_moved().await {
                return started;
            }
        }
        let forwarded = service.elsewhere.forward(&visitor.id, callback, Action::Start).await;
        if let Ok(Some(response)) = forwarded {
            return Ok(response);
        }
        if service.elsewhere.is_alone() {
            break;
        }
    }
    start(None, callback).await
}

/// Serves `start`: the application accepts the client. The messages that it sends meanwhile precede
/// the reply, as those of a method precede its result.
pub(super) async fn start(
    here: Option<Arc<Place>>,
    callback: Option<&str>,
) -> Result<Response, Refusal> {
    let place = here.ok_or(Refusal::failed("The connection has no transport."))?;
    match place.start().await {
        true => {
            send::follow_messages(&place, place.last_sent()).await;
            Ok(reply::json(STARTED, callback))
        }
        false => Err(Refusal::failed("The connection was refused.")),
    }
}

/// Serves `connect`, `reconnect` and `poll`: a transport opens.
async fn open(
    service: &Arc<Service>,
    mut request: ClassicRequest,
    visitor: Visitor,
    kind: Kind,
    is_connect: bool,
) -> Result<Response, Refusal> {
    let form = form(&request, kind)?;
    let upgrade = match kind {
        Kind::WebSockets => Some(upgrade(&mut request).await?),
        _ => None,
    };
    let resume = (!is_connect).then(|| resume(&request));
    let groups_token = resume.as_ref().and_then(|resume| resume.groups_token.as_deref());
    let groups = groups_token.and_then(|token| service.tokens.read_groups(token, &visitor.id));
    let mut beginning = Beginning {
        groups: groups.unwrap_or_default(),
        cursor: resume.as_ref().and_then(|resume| resume.cursor),
        moved: None,
    };
    // A connection that ends between the two steps is replaced by a new one.
    for _ in 0..ATTEMPTS_MAX {
        let here = service.places.find(&visitor.id);
        if let Some(ending) = here.as_ref().filter(|place| place.is_ending()) {
            ending.is_over().await;
        } else if here.is_none() && service.is_stopping() {
            break;
        }
        let asks = here.is_none() && beginning.moved.is_none();
        let entering = enter(Arc::clone(service), visitor.clone(), beginning, asks);
        // In a task of its own: after a client that hangs up meanwhile, no server would have its place.
        let (place, is_new);
        (place, is_new, beginning) =
            tokio::spawn(entering.in_current_span()).await.expect("entering does not panic");
        // The hooks of a client that another server had have run there.
        let is_new = is_new && !place.is_started();
        // A client that returns to no connection is a new one for the application.
        let starts = if is_connect { !request.version().has_start() } else { is_new };
        if starts && !place.start().await {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "The connection was refused."));
        }
        if let Some(upgrade) = upgrade {
            return Ok(websocket::accept(upgrade, place, resume));
        }
        let (transport, to_write) = Transport::new(form.clone());
        if place.open(Opening { transport, resume: resume.clone() }).await.is_ok() {
            return Ok(stream(&form, &request.parts.method, to_write));
        }
    }
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down."))
}

/// Returns the place of a client here, and whether it is new. If `asks`, another server that has the
/// client hands it over.
async fn enter(
    service: Arc<Service>,
    visitor: Visitor,
    mut beginning: Beginning,
    asks: bool,
) -> (Arc<Place>, bool, Beginning) {
    let arriving = service.elsewhere.arrive(&visitor.id);
    if asks {
        beginning.moved = service.elsewhere.take(&visitor.id).await;
    }
    let (place, is_new) = Places::enter(&service, &visitor, &beginning);
    drop(arriving);
    (place, is_new, beginning)
}

/// Returns the form of the frames.
fn form(request: &ClassicRequest, kind: Kind) -> Result<Form, Refusal> {
    Ok(match kind {
        Kind::WebSockets => Form::WebSocket,
        Kind::ServerSentEvents => Form::Events,
        Kind::ForeverFrame => {
            let id = request.parameter("frameId").and_then(|id| id.parse().ok());
            Form::ForeverFrame { id: id.ok_or(Refusal::failed("frameId is no number."))? }
        }
        Kind::LongPolling => {
            let callback = request.parameter("callback").filter(|name| !name.is_empty());
            Form::Poll { callback: callback.map(str::to_owned) }
        }
    })
}

async fn upgrade(request: &mut ClassicRequest) -> Result<WebSocketUpgrade, Refusal> {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut request.parts, &()).await;
    upgrade.map_err(|_| Refusal::bad_request("Not a valid web socket request."))
}

/// Returns where the client goes on. An unreadable cursor is none, as with SignalR 2.
fn resume(request: &ClassicRequest) -> Resume {
    let cursor = request.parameter("messageId").filter(|id| !id.starts_with(FOREIGN_CURSOR));
    let groups_token = request.parameter("groupsToken").filter(|token| !token.is_empty());
    Resume {
        cursor: cursor.and_then(|id| id.parse::<Cursor>().ok()),
        groups_token: groups_token.map(str::to_owned),
    }
}

/// Returns a response whose body is the frames.
fn stream(form: &Form, method: &Method, mut to_write: mpsc::Receiver<Bytes>) -> Response {
    let content_type = match form {
        Form::Events => "text/event-stream",
        Form::ForeverFrame { .. } => "text/html; charset=UTF-8",
        Form::Poll { callback: Some(_) } => reply::SCRIPT,
        Form::Poll { callback: None } | Form::WebSocket => reply::JSON,
    };
    let frames = stream::poll_fn(move |cx| to_write.poll_recv(cx).map(|next| next.map(ok)));
    let response = reply::body(content_type, Body::from_stream(frames));
    // A cache stores no reply to a POST, and a proxy may hold the frame of a poll to its end.
    let is_whole = matches!(form, Form::Poll { .. }) && *method == Method::POST;
    if is_whole { response } else { reply::uncached(response) }
}

fn ok(frame: Bytes) -> Result<Bytes, Infallible> {
    Ok(frame)
}

const PONG: &str = r#"{ "Response": "pong" }"#;
const STARTED: &str = r#"{ "Response": "started" }"#;
const OTHER_USER: &str = "Unrecognized user identity.  The user identity cannot change during an \
                          active SignalR connection.";
/// Cursors of servers without a backplane.
const FOREIGN_CURSOR: &str = "d-";
const ATTEMPTS_MAX: usize = 3;
