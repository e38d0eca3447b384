//! The connections of a hub on this server, by token.
//!
//! An entry begins with the first request after the negotiation and ends with the connection. A
//! token that has ended stays until it is too old to open another connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::time::{Duration, Instant};

use crate::{handoff::Handoff, http_connection::HttpConnection};

/// All tokens that have opened a connection.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    tokens: HashMap<Arc<str>, Place>,
    /// Tokens of ended connections, by the time of the end.
    ended: VecDeque<(Instant, Arc<str>)>,
}

/// The state of a token that has opened a connection.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    WebSocket(Option<Arc<Handoff>>),
    Http(Arc<HttpConnection>),
    Ended,
}

impl Connections {
    pub(crate) fn get(&self, token: &str) -> Option<&Place> {
        self.tokens.get(token)
    }

    /// Adds a connection, and forgets tokens whose end is `age_max` ago.
    pub(crate) fn insert(&mut self, token: Arc<str>, place: Place, age_max: Duration) {
        self.forget(age_max);
        self.tokens.insert(token, place);
    }

    /// Ends a connection. If its token `is_fresh`, it is kept, since it could open another one.
    pub(crate) fn end(&mut self, token: Arc<str>, is_fresh: bool) {
        if !is_fresh {
            self.tokens.remove(&token);
        } else if let Some(place @ (Place::WebSocket(_) | Place::Http(_))) =
            self.tokens.get_mut(&token)
        {
            *place = Place::Ended;
            self.ended.push_back((Instant::now(), token));
        }
    }

    /// Returns the number of connections, and of tokens that have ended and are kept.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.tokens.len() - self.ended.len(), self.ended.len())
    }

    fn forget(&mut self, age_max: Duration) {
        while let Some((_, token)) = self.ended.pop_front_if(|(end, _)| end.elapsed() >= age_max) {
            self.tokens.remove(&token);
        }
    }
}
