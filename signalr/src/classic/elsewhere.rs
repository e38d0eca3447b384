//! Clients of SignalR 2 whose requests reach several servers.
//!
//! A transport that opens on another server takes the client's place with it: the former server hands
//! over its groups, its cursor and the hooks that have run, and runs no hook. A request that belongs
//! to a transport, such as a call, is passed on to the server that has the place.
//!
//! While a place is on its way, the server that takes it counts as its server. So a call in between
//! waits, and does not find the client gone. The former server keeps its state until the other one has
//! confirmed that it goes on.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use backplane::Cursor;
use locks::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    endpoint,
    parked::Parked,
    place::{Beginning, Command, HandedOver, Place, Places},
    reply::{NOSNIFF, Refusal},
    send::{self, Sender},
    service::Service,
    times,
};
use crate::{
    disconnect::Disconnect,
    farm::{Farm, OTHERS_TIMEOUT},
    forwarding::Served,
    handover::{CONFIRMED_WITHIN, Given},
    server_id::ServerId,
};

/// The way of one path to the other servers. The default one reaches none.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    farm: Option<Arc<Farm>>,
    /// The hubs of the path. Servers with other hubs are asked by another name.
    path: String,
    /// Set once this server answers others.
    answers: OnceLock<()>,
    parked: Parked,
    arriving: Mutex<HashMap<Arc<str>, CancellationToken>>,
}

/// The state of a client for its next server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Moved {
    /// The names of the hubs that have accepted the client.
    pub(super) accepted: Vec<String>,
    pub(super) is_started: bool,
    pub(super) groups: Vec<String>,
    /// The place of the last frame to the client.
    cursor: String,
}

impl Moved {
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.cursor.parse().ok()
    }
}

/// A question about the place of a client, as [`TAKE`] and [`CONFIRM`].
#[derive(Debug, Deserialize, Serialize)]
struct Taking {
    id: String,
    /// Unique: it names the taking.
    number: u64,
}

/// A request on its way to the server that has the client's place.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Forwarded {
    id: String,
    action: Action,
    /// The function that the client wants to be called with the reply.
    callback: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Start,
    /// Calls a method. The text is the form of the request.
    Send(String),
    Abort,
}

impl Elsewhere {
    /// Returns the way to servers with the hubs of these names, through one of the hubs.
    pub(super) fn new(farm: Arc<Farm>, mut hubs: Vec<String>) -> Self {
        hubs.sort_unstable();
        Self { farm: Some(farm), path: hubs.join(","), ..Self::default() }
    }

    fn farm(&self) -> Option<&Arc<Farm>> {
        self.farm.as_ref().filter(|farm| !farm.is_alone())
    }

    /// Waits until this server may sign tokens.
    pub(super) async fn is_ready(&self) {
        if let Some(farm) = self.farm() {
            farm.is_ready().await;
        }
    }

    /// Fetches the keys of the other servers.
    pub(super) async fn exchange_keys(&self) {
        if let Some(farm) = self.farm() {
            farm.exchange_keys().await;
        }
    }

    /// Begins to answer other servers, with the first request.
    pub(super) fn answer_others(&self, service: &Arc<Service>) {
        let Some(farm) = self.farm() else { return };
        self.answers.get_or_init(|| {
            farm.answer_about_keys();
            let of = Arc::downgrade(service);
            farm.answer(&self.name(FIND), move |_, id: String| {
                let service = of.upgrade();
                async move {
                    let service = service?;
                    place(&service, &id).await.map(|_| true)
                }
            });
            let of = Arc::downgrade(service);
            farm.answer(&self.name(TAKE), move |to, Taking { id, number }| {
                hand_over(of.clone(), id, Given { to, number })
            });
            let of = Arc::downgrade(service);
            farm.answer(&self.name(CONFIRM), move |to, Taking { id, number }| {
                let service = of.upgrade();
                async move { Some(service?.elsewhere.parked.confirm(&id, Given { to, number })) }
            });
            let of = Arc::downgrade(service);
            farm.answer(&self.name(REQUEST), move |_, request: Forwarded| {
                let service = of.upgrade();
                async move {
                    let service = service?;
                    serve(&service, request).await
                }
            });
        });
    }

