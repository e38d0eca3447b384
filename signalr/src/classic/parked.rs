//! Places of clients that go on at another server.
//!
//! The former server keeps the state of a place until another server has confirmed that it goes on. If
//! none does, the place goes on here, so its hooks run once.

use std::{collections::HashMap, sync::Arc};

use locks::Mutex;

use super::{elsewhere::Moved, place::Visitor};
use crate::handover::{Confirmed, Given};

/// The places that wait for their next server, by connection id.
#[derive(Debug, Default)]
pub(super) struct Parked(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    places: HashMap<Arc<str>, State>,
    confirmed: Confirmed,
}

#[derive(Debug)]
struct State {
    moved: Moved,
    visitor: Visitor,
    given: Given,
    /// The number of the question for which it was parked.
    since: u64,
}

impl Parked {
    /// Keeps the state of a place that was given to a server.
    pub(super) fn park(&self, moved: Moved, visitor: Visitor, given: Given) {
        let id = Arc::clone(&visitor.id);
        self.0.lock().places.insert(id, State { moved, visitor, given, since: given.number });
    }

    /// Gives a parked state to a server. An earlier one does not get it any more.
    pub(super) fn give(&self, id: &str, given: Given) -> Option<Moved> {
        let mut inner = self.0.lock();
        let state = inner.places.get_mut(id)?;
        state.given = given;
        Some(state.moved.clone())
    }

    /// Takes note that a server goes on with a client. Returns false if another one may.
    pub(super) fn confirm(&self, id: &str, given: Given) -> bool {
        let mut inner = self.0.lock();
        if inner.places.get(id).is_none_or(|state| state.given != given) {
            // The first answer may be lost.
            return inner.confirmed.contains(given.number);
        }
        inner.places.remove(id);
        inner.confirmed.insert(given.number);
        true
    }

    /// Returns whether a state still waits that was parked for the question with this number.
    pub(super) fn has(&self, id: &str, since: u64) -> bool {
        self.0.lock().places.get(id).is_some_and(|state| state.since == since)
    }

    /// Takes a state back. No other server gets it from now on. With a number, only if it was parked
    /// for that question.
    pub(super) fn take_back(&self, id: &str, since: Option<u64>) -> Option<(Moved, Visitor)> {
        let mut inner = self.0.lock();
        let state = inner.places.get(id)?;
        if since.is_some_and(|since| since != state.since) {
            return None;
        }
        let State { moved, visitor, .. } = inner.places.remove(id)?;
        Some((moved, visitor))
    }
}
