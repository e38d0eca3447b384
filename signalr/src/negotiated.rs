//! Connections from their negotiation to their end, by token.
//!
//! The token is a secret of the client. Other clients may see the connection id, which opens no
//! transport. An entry ends with its transport, or after a time limit if no transport is opened.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use parking_lot::Mutex;

/// All negotiated connections of a hub on this server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Negotiated {
    tokens: Arc<Mutex<Tokens>>,
}

/// A token is in at most one of the two collections.
#[derive(Debug, Default)]
struct Tokens {
    /// Connection ids of connections without a transport, by token.
    waiting: HashMap<String, Arc<str>>,
    active: HashSet<String>,
}

impl Negotiated {
    /// Adds a connection without a transport. Returns `None` if `waiting_max` of them exist.
    pub(crate) fn add(
        &self,
        token: String,
        connection_id: Arc<str>,
        waiting_max: usize,
    ) -> Option<()> {
        let mut tokens = self.tokens.lock();
        if tokens.waiting.len() >= waiting_max {
            return None;
        }
        tokens.waiting.insert(token, connection_id);
        Some(())
    }

    /// Removes a connection that still has no transport.
    pub(crate) fn expire(&self, token: &str) {
        self.tokens.lock().waiting.remove(token);
    }

    pub(crate) fn contains(&self, token: &str) -> bool {
        let tokens = self.tokens.lock();
        tokens.waiting.contains_key(token) || tokens.active.contains(token)
    }

    /// Claims a waiting connection for a transport.
    pub(crate) fn claim(&self, token: &str) -> Result<Claim, ClaimError> {
        let mut tokens = self.tokens.lock();
        if tokens.active.contains(token) {
            return Err(ClaimError::Active);
        }
        let (token, connection_id) =
            tokens.waiting.remove_entry(token).ok_or(ClaimError::Unknown)?;
        tokens.active.insert(token.clone());
        Ok(Claim { connection_id, held: Some((self.clone(), token)) })
    }
}

/// A connection with a transport. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) connection_id: Arc<str>,
    held: Option<(Negotiated, String)>,
}

impl Claim {
    /// Returns a connection without a negotiation.
    pub(crate) fn unnegotiated() -> Self {
        Self { connection_id: random_id().into(), held: None }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((negotiated, token)) = &self.held {
            negotiated.tokens.lock().active.remove(token);
        }
    }
}

/// The reason why a connection cannot have a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    Unknown,
    Active,
}

/// Returns 128 random bits as 22 characters that need no escape in a URL.
pub(crate) fn random_id() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_one_transport_and_ends_with_it() {
        let negotiated = Negotiated::default();
        negotiated.add("secret".into(), "id".into(), 1).unwrap();
        let claim = negotiated.claim("secret").unwrap();
        assert_eq!(&*claim.connection_id, "id");
        assert_eq!(negotiated.claim("secret").unwrap_err(), ClaimError::Active);
        negotiated.expire("secret");
        assert_eq!(negotiated.claim("secret").unwrap_err(), ClaimError::Active);
        drop(claim);
        assert_eq!(negotiated.claim("secret").unwrap_err(), ClaimError::Unknown);
    }

    #[test]
    fn a_connection_id_opens_no_transport() {
        let negotiated = Negotiated::default();
        negotiated.add("secret".into(), "id".into(), 1).unwrap();
        assert_eq!(negotiated.claim("id").unwrap_err(), ClaimError::Unknown);
    }

    #[test]
    fn the_number_of_waiting_connections_is_limited() {
        let negotiated = Negotiated::default();
        negotiated.add("a".into(), "1".into(), 1).unwrap();
        assert!(negotiated.add("b".into(), "2".into(), 1).is_none());
        let _active = negotiated.claim("a").unwrap();
        assert!(negotiated.add("b".into(), "2".into(), 1).is_some());
    }

    #[test]
    fn ids_are_22_characters_and_differ() {
        let (a, b) = (random_id(), random_id());
        assert_eq!(a.len(), 22);
        assert_ne!(a, b);
    }
}
