//! Signed tokens of negotiated connections.
//!
//! A token is a secret of the client. It contains the connection id, the time of its issue and a
//! signature of the hub, so a negotiation stores nothing, and no number of them keeps others out.
//! Other clients may see the connection id, which opens no transport.
//!
//! Only tokens that have opened a transport are stored, since each may open one only. They are
//! forgotten when they are too old to open another.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::time::{Duration, Instant};

/// Issues and checks the tokens of a hub on this server.
#[derive(Clone)]
pub(crate) struct Negotiated {
    key: [u8; 32],
    /// The start of the times in tokens.
    start: Instant,
    opened: Arc<Mutex<Opened>>,
}

/// Tokens that have opened a transport.
#[derive(Debug, Default)]
struct Opened {
    /// Whether the transport is still open, by token.
    tokens: HashMap<Arc<str>, bool>,
    /// Tokens with a closed transport, by the time of its end.
    ended: VecDeque<(Instant, Arc<str>)>,
}

/// The ids of a new connection.
pub(crate) struct Issued {
    pub(crate) connection_id: String,
    pub(crate) token: String,
}

/// The version of the negotiation, the connection id and the milliseconds since the start.
const SIGNED_BYTES: usize = 1 + ID_BYTES + 8;
const ID_BYTES: usize = 16;

impl Negotiated {
    /// Returns the ids of a new connection. In version 0 both are the token.
    pub(crate) fn issue(&self, version: u8) -> Issued {
        let id: [u8; ID_BYTES] = rand::random();
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let signed = [&[version][..], &id, &millis.to_be_bytes()].concat();
        let signature = self.mac(&signed).finalize().into_bytes();
        let token = encode(&[&signed[..], &signature].concat());
        let connection_id = if version == 0 { token.clone() } else { encode(&id) };
        Issued { connection_id, token }
    }

    /// Returns whether a token may open a transport or has one open.
    pub(crate) fn contains(&self, token: &str, age_max: Duration) -> bool {
        match self.opened.lock().tokens.get(token) {
            Some(is_open) => *is_open,
            None => self.connection_id(token, age_max).is_some(),
        }
    }

    /// Claims the connection of a token for its only transport.
    pub(crate) fn claim(&self, token: &str, age_max: Duration) -> Result<Claim, ClaimError> {
        let mut opened = self.opened.lock();
        opened.forget(age_max);
        match opened.tokens.get(token) {
            Some(true) => return Err(ClaimError::Active),
            Some(false) => return Err(ClaimError::Unknown),
            None => {}
        }
        let connection_id = self.connection_id(token, age_max).ok_or(ClaimError::Unknown)?;
        let token: Arc<str> = token.into();
        opened.tokens.insert(Arc::clone(&token), true);
        Ok(Claim { connection_id, held: Some((self.clone(), token)) })
    }

    /// Returns the connection id of a token of this hub that is younger than `age_max`.
    fn connection_id(&self, token: &str, age_max: Duration) -> Option<Arc<str>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, signature) = bytes.split_at_checked(SIGNED_BYTES)?;
        self.mac(signed).verify_slice(signature).ok()?;
        let (version, id) = (signed[0], &signed[1..=ID_BYTES]);
        let millis = u64::from_be_bytes(signed[1 + ID_BYTES..].try_into().ok()?);
        let age = self.start.elapsed().saturating_sub(Duration::from_millis(millis));
        let id = if version == 0 { token.into() } else { encode(id).into() };
        (age < age_max).then_some(id)
    }

    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("every length is a key");
        mac.chain_update(signed)
    }
}

impl Default for Negotiated {
    fn default() -> Self {
        Self { key: rand::random(), start: Instant::now(), opened: Arc::default() }
    }
}

impl fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Negotiated").finish_non_exhaustive()
    }
}

impl Opened {
    /// Forgets closed tokens that are too old to open a transport again.
    fn forget(&mut self, age_max: Duration) {
        while let Some((_, token)) = self.ended.pop_front_if(|(end, _)| end.elapsed() >= age_max) {
            self.tokens.remove(&token);
        }
    }
}

/// A connection with a transport. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) connection_id: Arc<str>,
    held: Option<(Negotiated, Arc<str>)>,
}

impl Claim {
    /// Returns a connection without a negotiation.
    pub(crate) fn unnegotiated() -> Self {
        Self { connection_id: encode(&rand::random::<[u8; ID_BYTES]>()).into(), held: None }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((negotiated, token)) = self.held.take() {
            let mut opened = negotiated.opened.lock();
            opened.tokens.insert(Arc::clone(&token), false);
            opened.ended.push_back((Instant::now(), token));
        }
    }
}

/// The reason why a connection cannot have a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    Unknown,
    Active,
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
        let Issued { connection_id, token } = negotiated.issue(1);
        let claim = negotiated.claim(&token, AGE_MAX).unwrap();
        assert_eq!(*claim.connection_id, connection_id);
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Active);
        assert!(negotiated.contains(&token, AGE_MAX));
        drop(claim);
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        assert!(!negotiated.contains(&token, AGE_MAX));

        // Then it is too old, and nothing is left of it.
        tokio::time::advance(AGE_MAX).await;
        assert_eq!(negotiated.claim(&token, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        assert!(negotiated.opened.lock().tokens.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_unchanged_token_of_this_hub_opens_a_transport() {
        let negotiated = Negotiated::default();
        let Issued { connection_id, token } = negotiated.issue(1);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'E' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!negotiated.contains(&changed, AGE_MAX), "{at}");
        }
        let other = Negotiated::default().issue(1).token;
        for unknown in [&*connection_id, &other, "", "x", &token[..20], &token.repeat(2)] {
            assert_eq!(negotiated.claim(unknown, AGE_MAX).unwrap_err(), ClaimError::Unknown);
        }
        let Issued { connection_id, token } = negotiated.issue(0);
        assert_eq!(connection_id, token);
        assert!(negotiated.claim(&token, AGE_MAX).is_ok());
    }

    #[tokio::test]
    async fn ids_have_22_characters_and_differ() {
        let negotiated = Negotiated::default();
        let (a, b) = (negotiated.issue(1), negotiated.issue(1));
        assert_eq!((a.connection_id.len(), a.token.len()), (22, 76));
        assert_ne!(a.connection_id, b.connection_id);
        assert_ne!(a.token, b.token);
    }
}
