//! Answers the questions of the other servers: where a connection is, and requests for connections
//! of this server.
//!
//! The first request of any client makes a router begin. Before, this server has no connection and
//! has signed no token.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, request::Parts},
    middleware::Next,
    response::Response,
};
use locks::Mutex;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    auth,
    disconnect::Disconnect,
    endpoint::{self, Forwardable},
    farm::Farm,
    forwarding::{
        ARRIVED, Action, BROKE_OFF, CONFIRM, Forwarded, HUNG_UP, Headers, MOVED, REQUEST, Served,
        TAKE, WHEREABOUTS, Wanted,
    },
    handover::{Arrived, Confirm, Given, Take},
    hub::Hub,
    negotiated::{Found, LEFT, Moved},
    refresh,
    server_id::ServerId,
};

/// Begins to answer other servers, if no router of the hub does.
pub(crate) async fn answer_others(
    State(hub): State<Arc<Hub>>,
    request: Request,
    next: Next,
) -> Response {
    if hub.farm().begins_with(&hub) {
        begin(&hub);
    }
    next.run(request).await
}

fn begin(hub: &Arc<Hub>) {
    let (farm, router) = (hub.farm(), Arc::downgrade(hub));
    farm.answer_about_keys();
    let of = router.clone();
    farm.answer(WHEREABOUTS, move |from, wanted: Wanted<'static>| {
        let hub = of.upgrade();
        async move {
            let hub = hub?;
            Some(hub.negotiated().whereabouts(&wanted.token, from, wanted.enters, hub.ages()))
        }
    });
    answer_about_moves(hub);
    let polls = Arc::<Polls>::default();
    let (of, polls_of) = (router.clone(), Arc::clone(&polls));
    farm.answer(REQUEST, move |_, request: Forwarded<'static>| {
        let (hub, polls) = (of.upgrade(), Arc::clone(&polls_of));
        async move { Some(Served::of(serve(&hub?, &polls, request).await?).await) }
    });
    farm.receive(HUNG_UP, move |_, number: u64| {
        polls.hang_up(number);
        std::future::ready(())
    });
    let of = router.clone();
    farm.receive(BROKE_OFF, move |_, token: String| {
        if let Some(hub) = of.upgrade()
            && let Found::Http(connection) = hub.negotiated().find(&token, hub.ages())
        {
            connection.end(Disconnect::Lost("a POST broke off".to_owned()));
        }
        std::future::ready(())
    });
    let of = router.clone();
    farm.receive(LEFT, move |from, token: String| {
        if let Some(hub) = of.upgrade() {
            hub.negotiated().left(&token, from, hub.ages());
        }
        std::future::ready(())
    });
    farm.receive(MOVED, move |from, token: String| {
        if let Some(hub) = router.upgrade() {
            moved(&hub, from, token);
        }
        std::future::ready(())
    });
}

/// Answers about connections that go to other servers.
fn answer_about_moves(hub: &Arc<Hub>) {
    let (farm, router) = (hub.farm(), Arc::downgrade(hub));
    let of = router.clone();
    farm.answer(TAKE, move |from, take: Take| {
        let hub = of.upgrade();
        async move { Some(endpoint::hand_over(hub?, from, take).await) }
    });
    let of = router.clone();
    farm.answer(CONFIRM, move |from, confirm: Confirm| {
        let hub = of.upgrade();
        async move {
            let Confirm { token, number } = confirm;
            Some(hub?.negotiated().confirm(&token, Given { to: from, number }))
        }
    });
    farm.answer(ARRIVED, move |from, arrived: Arrived| {
        let hub = router.upgrade();
        async move {
            hub?.negotiated().arrived_at(&arrived.token, from, arrived.moves);
            Some(())
        }
    });
}

/// Ends the place of a client that has opened another WebSocket with the same token elsewhere.
fn moved(hub: &Hub, to: ServerId, token: String) {
    let farm: &Arc<Farm> = hub.farm();
    match hub.negotiated().moved(&token, to) {
        Some(Moved::FromHere(id)) => {
            debug!(connection = &*id, "a client has moved to another server");
            // The backplane ends the older of two connections with one id.
            drop(hub.backplane().attach(&id, None));
        }
        Some(Moved::From(server)) => farm.notify(server, MOVED, token),
        None => {}
    }
}

/// Serves a request that another server has received. Returns `None` if the connection is not here.
async fn serve(hub: &Arc<Hub>, polls: &Polls, request: Forwarded<'static>) -> Option<Response> {
    let Forwarded { token, user_id, action } = request;
    let forwardable = match action {
        Action::Refresh { headers } => return Some(renew(hub, &token, headers).await),
        Action::Post(bytes) => Forwardable::Post(Body::from(bytes.into_vec())),
        Action::Terminate => Forwardable::Terminate,
        Action::Poll { number, headers } => {
            let poll = polls.begin(number);
            let mut parts = None;
            if let Some(headers) = headers {
                let mut of_poll = parts_of(Method::GET, &token, headers);
                if let Ok(Some(user)) = auth::user(hub, &of_poll).await {
                    of_poll.extensions.insert(user);
                    parts = Some(of_poll);
                }
            }
            let polling = endpoint::serve_forwarded(
                hub,
                &token,
                user_id.as_deref(),
                Forwardable::Poll(parts.as_ref()),
            );
            return select! {
                biased;
                () = poll.hung_up.cancelled() => None,
                polled = polling => polled,
            };
        }
    };
    endpoint::serve_forwarded(hub, &token, user_id.as_deref(), forwardable).await
}

/// Renews the user of a connection. Only this server finds the user: its data do not travel.
async fn renew(hub: &Arc<Hub>, token: &str, headers: Headers) -> Response {
    let mut parts = parts_of(Method::POST, token, headers);
    parts.extensions.insert(refresh::IsForwarded);
    let request = Request::from_parts(parts, Body::empty());
    refresh::refresh(State(Arc::clone(hub)), request).await
}

/// Returns the part of a request that its authenticator reads.
fn parts_of(method: Method, token: &str, headers: Headers) -> Parts {
    let mut request = Request::builder().method(method).uri(format!("/?id={token}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(()).unwrap_or_else(|_| {
        let mut empty = axum::http::Request::new(());
        *empty.method_mut() = Method::GET;
        empty
    });
    request.into_parts().0
}

/// The forwarded polls that are open, by the numbers of their clients' servers.
#[derive(Debug, Default)]
struct Polls(Mutex<HashMap<u64, CancellationToken>>);

struct OpenPoll<'a> {
    polls: &'a Polls,
    number: u64,
    hung_up: CancellationToken,
}

impl Polls {
    fn begin(&self, number: u64) -> OpenPoll<'_> {
        let hung_up = CancellationToken::new();
        self.0.lock().insert(number, hung_up.clone());
        OpenPoll { polls: self, number, hung_up }
    }

    fn hang_up(&self, number: u64) {
        if let Some(poll) = self.0.lock().get(&number) {
            poll.cancel();
        }
    }
}

impl Drop for OpenPoll<'_> {
    fn drop(&mut self) {
        self.polls.0.lock().remove(&self.number);
    }
}
