//! Stateful connections that go to another server with their clients.
//!
//! A client opens its next WebSocket on any server. That server **takes** the connection: it asks the
//! owner for its state, confirms that it has it, and goes on with a session that waits for the
//! WebSocket. The owner waits for a moment without running calls first.
//!
//! The owner keeps the state until the confirmation, and takes the connection back without one. The
//! new server starts no session before the owner has answered the confirmation. So the hook for the end
//! of a connection runs once, on the server that has it then.

use std::{mem, sync::Arc, time::Duration};

use axum::{http::request::Parts, response::Response};
use serde_json::value::RawValue;
use tokio::time::{self, Instant};
use tracing::{Instrument, debug, warn};

use super::{Session, http, unknown_websocket};
use crate::{
    farm::{ANSWER_TIMEOUT, Asked},
    forwarding::{ARRIVED, CONFIRM, TAKE},
    handoff::Handoff,
    handover::{Arrived, CONFIRMED_WITHIN, Confirm, Given, Left, Luggage, Parked, Take, Taken},
    hub::Hub,
    negotiated::{Claim, Found},
    peer::{Peer, Visitor},
    refusal::full,
    server_id::ServerId,
    session, spans,
    transport::resumable,
    transport_kind::TransportKind,
};

/// Runs a session. If it leaves, its state stays in its place, and is not returned.
pub(super) async fn run(
    hub: Arc<Hub>,
    claim: Claim,
    moves: u32,
    session: Session,
) -> Option<Box<Left>> {
    match session.await {
        Some(left) => park(&hub, claim, moves, *left),
        None => drop(claim),
    }
    None
}

fn park(hub: &Arc<Hub>, claim: Claim, moves: u32, left: Left) {
    let Left { mut luggage, visitor, waiting } = left;
    let moves = moves.saturating_add(1);
    luggage.moves = moves;
    let Some(parked) = Parked::new(&luggage, visitor) else {
        warn!("the state of a connection cannot be written");
        return;
    };
    let Some(token) = claim.park(parked) else { return };
    let later = Arc::clone(hub);
    let waited = async move {
        time::sleep(CONFIRMED_WITHIN).await;
        take_back_from(&later, &token, Some(moves));
    };
    tokio::spawn(hub.sessions().track_future(waited.in_current_span()));
    for waiting in waiting {
        // Fails if that server has given up.
        let _ = waiting.send(());
    }
}

/// Takes a connection back that has left, unless another server has confirmed that it goes on.
pub(super) fn take_back(hub: &Arc<Hub>, token: &str) -> Option<Arc<Handoff>> {
    take_back_from(hub, token, None)
}

/// Takes a connection back. With a number, only if it has left as often as that.
fn take_back_from(hub: &Arc<Hub>, token: &str, moves: Option<u32>) -> Option<Arc<Handoff>> {
    let (claim, parked) = hub.negotiated().take_back(token, moves, hub.ages())?;
    let luggage = parked.open()?;
    debug!(connection.id = &*claim.connection_id, "a connection stays on its server");
    Some(start(hub, claim, parked.visitor.clone(), luggage))
}

/// Starts the session of a connection that waits for its client.
fn start(hub: &Arc<Hub>, mut claim: Claim, visitor: Visitor, mut luggage: Luggage) -> Arc<Handoff> {
    let (handoff, handed) = claim.resume.take().expect("the claim of a stateful client has one");
    handoff.set_user(visitor.user_id.clone());
    handoff.agree();
    let span = spans::connection(hub.name(), &claim.connection_id);
    let id = Arc::clone(&claim.connection_id);
    let peer = Peer::new(id, visitor, TransportKind::WebSockets);
    let peer = Arc::new(peer.with_keepsakes(mem::take(&mut luggage.keepsakes)));
    let halves = resumable::without_socket(hub.options(), Arc::clone(&handoff), handed);
    let moves = handoff.moves;
    let session = session::go_on(Arc::clone(hub), peer, luggage, halves);
    let running = run(Arc::clone(hub), claim, moves, Box::pin(session));
    tokio::spawn(hub.sessions().track_future(running.instrument(span)));
    handoff
}

/// Hands the state of a connection over to the server that asks for it.
pub(crate) async fn hand_over(hub: Arc<Hub>, to: ServerId, take: Take) -> Taken {
    let Take { token, number, user_id } = take;
    match hub.negotiated().find(&token, hub.ages()) {
        Found::WebSocket(Some(handoff)) => {
            if !handoff.belongs_to(user_id.as_deref()) {
                return Taken::OtherUser;
            }
            // Without cursors, no other server could tell which messages are missing.
            if !hub.backplane().has_cursors() {
                return Taken::Stays;
            }
            let leaving = handoff.leave(Instant::now() + QUIET_WITHIN);
            // The last results take a moment more.
            let _ = time::timeout(QUIET_WITHIN + ANSWER_TIMEOUT, leaving).await;
        }
        Found::Parked(parked) if parked.visitor.user_id.as_deref() != user_id.as_deref() => {
            return Taken::OtherUser;
        }
        Found::Parked(_) => {}
        Found::WebSocket(None) | Found::Http(_) => return Taken::Stays,
        _ => return Taken::Unknown,
    }
    let given = hub.negotiated().give(&token, Given { to, number });
    given.map_or(Taken::Stays, Taken::Luggage)
}