    /// Takes note that a place is about to begin here, until the result is dropped.
    pub(super) fn arrive(&self, id: &Arc<str>) -> Arriving<'_> {
        let over = CancellationToken::new();
        self.arriving.lock().insert(Arc::clone(id), over.clone());
        Arriving { elsewhere: self, id: Arc::clone(id), over }
    }

    /// Takes the place of a client over from another server, if one has it. A place that waits here for
    /// another server stays.
    pub(super) async fn take(&self, id: &str) -> Option<Moved> {
        let farm = self.farm()?;
        if let Some((moved, _)) = self.parked.take_back(id, None) {
            return Some(moved);
        }
        let taking = Taking { id: id.to_owned(), number: rand::random() };
        let answers = farm.ask_others(&self.name(TAKE), &taking, OTHERS_TIMEOUT).await;
        let (owner, moved) = answers.into_iter().next()?;
        let is_confirmed = farm.ask_until_gone(owner, &self.name(CONFIRM), &taking).await;
        is_confirmed.unwrap_or(false).then_some(moved)
    }

    /// Passes a request on to the server that has the place of a client. Returns `None` if no server
    /// has it.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] if that server does not answer. It may have served the request.
    pub(super) async fn forward(
        &self,
        id: &str,
        callback: Option<&str>,
        action: Action,
    ) -> Result<Option<Response>, NoAnswer> {
        let Some(farm) = self.farm() else { return Ok(None) };
        let Some(owner) = self.find(farm, id).await else { return Ok(None) };
        let (id, callback) = (id.to_owned(), callback.map(str::to_owned));
        let forwarded = Forwarded { id, action, callback };
        let served = farm.ask::<Served>(owner, &self.name(REQUEST), &forwarded, times::POLL).await;
        let mut response = served.ok_or(NoAnswer)?.into_response();
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        Ok(Some(response))
    }

    /// Returns whether there are servers that may have a client's place.
    pub(super) fn is_alone(&self) -> bool {
        self.farm().is_none()
    }

    async fn find(&self, farm: &Farm, id: &str) -> Option<ServerId> {
        let answers = farm.ask_others::<bool>(&self.name(FIND), id, OTHERS_TIMEOUT).await;
        answers.into_iter().next().map(|(server, _)| server)
    }

    fn name(&self, name: &str) -> String {
        format!("{name}.{}", self.path)
    }
}

/// The server that has a client's place has not answered.
#[derive(Debug)]
pub(super) struct NoAnswer;

/// A place that is about to begin.
#[derive(Debug)]
pub(super) struct Arriving<'a> {
    elsewhere: &'a Elsewhere,
    id: Arc<str>,
    over: CancellationToken,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.elsewhere.arriving.lock().remove(&self.id);
        self.over.cancel();
    }
}

/// Returns the place of a client here. Waits for one that is about to begin.
pub(super) async fn place(service: &Service, id: &str) -> Option<Arc<Place>> {
    let arriving = service.elsewhere.arriving.lock().get(id).cloned();
    if let Some(over) = arriving {
        over.cancelled().await;
    }
    service.places.find(id)
}

/// Hands the place of a client over to the server that asks for it.
async fn hand_over(service: Weak<Service>, id: String, given: Given) -> Option<Moved> {
    let service = service.upgrade()?;
    let parked = &service.elsewhere.parked;
    if let Some(moved) = parked.give(&id, given) {
        return Some(moved);
    }
    let place = service.places.find(&id)?;
    let (to, handed_over) = tokio::sync::oneshot::channel();
    place.command(Command::HandOver(to)).await;
    // Dropped if the place ends for another reason.
    let HandedOver { groups, cursor, users } = handed_over.await.ok()?;
    let (accepted, is_started) = place.moved().await;
    let accepted = accepted.into_iter().map(|hub| service.hubs()[hub].name().to_owned()).collect();
    let moved = Moved { accepted, is_started, groups, cursor: cursor.to_string() };
    parked.park(moved.clone(), place.visitor(users), given);
    tokio::spawn(take_back(Arc::downgrade(&service), id, given.number).in_current_span());
    Some(moved)
}

/// Goes on with a client that no other server has taken. The number is that of the question for which it
/// was parked: since then it may have come back, and left again.
async fn take_back(service: Weak<Service>, id: String, number: u64) {
    time::sleep(CONFIRMED_WITHIN).await;
    let Some(service) = service.upgrade() else { return };
    let Elsewhere { parked, .. } = &service.elsewhere;
    if !parked.has(&id, number) {
        return;
    }
    // A server that got no answer in time has begun anew, and its place is that of the client.
    let is_elsewhere = match service.elsewhere.farm() {
        Some(farm) => service.elsewhere.find(farm, &id).await.is_some(),
        None => false,
    };
    if let Some((moved, visitor)) = parked.take_back(&id, Some(number))
        && !is_elsewhere
    {
        let beginning = Beginning { moved: Some(moved), ..Beginning::default() };
        Places::enter(&service, &visitor, &beginning);
    }
}

/// Serves a request of another server, which has checked the user.
async fn serve(service: &Service, request: Forwarded) -> Option<Served> {
    let Forwarded { id, action, callback } = request;
    let place = place(service, &id).await?;
    let callback = callback.as_deref();
    let response = match action {
        Action::Start => {
            let started = endpoint::start(Some(Arc::clone(&place)), callback).await;
            if started.is_err() && place.has_moved().await {
                return None;
            }
            started.unwrap_or_else(Refusal::into_response)
        }
        Action::Send(form) => send::send(Sender::Here(place), Body::from(form), callback).await,
        Action::Abort => {
            place.close_handle.close(Disconnect::Client);
            endpoint::aborted()
        }
    };
    Some(Served::of(response).await)
}

/// The question which server has the place of a client.
const FIND: &str = "classic.find";
/// The request for the place itself.
const TAKE: &str = "classic.take";
/// The question whether the sender goes on with a client.
const CONFIRM: &str = "classic.confirm";
/// The question that is a request of a client.
const REQUEST: &str = "classic.request";
