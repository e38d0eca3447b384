//! The connections of a hub on this server, by token, and those with this server as their home.
//!
//! The home of a connection is the server that has issued its token. It lists the server of each open
//! connection that other servers may be asked for. So two servers never open the same one.
//!
//! An entry begins with the first request after the negotiation and ends with the connection. A
//! token that has ended stays until it is too old to open another connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use crate::{
    handoff::Handoff,
    handover::{Confirmed, Parked},
    http_connection::HttpConnection,
    server_id::ServerId,
};

/// All tokens that have opened a connection.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    tokens: HashMap<Arc<str>, Place>,
    /// Tokens of ended connections, with the time at which they open nothing any more.
    ended: VecDeque<(Instant, Arc<str>)>,
    /// The connections that have left for other servers.
    pub(crate) confirmed: Confirmed,
}

/// The state of a token that has opened a connection.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    WebSocket(Option<Arc<Handoff>>),
    Http(Arc<HttpConnection>),
    /// Here without a session, until another server goes on with it.
    Parked(Arc<Parked>),
    /// On another server. This one is the home.
    Elsewhere(Owner),
    Ended,
}

/// The server of a connection, as its home knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) server: ServerId,
    /// How often the connection has left a server. News of an earlier server is old.
    pub(crate) moves: u32,
}

impl Connections {
    pub(crate) fn get(&self, token: &str) -> Option<&Place> {
        self.tokens.get(token)
    }

    /// Adds a connection, and forgets tokens that open nothing any more.
    pub(crate) fn insert(&mut self, token: Arc<str>, place: Place) {
        let now = Instant::now();
        while let Some((_, token)) = self.ended.pop_front_if(|(until, _)| *until <= now) {
            self.tokens.remove(&token);
        }
        self.tokens.insert(token, place);
    }

    /// Replaces the place of a connection that is here.
    pub(crate) fn replace(&mut self, token: &str, place: Place) {
        if let Some(current) = self.tokens.get_mut(token) {
            *current = place;
        }
    }

    /// Forgets the token of a connection that another server has.
    pub(crate) fn forget(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Ends a connection. Its token is kept for as long as it could open another one.
    pub(crate) fn end(&mut self, token: Arc<str>, fresh_for: Duration) {
        if fresh_for.is_zero() {
            self.tokens.remove(&token);
        } else if let Some(place) = self.tokens.get_mut(&token)
            && !matches!(place, Place::Ended)
        {
            *place = Place::Ended;
            self.ended.push_back((Instant::now() + fresh_for, token));
        }
    }

    /// Ends all connections on other servers that are gone. Their tokens are forgotten.
    pub(crate) fn forget_servers(&mut self, is_there: impl Fn(ServerId) -> bool) {
        self.tokens.retain(|_, place| match place {
            Place::Elsewhere(owner) => is_there(owner.server),
            Place::WebSocket(_) | Place::Http(_) | Place::Parked(_) | Place::Ended => true,
        });
    }

    /// Returns the number of connections, and of tokens that have ended and are kept.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.tokens.len() - self.ended.len(), self.ended.len())
    }
}