/// Takes the connection of a token over from its owner, for the client that has sent a request. The
/// session waits for its WebSocket then.
pub(super) async fn take_over(
    hub: &Arc<Hub>,
    parts: &Parts,
    token: &str,
    owner: ServerId,
) -> Result<Arc<Handoff>, Response> {
    if hub.is_full() {
        return Err(full());
    }
    let taking = take(Arc::clone(hub), token.to_owned(), owner, hub.visitor(parts));
    // A task of its own: after a client that hangs up meanwhile, no server would have its connection.
    // A shutdown waits for it, since its owner may have let go already.
    let taking = tokio::spawn(hub.sessions().track_future(taking.in_current_span()));
    let taken = time::timeout(TAKEN_WITHIN, taking).await;
    let taken = taken.ok().and_then(Result::ok).unwrap_or(Err(Untaken::Lost));
    let taken = match (taken, hub.negotiated().find(token, hub.ages())) {
        // Another request of the client has just taken it.
        (Err(_), Found::WebSocket(Some(handoff))) => Ok(handoff),
        (taken, _) => taken,
    };
    hub.metrics().handed_over(taken.as_ref().err().map_or("ok", |untaken| untaken.outcome()));
    taken.map_err(|untaken| match untaken {
        Untaken::OtherUser => http::other_user(),
        Untaken::Stays | Untaken::Lost => unknown_websocket(),
    })
}

/// The reason why a connection does not come here.
#[derive(Clone, Copy, Debug)]
enum Untaken {
    OtherUser,
    /// Its owner keeps it: its calls last too long, or its state is too large.
    Stays,
    /// No server has it, or its owner does not answer.
    Lost,
}

impl Untaken {
    fn outcome(self) -> &'static str {
        match self {
            Self::OtherUser => "other_user",
            Self::Stays => "stays",
            Self::Lost => "lost",
        }
    }
}

async fn take(
    hub: Arc<Hub>,
    token: String,
    owner: ServerId,
    visitor: Visitor,
) -> Result<Arc<Handoff>, Untaken> {
    let number = rand::random();
    let question = Take {
        token: token.clone(),
        number,
        user_id: visitor.user_id.as_deref().map(str::to_owned),
    };
    let (owner, text) = ask_for(&hub, owner, &question).await?;
    // Checked before the confirmation: otherwise, the owner goes on.
    let luggage: Luggage = serde_json::from_str(text.get()).map_err(|error| {
        warn!(%error, server = %owner, "the state of a connection cannot be read");
        Untaken::Lost
    })?;
    if luggage.start().is_none() || luggage.user_id.as_deref() != visitor.user_id.as_deref() {
        return Err(Untaken::Lost);
    }
    let confirm = Confirm { token: token.clone(), number };
    // Only the answer of the owner decides.
    let is_confirmed = hub.farm().ask_until_gone(owner, CONFIRM, &confirm).await;
    if !is_confirmed.unwrap_or(false) {
        return Err(Untaken::Lost);
    }
    let moves = luggage.moves;
    let claim = hub.negotiated().claim_arrived(&token, moves, hub.ages()).ok_or(Untaken::Lost)?;
    debug!(connection.id = &*claim.connection_id, server = %owner, "took a connection over");
    let handoff = start(&hub, claim, visitor, luggage);
    tell_home(&hub, &token, moves).await;
    Ok(handoff)
}

/// Asks the owner of a connection for its state, and all others if it has gone on since.
async fn ask_for(
    hub: &Hub,
    owner: ServerId,
    question: &Take,
) -> Result<(ServerId, Box<RawValue>), Untaken> {
    let asked = hub.farm().ask_one(owner, TAKE, question, TAKEN_WITHIN).await;
    match asked {
        Asked::Answer(Taken::Luggage(text)) => return Ok((owner, text)),
        Asked::Answer(Taken::OtherUser) => return Err(Untaken::OtherUser),
        Asked::Answer(Taken::Stays) => return Err(Untaken::Stays),
        Asked::Answer(Taken::Unknown) => {}
        Asked::Refused | Asked::Silent => return Err(Untaken::Lost),
    }
    let answers = hub.farm().ask_others::<Taken>(TAKE, question, TAKEN_WITHIN).await;
    let with_luggage = answers.into_iter().find_map(|(server, taken)| match taken {
        Taken::Luggage(text) => Some((server, text)),
        Taken::OtherUser | Taken::Stays | Taken::Unknown => None,
    });
    with_luggage.ok_or(Untaken::Lost)
}

/// Tells the home of a token where its connection is. If that is lost, the next server asks all.
async fn tell_home(hub: &Hub, token: &str, moves: u32) {
    if let Some(home) = hub.negotiated().other_home(token) {
        let arrived = Arrived { token: token.to_owned(), moves };
        hub.farm().ask_one::<()>(home, ARRIVED, &arrived, ANSWER_TIMEOUT).await;
    }
}

/// Maximum wait of an owner for a moment without running calls.
const QUIET_WITHIN: Duration = Duration::from_secs(2);
/// Maximum wait of a client for its connection. The owner has answered before.
const TAKEN_WITHIN: Duration = Duration::from_secs(4);
