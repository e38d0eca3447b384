//! The keys with which the servers of an app sign tokens.
//!
//! Each key has an id, which a token names. All servers check tokens with all keys. The oldest key
//! signs, so servers that exchange their keys sign with the same one soon. A server whose own key
//! has signed nothing drops it when it learns of others, so the number of keys stays small.
//!
//! Keys that the application sets are never exchanged, and no other key is added to them.

use std::{fmt, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};

/// A key with the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(crate) struct Key {
    /// Milliseconds since the Unix epoch, by the clock of its server.
    created: u64,
    #[serde(deserialize_with = "read", serialize_with = "write")]
    secret: [u8; KEY_BYTES],
}

/// The name of a key in tokens.
pub(crate) type KeyId = [u8; KEY_ID_BYTES];

/// The keys of a server.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// Never empty. The first one signs.
    keys: Vec<Key>,
    /// Whether the application has set them.
    is_fixed: bool,
    /// Whether the first key has signed something.
    is_used: bool,
}

impl Key {
    fn random() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let created = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Self { created, secret: rand::random() }
    }

    /// Makes a key of a secret of the application, which may have any length.
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self { created: 0, secret: Sha256::digest(secret).into() }
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Returns its name, which reveals nothing of the secret.
    pub(crate) fn id(&self) -> KeyId {
        let digest =
            Sha256::new().chain_update("signalr.key.id").chain_update(self.secret).finalize();
        digest[..KEY_ID_BYTES].try_into().expect("a digest is longer")
    }
}

impl KeyRing {
    /// Returns a ring of keys of the application: the current one, then older ones.
    pub(crate) fn fixed(keys: Vec<Key>) -> Self {
        Self { keys, is_fixed: true, is_used: true }
    }

    /// Returns the key that signs.
    pub(crate) fn current(&self) -> &Key {
        self.keys.first().expect("a ring has a key")
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == id)
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    pub(crate) fn mark_used(&mut self) {
        self.is_used = true;
    }

    /// Returns the keys that other servers may need.
    pub(crate) fn shared(&self) -> Vec<Key> {
        if self.is_used && !self.is_fixed { self.keys.clone() } else { Vec::new() }
    }

    /// Adds keys of another server.
    pub(crate) fn merge(&mut self, others: Vec<Key>) {
        if self.is_fixed || others.is_empty() {
            return;
        }
        if !self.is_used {
            self.keys.clear();
        }
        self.keys.extend(others);
        self.keys.sort_unstable();
        self.keys.dedup();
        // The newest ones, which have signed least.
        self.keys.truncate(KEYS_MAX);
        self.is_used = true;
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        Self { keys: vec![Key::random()], is_fixed: false, is_used: false }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("created", &self.created).finish_non_exhaustive()
    }
}

fn write<S: Serializer>(secret: &[u8; KEY_BYTES], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD_NO_PAD.encode(secret))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; KEY_BYTES], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64_STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
    bytes.try_into().map_err(|_| D::Error::custom("a key has another length"))
}

const KEY_BYTES: usize = 32;
pub(crate) const KEY_ID_BYTES: usize = 4;
/// Far more than servers that start at the same time. Any client of the broker may send keys.
const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_exchange_keys_sign_with_the_same_one() {
        let (mut a, mut b) = (KeyRing::default(), KeyRing::default());
        a.keys[0].created = 1;
        b.keys[0].created = 2;
        let first = *a.current();
        a.mark_used();
        b.mark_used();
        a.merge(b.shared());
        b.merge(a.shared());
        assert_eq!((a.current(), b.current()), (&first, &first));
        assert_eq!((a.keys.len(), b.keys.len()), (2, 2));
        assert_eq!(b.find(first.id()), Some(&first));
    }

    #[test]
    fn a_server_that_has_signed_nothing_takes_the_keys_of_others() {
        let (mut old, mut new) = (KeyRing::default(), KeyRing::default());
        old.mark_used();
        assert!(new.shared().is_empty());
        new.merge(old.shared());
        assert_eq!(new.keys, old.keys);
        new.merge(Vec::new());
        assert_eq!(new.keys, old.keys);
    }

    #[test]
    fn keys_of_the_application_are_not_exchanged() {
        let keys = vec![Key::of(b"current"), Key::of(b"older")];
        let mut ring = KeyRing::fixed(keys.clone());
        let mut other = KeyRing::default();
        other.mark_used();
        ring.merge(other.shared());
        assert_eq!((&ring.keys, ring.current()), (&keys, &keys[0]));
        assert!(ring.shared().is_empty());
    }

    #[test]
    fn a_key_reads_as_it_is_written_and_the_log_does_not_show_it() {
        let key = Key::random();
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
        assert!(serde_json::from_str::<Key>(r#"{"created":1,"secret":"AAAA"}"#).is_err());
        assert_eq!(format!("{:?}", Key::of(b"")), "Key { created: 0, .. }");
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut ring = KeyRing::default();
        ring.mark_used();
        let own = *ring.current();
        ring.merge((0..1000_u64).map(|n| Key { created: u64::MAX - n, ..Key::random() }).collect());
        assert_eq!((ring.keys.len(), ring.current()), (KEYS_MAX, &own));
    }
}
