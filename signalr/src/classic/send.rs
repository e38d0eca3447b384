//! Calls of hub methods: from `send`, and from a WebSocket.
//!
//! The methods of a client run one at a time, in the order of the calls. A running method is never
//! cancelled, even if the request that waits for its result is dropped. Streams end with the client.

use std::sync::Arc;

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use backplane::Cursor;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span};

use super::{
    calls::{self, Progress},
    elsewhere::{Action, NoAnswer},
    place::{Answer, Place, Recipient, Visitor},
    reply::{self, Refusal},
    request::{pairs, read_body},
    service::Service,
};
use crate::{
    caller::Caller,
    hub_state::HubState,
    protocol::classic::{self, Call, CallError, Failure},
};

/// The sender of a call.
#[derive(Clone, Debug)]
pub(super) enum Sender {
    /// It has a connection on this server.
    Here(Arc<Place>),
    /// It has none, as after its end, so only hubs without hooks serve it.
    Stray(Arc<Service>, Visitor),
}

/// The reply to a call.
#[derive(Debug)]
pub(super) struct Replied {
    pub(super) text: Bytes,
    /// The last message that the client's methods had sent when this one returned.
    pub(super) after: Option<Cursor>,
}

/// Serves `send`.
pub(super) async fn send(sender: Sender, body: Body, callback: Option<&str>) -> Response {
    // Taken before the body is read. Any number of waiting requests then holds one body.
    let Ok(permit) = Arc::clone(sender.calls()).acquire_owned().await else {
        return Refusal::new(StatusCode::FORBIDDEN, ENDED).into_response();
    };
    let bytes_max = sender.service().settings.message_bytes_max;
    let form = match read_body(body, form_bytes_max(sender.service())).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(text) =
        pairs(&form).into_iter().find_map(|(key, data)| (key == "data").then_some(data))
    else {
        return Refusal::failed("The form has no data.").into_response();
    };
    if text.len() > bytes_max {
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The call is too large.")
            .into_response();
    }
    match call(sender.clone(), permit, text).await {
        Ok(replied) => {
            if let Sender::Here(place) = &sender {
                follow_messages(place, replied.after).await;
            }
            reply::json(replied.text, callback)
        }
        Err(error) => {
            debug!(%error, "a call is malformed");
            Refusal::failed(error.to_string()).into_response()
        }
    }
}

/// Serves `send` of a client that has no place on this server.
pub(super) async fn send_elsewhere(
    service: &Arc<Service>,
    visitor: Visitor,
    body: Body,
    callback: Option<&str>,
) -> Response {
    let stray = Sender::Stray(Arc::clone(service), visitor.clone());
    if service.elsewhere.is_alone() {
        return send(stray, body, callback).await;
    }
    let _permit = service.forwards.acquire().await.expect("it is never closed");
    let form = match read_body(body, form_bytes_max(service)).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let text = String::from_utf8_lossy(&form).into_owned();
    let forwarded = service.elsewhere.forward(&visitor.id, callback, Action::Send(text)).await;
    match forwarded {
        Ok(Some(response)) => response,
        Ok(None) => send(stray, Body::from(form), callback).await,
        // It may have run there, so it must not run again.
        Err(NoAnswer) => {
            let text = "The server of the connection does not answer.";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Returns the maximum size of the form of a call.
fn form_bytes_max(service: &Service) -> usize {
    // A character of a call may take three in a form.
    FORM_BYTES + 3 * service.settings.message_bytes_max
}

/// Waits until the messages of a method are on their way to the client.
pub(super) async fn follow_messages(place: &Place, after: Option<Cursor>) {
    if after.is_none() {
        return;
    }
    let (request, passed) = oneshot::channel();
    place.answer(Answer { to: Recipient::Request(request), after }).await;
    // Both outcomes mean that no message is ahead.
    let _ = passed.await;
}

/// Runs one call to its end.
pub(super) async fn call(
    sender: Sender,
    permit: OwnedSemaphorePermit,
    text: String,
) -> Result<Replied, CallError> {
    let span = debug_span!("call", connection.id = %sender.id());
    // A client without a connection is gone with its request.
    let request = CancellationToken::new();
    let gone = match &sender {
        Sender::Here(place) => place.gone.clone(),
        Sender::Stray(..) => request.clone(),
    };
    let _request = request.drop_guard();
    let running = async move {
        let replied = run(&sender, &text, &gone).await;
        drop(permit);
        replied
    };
    // A panic of a method is a failure, so the task ends with a reply.
    tokio::spawn(running.instrument(span)).await.expect("a call neither panics nor is cancelled")
}

async fn run(sender: &Sender, text: &str, gone: &CancellationToken) -> Result<Replied, CallError> {
    let call = Call::parse(text)?;
    let state = HubState::new(call.state.clone());
    let outcome = match sender.caller(&call.hub).await {
        Ok((hub, caller)) => {
            let hub = &sender.service().hubs()[hub];
            let caller = caller.with_state(state.clone());
            let place = match sender {
                Sender::Here(place) => Some(&**place),
                Sender::Stray(..) => None,
            };
            let progress = Progress { place, call: call.id.as_deref() };
            calls::run(hub, caller, &call.method, call.arguments, progress, gone).await
        }
        Err(failure) => Err(failure),
    };
    let changes = state.changes();
    let text = classic::reply(call.id.as_deref(), changes.as_ref(), outcome.as_deref());
    Ok(Replied { text, after: sender.last_sent() })
}

impl Sender {
    pub(super) fn service(&self) -> &Arc<Service> {
        match self {
            Self::Here(place) => &place.service,
            Self::Stray(service, _) => service,
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Here(place) => &place.id,
            Self::Stray(_, visitor) => &visitor.id,
        }
    }

    pub(super) fn calls(&self) -> &Arc<Semaphore> {
        match self {
            Self::Here(place) => &place.calls,
            Self::Stray(service, _) => &service.stray_calls,
        }
    }

    fn last_sent(&self) -> Option<Cursor> {
        match self {
            Self::Here(place) => place.last_sent(),
            Self::Stray(..) => None,
        }
    }

    /// Returns a hub, by index, with the caller for it.
    ///
    /// A hub accepts a client before the client's first call, also if the client does not subscribe
    /// to it.
    async fn caller(&self, hub: &str) -> Result<(usize, Caller), Failure> {
        let unknown = || Failure::new(format!("'{hub}' Hub could not be resolved."));
        let index = self.service().find(hub).ok_or_else(unknown)?;
        let served = &self.service().hubs()[index];
        match self {
            Self::Here(place) => match place.accept(vec![index]).await {
                true => Ok((index, place.caller(index).clone())),
                false => Err(Failure::new(ENDED.to_owned())),
            },
            Self::Stray(..) if served.on_connected_hook().is_some() => {
                Err(Failure::new(ENDED.to_owned()))
            }
            Self::Stray(_, visitor) => {
                Ok((index, Caller::new(visitor.peer(index), served.links(), Arc::default())))
            }
        }
    }
}

/// The text for a call without a connection.
const ENDED: &str = "The connection has ended.";
/// The rest of a form.
const FORM_BYTES: usize = 1024;
