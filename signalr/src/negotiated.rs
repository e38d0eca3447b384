//! Signed tokens of negotiated connections.
//!
//! A token is a secret of the client. It contains the connection id, the time of its issue and a
//! signature of the hub, so a negotiation stores nothing, and no number of them keeps others out.
//! Other clients may see the connection id, which opens no transport.
//!
//! A fresh token opens one connection. Afterwards `connections` knows it.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{
    connections::{Connections, Place},
    handoff::Handoff,
    http_connection::HttpConnection,
    peer::Visitor,
    socket::Socket,
};

/// Issues and checks the tokens of a hub on this server.
#[derive(Clone)]
pub(crate) struct Negotiated {
    key: [u8; 32],
    /// The start of the times in tokens.
    start: Instant,
    connections: Arc<Mutex<Connections>>,
}

/// The ids of a new connection.
pub(crate) struct Issued {
    pub(crate) connection_id: String,
    pub(crate) token: String,
}

/// The version of the negotiation, the connection id and the milliseconds since the start.
const SIGNED_BYTES: usize = 1 + ID_BYTES + 8;
const ID_BYTES: usize = 16;
/// Set in the version of a client that may continue its connection.
const STATEFUL: u8 = 0x80;

impl Negotiated {
    /// Returns the ids of a new connection. In version 0 both are the token.
    pub(crate) fn issue(&self, version: u8, is_stateful: bool) -> Issued {
        let id: [u8; ID_BYTES] = rand::random();
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let kind = version | if is_stateful { STATEFUL } else { 0 };
        let signed = [&[kind][..], &id, &millis.to_be_bytes()].concat();
        let signature = self.mac(&signed).finalize().into_bytes();
        let token = encode(&[&signed[..], &signature].concat());
        let connection_id = if version == 0 { token.clone() } else { encode(&id) };
        Issued { connection_id, token }
    }

    /// Returns the state of a token.
    pub(crate) fn find(&self, token: &str, age_max: Duration) -> Found {
        let place = self.connections.lock().get(token).cloned();
        match place {
            Some(Place::WebSocket(handoff)) => Found::WebSocket(handoff),
            Some(Place::Http(connection)) => Found::Http(connection),
            Some(Place::Ended) => Found::Unknown,
            None if self.connection_id(token, age_max).is_some() => Found::Fresh,
            None => Found::Unknown,
        }
    }

    /// Claims the connection of a fresh token for a WebSocket.
    pub(crate) fn claim(&self, token: &str, age_max: Duration) -> Result<Claim, ClaimError> {
        let (handoff, sockets) = Handoff::channel();
        let handoff = is_stateful(token).then(|| Arc::new(handoff));
        let place = Place::WebSocket(handoff.clone());
        let connection_id = self.enter(token, age_max, |_| place)?;
        let held = Some(Box::new(self.held(token, age_max)));
        Ok(Claim { connection_id, resume: handoff.map(|handoff| (handoff, sockets)), held })
    }

    /// Returns whether a WebSocket with a token that was refused would have continued a connection: a
    /// stateful one that has ended or does not take it.
    pub(crate) fn is_resumption(&self, token: &str) -> bool {
        is_stateful(token) && self.decode(token).is_some()
    }

    /// Makes the token of a connection unknown. Its session may still end.
    pub(crate) fn end(&self, token: &str, age_max: Duration) {
        let is_fresh = self.connection_id(token, age_max).is_some();
        self.connections.lock().end(token.into(), is_fresh);
    }

    /// Creates the connection of a fresh token for several HTTP requests.
    pub(crate) fn create_http(
        &self,
        token: &str,
        age_max: Duration,
        visitor: Visitor,
    ) -> Result<(Arc<HttpConnection>, Held), ClaimError> {
        let mut created = None;
        self.enter(token, age_max, |connection_id| {
            let connection = Arc::new(HttpConnection::new(Arc::clone(connection_id), visitor));
            created = Some(Arc::clone(&connection));
            Place::Http(connection)
        })?;
        let connection = created.expect("`enter` has called the function");
        Ok((connection, self.held(token, age_max)))
    }

    fn held(&self, token: &str, age_max: Duration) -> Held {
        Held { negotiated: self.clone(), token: token.into(), age_max }
    }

    /// Enters the connection of a fresh token, and returns its id.
    fn enter(
        &self,
        token: &str,
        age_max: Duration,
        place: impl FnOnce(&Arc<str>) -> Place,
    ) -> Result<Arc<str>, ClaimError> {
        let mut connections = self.connections.lock();
        match connections.get(token) {
            Some(Place::WebSocket(_) | Place::Http(_)) => return Err(ClaimError::Active),
            Some(Place::Ended) => return Err(ClaimError::Unknown),
            None => {}
        }
        let connection_id = self.connection_id(token, age_max).ok_or(ClaimError::Unknown)?;
        connections.insert(token.into(), place(&connection_id), age_max);
        Ok(connection_id)
    }

