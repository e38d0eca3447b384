//! The signed tokens of clients of SignalR 2.
//!
//! A connection token names a connection and its user. A groups token lists the groups of a
//! connection. Both are signed, and no server stores them: they stay valid as long as the key.
//! Each kind has a purpose of its own, so one cannot be passed for the other.

use std::sync::Arc;

use crate::tokens::{self, Invalid};

/// Issues and checks tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Those of one of the hubs.
    tokens: Arc<tokens::Tokens>,
}

/// The content of a connection token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) connection_id: String,
    /// Empty for an anonymous user.
    pub(super) user: String,
}

impl Tokens {
    pub(super) fn new(tokens: Arc<tokens::Tokens>) -> Self {
        Self { tokens }
    }

    /// Returns the token of a connection.
    pub(super) fn connection(&self, identity: &Identity) -> String {
        let Identity { connection_id, user } = identity;
        self.sign(CONNECTION, &format!("{connection_id}:{user}"))
    }

    /// Returns the content of a connection token, if it is valid.
    pub(super) fn read_connection(&self, token: &str) -> Result<Identity, Invalid> {
        let text = self.verify(CONNECTION, token)?;
        let (connection_id, user) = text.split_once(':').ok_or(Invalid::Forged)?;
        Ok(Identity { connection_id: connection_id.to_owned(), user: user.to_owned() })
    }

    /// Returns the token of a connection's groups. Equal groups have equal tokens.
    pub(super) fn groups(&self, connection_id: &str, groups: &[String]) -> String {
        let groups = serde_json::to_string(groups).expect("strings always serialise");
        self.sign(GROUPS, &format!("{connection_id}:{groups}"))
    }

    /// Returns the groups of a token, if it is valid and issued to this connection.
    pub(super) fn read_groups(&self, token: &str, connection_id: &str) -> Option<Vec<String>> {
        let text = self.verify(GROUPS, token).ok()?;
        let (id, groups) = text.split_once(':')?;
        let groups = id.eq_ignore_ascii_case(connection_id).then_some(groups)?;
        serde_json::from_str(groups).ok()
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        self.tokens.sign(purpose, text.as_bytes())
    }

    fn verify(&self, purpose: &str, token: &str) -> Result<String, Invalid> {
        let text = self.tokens.verify(purpose, token)?;
        String::from_utf8(text).map_err(|_| Invalid::Forged)
    }
}

/// Returns a new connection id: a random GUID in lower case.
pub(super) fn connection_id() -> String {
    // Version 4, variant 1.
    let bits: u128 = rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

const CONNECTION: &str = "SignalR.ConnectionToken";
const GROUPS: &str = "SignalR.Groups.v1.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_contains_its_connection_and_user() {
        let tokens = Tokens::default();
        for user in ["", "ann", "a:b:é"] {
            let identity = Identity { connection_id: connection_id(), user: user.to_owned() };
            assert_eq!(tokens.read_connection(&tokens.connection(&identity)), Ok(identity));
        }
    }

    #[test]
    fn a_foreign_token_or_one_of_groups_names_no_connection() {
        let tokens = Tokens::default();
        let identity = Identity { connection_id: connection_id(), user: "ann".to_owned() };
        let token = tokens.connection(&identity);
        let other = Tokens::default().connection(&identity);
        let groups = tokens.groups(&identity.connection_id, &[]);
        for token in ["", "abcd", &other, &groups, &token[..40], &token.repeat(2)] {
            assert!(tokens.read_connection(token).is_err(), "{token}");
        }
    }

    #[test]
    fn groups_are_for_one_connection() {
        let tokens = Tokens::default();
        let groups = ["ChatHub.red".to_owned(), "ChatHub.a\"b".to_owned()];
        let token = tokens.groups("0a", &groups);
        assert_eq!(tokens.read_groups(&token, "0A").as_deref(), Some(&groups[..]));
        assert_eq!(tokens.read_groups(&token, "0b"), None);
        assert_eq!(tokens.read_groups("abcd", "0a"), None);
    }

    #[test]
    fn an_id_has_the_form_of_a_guid() {
        let id = connection_id();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4");
        assert_ne!(id, connection_id());
    }
}
