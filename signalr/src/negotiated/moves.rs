//! Connections of stateful clients that go from one server to another.
//!
//! Each step holds the lock of the table, so a connection is here, parked, or gone, and two servers
//! never get it.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Ages, Claim, Negotiated};
use crate::{
    connections::{Owner, Place},
    handoff::Handoff,
    handover::{Given, Parked},
    server_id::ServerId,
};

impl Negotiated {
    /// Returns the state of a parked connection for a server, unless it is too large.
    pub(crate) fn give(&self, token: &str, given: Given) -> Option<Box<RawValue>> {
        match self.0.connections.lock().get(token) {
            Some(Place::Parked(parked)) => parked.give(given),
            _ => None,
        }
    }

    /// Takes note that another server goes on with a parked connection. Returns false if that server
    /// was not the last one that got its state, or the connection goes on here.
    pub(crate) fn confirm(&self, token: &str, given: Given) -> bool {
        let is_own = self.decode(token).is_ok_and(|token| self.is_own(&token));
        let mut connections = self.0.connections.lock();
        let moves = match connections.get(token) {
            Some(Place::Parked(parked)) if parked.is_given(given) => parked.moves,
            _ => return connections.confirmed.contains(given.number),
        };
        match is_own {
            true => {
                let owner = Owner { server: given.to, moves };
                connections.replace(token, Place::Elsewhere(owner));
            }
            false => connections.forget(token),
        }
        connections.confirmed.insert(given.number);
        true
    }

    /// Takes a parked connection back. No other server gets it from now on. With a number, only if it
    /// has left as often as that: since then it may have come back, and left again.
    pub(crate) fn take_back(
        &self,
        token: &str,
        moves: Option<u32>,
        ages: Ages,
    ) -> Option<(Claim, Arc<Parked>)> {
        let id = self.decode(token).ok()?.id;
        let mut connections = self.0.connections.lock();
        let Some(Place::Parked(parked)) = connections.get(token) else { return None };
        if moves.is_some_and(|moves| moves != parked.moves) {
            return None;
        }
        let parked = Arc::clone(parked);
        let (claim, place) = self.claim_moved(token, id, parked.moves, ages);
        connections.replace(token, place);
        Some((claim, parked))
    }

    /// Claims the connection of a token of any age, which another server has had. Returns `None` if it
    /// is here already.
    pub(crate) fn claim_arrived(&self, token: &str, moves: u32, ages: Ages) -> Option<Claim> {
        let id = self.decode(token).ok()?.id;
        let mut connections = self.0.connections.lock();
        if let Some(Place::WebSocket(_) | Place::Http(_) | Place::Parked(_)) =
            connections.get(token)
        {
            return None;
        }
        let (claim, place) = self.claim_moved(token, id, moves, ages);
        connections.insert(token.into(), place);
        Some(claim)
    }

    fn claim_moved(&self, token: &str, id: Arc<str>, moves: u32, ages: Ages) -> (Claim, Place) {
        let (handoff, handed) = Handoff::channel(moves);
        let handoff = Arc::new(handoff);
        let place = Place::WebSocket(Some(Arc::clone(&handoff)));
        let held = Some(Box::new(self.held(token, ages)));
        (Claim { connection_id: id, resume: Some((handoff, handed)), held }, place)
    }

    /// Takes note, on the home of a token, that a server goes on with its connection. Older news is
    /// ignored.
    pub(crate) fn arrived_at(&self, token: &str, server: ServerId, moves: u32) {
        if !self.decode(token).is_ok_and(|token| self.is_own(&token)) {
            return;
        }
        let mut connections = self.0.connections.lock();
        let is_older = match connections.get(token) {
            Some(Place::Elsewhere(owner)) => moves <= owner.moves,
            Some(Place::WebSocket(handoff)) => {
                handoff.as_ref().is_none_or(|handoff| moves <= handoff.moves)
            }
            Some(Place::Parked(parked)) => moves <= parked.moves,
            Some(Place::Http(_) | Place::Ended) => true,
            None => false,
        };
        if !is_older {
            self.sweep(&mut connections);
            connections.insert(token.into(), Place::Elsewhere(Owner { server, moves }));
        }
    }
}
