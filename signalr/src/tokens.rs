//! Signs the tokens of all clients, and checks them.
//!
//! A token is `base64url(id of the key, signature, content)`. The signature is an HMAC-SHA-256 of
//! the purpose and the content, cut to 16 bytes, and compared in constant time. A purpose keeps a token
//! of one kind from being passed for another. The server stores no token.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use locks::RwLock;
use sha2::Sha256;

use crate::key_ring::{KEY_ID_BYTES, Key, KeyRing};

/// Signs and checks tokens with the keys of the app.
#[derive(Default)]
pub(crate) struct Tokens {
    ring: RwLock<KeyRing>,
}

/// The reason why a token is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// It is signed with a key that this server does not have. Another server may.
    UnknownKey,
    Forged,
}

impl Tokens {
    /// Replaces the keys by those of the application, the current one first. Without any, nothing
    /// changes.
    pub(crate) fn fix(&self, keys: &[Key]) {
        if !keys.is_empty() {
            *self.ring.write() = KeyRing::fixed(keys.to_vec());
        }
    }

    /// Returns a token.
    pub(crate) fn sign(&self, purpose: &str, content: &[u8]) -> String {
        if !self.ring.read().is_used() {
            self.ring.write().mark_used();
        }
        let key = *self.ring.read().current();
        let signature = mac(&key, purpose, content).finalize().into_bytes();
        let signature = &signature[..SIGNATURE_BYTES];
        BASE64_URL_SAFE_NO_PAD.encode([&key.id()[..], signature, content].concat())
    }

    /// Returns the content of a valid token.
    pub(crate) fn verify(&self, purpose: &str, token: &str) -> Result<Vec<u8>, Invalid> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| Invalid::Forged)?;
        let (key, rest) = bytes.split_first_chunk::<KEY_ID_BYTES>().ok_or(Invalid::Forged)?;
        let (signature, content) = rest.split_at_checked(SIGNATURE_BYTES).ok_or(Invalid::Forged)?;
        let ring = self.ring.read();
        let unknown = if ring.is_fixed() { Invalid::Forged } else { Invalid::UnknownKey };
        let key = ring.find(*key).ok_or(unknown)?;
        let mac = mac(key, purpose, content);
        mac.verify_truncated_left(signature).map_err(|_| Invalid::Forged)?;
        Ok(content.to_vec())
    }

    /// Returns the keys that other servers may need.
    pub(crate) fn shared_keys(&self) -> Vec<Key> {
        self.ring.read().shared()
    }

    /// Adds keys of another server.
    pub(crate) fn merge_keys(&self, keys: Vec<Key>) {
        self.ring.write().merge(keys);
    }

    /// Returns whether the application has set the keys.
    pub(crate) fn are_fixed(&self) -> bool {
        self.ring.read().is_fixed()
    }
}

fn mac(key: &Key, purpose: &str, content: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.secret()).expect("every length is a key");
    // A purpose has no zero byte, so its end is certain.
    mac.chain_update(purpose).chain_update([0]).chain_update(content)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

const SIGNATURE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unchanged_token_of_its_purpose_is_valid() {
        let tokens = Tokens::default();
        let token = tokens.sign("a", b"content");
        assert_eq!(tokens.verify("a", &token).as_deref(), Ok(&b"content"[..]));
        assert_eq!(tokens.verify("b", &token), Err(Invalid::Forged));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'E' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(tokens.verify("a", &changed).is_err(), "{at}");
        }
        for token in ["", "x", "abcd", &token[..20], &token.repeat(2)] {
            assert!(tokens.verify("a", token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_server_needs_its_key() {
        let (here, there) = (Tokens::default(), Tokens::default());
        let token = there.sign("a", b"content");
        assert_eq!(here.verify("a", &token), Err(Invalid::UnknownKey));
        here.merge_keys(there.shared_keys());
        assert_eq!(here.verify("a", &token).as_deref(), Ok(&b"content"[..]));
    }

    #[test]
    fn an_older_key_of_the_application_still_checks() {
        let (before, after) = (Tokens::default(), Tokens::default());
        before.fix(&[Key::of(b"older")]);
        after.fix(&[Key::of(b"current"), Key::of(b"older")]);
        assert!(after.verify("a", &before.sign("a", b"content")).is_ok());
        assert_eq!(before.verify("a", &after.sign("a", b"content")), Err(Invalid::Forged));
    }
}