    /// Returns the number of connections, and of tokens that have ended and are kept.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.connections.lock().counts()
    }

    /// Returns the connection id of a token of this hub that is younger than `age_max`.
    fn connection_id(&self, token: &str, age_max: Duration) -> Option<Arc<str>> {
        let Token { id, issued, .. } = self.decode(token)?;
        (self.start.elapsed().saturating_sub(issued) < age_max).then_some(id)
    }

    /// Returns the version of the negotiation and the connection id of a token of this hub, of any
    /// age.
    pub(crate) fn read(&self, token: &str) -> Option<(u8, Arc<str>)> {
        let Token { version, id, .. } = self.decode(token)?;
        Some((version, id))
    }

    fn decode(&self, token: &str) -> Option<Token> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, signature) = bytes.split_at_checked(SIGNED_BYTES)?;
        self.mac(signed).verify_slice(signature).ok()?;
        let (version, id) = (signed[0] & !STATEFUL, &signed[1..=ID_BYTES]);
        let millis = u64::from_be_bytes(signed[1 + ID_BYTES..].try_into().ok()?);
        let id = if version == 0 { token.into() } else { encode(id).into() };
        Some(Token { version, id, issued: Duration::from_millis(millis) })
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("every length is a key");
        mac.chain_update(signed)
    }
}

impl Default for Negotiated {
    fn default() -> Self {
        Self { key: rand::random(), start: Instant::now(), connections: Arc::default() }
    }
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiated").finish_non_exhaustive()
    }
}

/// The content of a token of this hub.
struct Token {
    version: u8,
    id: Arc<str>,
    /// The time of its issue after the start of the hub.
    issued: Duration,
}

/// The state of a token.
#[derive(Debug)]
pub(crate) enum Found {
    /// It has opened nothing, and may open a connection.
    Fresh,
    WebSocket(Option<Arc<Handoff>>),
    Http(Arc<HttpConnection>),
    Unknown,
}

/// A connection with a WebSocket. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) connection_id: Arc<str>,
    /// Set for a stateful client: the ends of its handoff.
    pub(crate) resume: Option<(Arc<Handoff>, mpsc::Receiver<Box<Socket>>)>,
    #[expect(dead_code, reason = "its drop ends the connection")]
    held: Option<Box<Held>>,
}

impl Claim {
    /// Returns a connection without a negotiation.
    pub(crate) fn unnegotiated() -> Self {
        let connection_id = encode(&rand::random::<[u8; ID_BYTES]>()).into();
        Self { connection_id, resume: None, held: None }
    }
}

/// The token of a connection. Dropping it makes the token unknown.
#[derive(Debug)]
pub(crate) struct Held {
    negotiated: Negotiated,
    token: Arc<str>,
    age_max: Duration,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.negotiated.end(&self.token, self.age_max);
    }
}

/// The reason why a connection cannot have a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    Unknown,
    Active,
}

/// Returns whether a token, which has been checked, is one of a stateful client.
fn is_stateful(token: &str) -> bool {
    let kind = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| bytes.first().copied());
    kind.is_some_and(|kind| kind & STATEFUL != 0)
}

/// Encodes bytes as text that needs no escape in a URL.
fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE_MAX: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_transport_and_ends_with_it() {
        let negotiated = Negotiated::default();
        let Issued { connection_id, token } = negotiated.issue(1, false);
        let claim = negotiated.claim(&token, AGE_MAX).unwrap();
        assert_eq!(*claim.connection_id, connection_id);
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Active);
        assert!(matches!(negotiated.find(&token, AGE_MAX), Found::WebSocket(None)));
        assert_eq!(negotiated.counts(), (1, 0));
        drop(claim);
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        assert!(matches!(negotiated.find(&token, AGE_MAX), Found::Unknown));
        assert_eq!(negotiated.counts(), (0, 1));

        // Then it is too old, and the next connection forgets it.
        tokio::time::advance(AGE_MAX).await;
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        let next = negotiated.claim(&negotiated.issue(1, false).token, AGE_MAX).unwrap();
        assert_eq!(negotiated.counts(), (1, 0));

        // A connection that lives longer than its token leaves nothing.
        tokio::time::advance(AGE_MAX).await;
        drop(next);
        assert_eq!(negotiated.counts(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_several_requests_has_one_entry() {
        let negotiated = Negotiated::default();
        let Issued { connection_id, token } = negotiated.issue(1, false);
        let user_id: Option<Arc<str>> = Some("ann".into());
        let visitor = Visitor { user_id: user_id.clone(), ..Visitor::default() };
        let (connection, held) = negotiated.create_http(&token, AGE_MAX, visitor).unwrap();
        assert_eq!(
            (&*connection.connection_id, &connection.visitor.user_id),
            (&*connection_id, &user_id)
        );
        let Found::Http(found) = negotiated.find(&token, AGE_MAX) else { panic!("not found") };
        assert!(Arc::ptr_eq(&found, &connection));
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Active);
        drop(held);
        assert!(matches!(negotiated.find(&token, AGE_MAX), Found::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unchanged_token_of_this_hub_opens_a_transport() {
        let negotiated = Negotiated::default();
        let Issued { connection_id, token } = negotiated.issue(1, false);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'E' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(matches!(negotiated.find(&changed, AGE_MAX), Found::Unknown), "{at}");
        }
        let other = Negotiated::default().issue(1, false).token;
        for unknown in [&*connection_id, &other, "", "x", &token[..20], &token.repeat(2)] {
            assert_eq!(negotiated.claim(unknown, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        }
        let Issued { connection_id, token } = negotiated.issue(0, false);
        assert_eq!(connection_id, token);
        assert!(negotiated.claim(&token, AGE_MAX).is_ok());
    }

    #[tokio::test]
    async fn ids_have_22_characters_and_differ() {
        let negotiated = Negotiated::default();
        let (a, b) = (negotiated.issue(1, false), negotiated.issue(1, false));
        assert_eq!((a.connection_id.len(), a.token.len()), (22, 76));
        assert_ne!(a.connection_id, b.connection_id);
        assert_ne!(a.token, b.token);
    }
}
