//! Where a client goes on after the end of its server, by the place of its last message.
//!
//! Each message of a resumable connection has its place in the stream of the backplane, as text. The
//! server also sends a **groups token**: the groups of the connection with its id and its user, signed. A
//! client that begins a new connection, on any server, names both in its query. The server then sends
//! what the client has missed, also messages to its groups and to its former connection.

use std::time::{Duration, SystemTime};

use backplane::{Backplane, Connection, Cursor, CursorError};
use serde::{Deserialize, Serialize};

use crate::tokens::{Invalid, Tokens};

/// Where a new connection begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resumption {
    /// The place of the last message that the client has received. `None` for a new client.
    cursor: Option<Cursor>,
    former: Option<Former>,
}

/// The content of a groups token: a connection as its client has left it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Former {
    pub(crate) connection_id: String,
    pub(crate) user_id: Option<String>,
    /// Without the name of the hub.
    pub(crate) groups: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Signed {
    former: Former,
    /// Seconds since the Unix epoch.
    issued: u64,
}

/// The reason why a client cannot go on where it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResumptionError {
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// Another server may have the key.
    #[error("the groups token was signed with an unknown key")]
    UnknownKey,
    #[error("the groups token is invalid, older than a day, or of another user")]
    Token,
}

impl Resumption {
    /// Reads the query of a client: its cursor, which is empty for a new client, and its groups token.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is invalid, or if the token was signed for another user.
    pub(crate) fn read(
        tokens: &Tokens,
        hub: &str,
        user_id: Option<&str>,
        (cursor, groups): (&str, &str),
    ) -> Result<Self, ResumptionError> {
        if cursor.is_empty() {
            return Ok(Self::default());
        }
        let cursor = Some(cursor.parse()?);
        if groups.is_empty() {
            return Ok(Self { cursor, former: None });
        }
        let content = tokens.verify(&purpose(hub), groups).map_err(|invalid| match invalid {
            Invalid::UnknownKey => ResumptionError::UnknownKey,
            Invalid::Forged => ResumptionError::Token,
        })?;
        let signed: Signed =
            serde_json::from_slice(&content).map_err(|_| ResumptionError::Token)?;
        let is_old = now().saturating_sub(signed.issued) > AGE_MAX.as_secs();
        if is_old || signed.former.user_id.as_deref() != user_id {
            return Err(ResumptionError::Token);
        }
        Ok(Self { cursor, former: Some(signed.former) })
    }

    /// Returns whether the client goes on with an earlier connection.
    pub(crate) fn goes_on(&self) -> bool {
        self.cursor.is_some()
    }

    /// Attaches the connection.
    pub(crate) fn attach(&self, backplane: &Backplane, id: &str, user: Option<&str>) -> Connection {
        match (self.cursor, &self.former) {
            (None, _) => backplane.attach(id, user),
            (Some(cursor), None) => backplane.attach_at(id, user, &[], cursor),
            (Some(cursor), Some(former)) => {
                let groups: Vec<&str> = former.groups.iter().map(String::as_str).collect();
                backplane.attach_after(&former.connection_id, id, user, &groups, cursor)
            }
        }
    }

    /// Returns the groups in which the connection begins.
    pub(crate) fn groups(&self) -> &[String] {
        self.former.as_ref().map_or(&[], |former| &former.groups)
    }
}

impl Former {
    /// Returns the groups token.
    pub(crate) fn sign(self, tokens: &Tokens, hub: &str) -> String {
        let signed = Signed { former: self, issued: now() };
        let content = serde_json::to_vec(&signed).expect("texts and a number can be written");
        tokens.sign(&purpose(hub), &content)
    }
}

fn purpose(hub: &str) -> String {
    format!("signalr.groups.{hub}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Longer than a notebook sleeps over night, and than servers keep messages.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn former(user_id: Option<&str>) -> Former {
        let user_id = user_id.map(str::to_owned);
        Former { connection_id: "c1".to_owned(), user_id, groups: vec!["red, \"a\"".to_owned()] }
    }

    #[test]
    fn a_token_brings_its_groups_to_the_hub_and_the_user_that_it_was_signed_for() {
        let tokens = Tokens::default();
        for user in [None, Some("ann")] {
            let token = former(user).sign(&tokens, "Chat");
            let read = |hub, user| Resumption::read(&tokens, hub, user, ("s-0,4AC5", &token));
            assert_eq!(read("Chat", user).unwrap().former, Some(former(user)));
            assert_eq!(read("Other", user).unwrap_err(), ResumptionError::Token);
            assert_eq!(read("Chat", Some("bob")).unwrap_err(), ResumptionError::Token);
            let of_another_key =
                Resumption::read(&Tokens::default(), "Chat", user, ("s-0,1", &token));
            assert_eq!(of_another_key.unwrap_err(), ResumptionError::UnknownKey);
        }
    }

    #[test]
    fn a_token_is_good_for_a_day() {
        let tokens = Tokens::default();
        for (age, is_good) in [(0, true), (86_300, true), (86_500, false)] {
            let signed = Signed { former: former(None), issued: now() - age };
            let content = serde_json::to_vec(&signed).unwrap();
            let token = tokens.sign(&purpose("Chat"), &content);
            let read = Resumption::read(&tokens, "Chat", None, ("s-0,1", &token));
            assert_eq!(read.is_ok(), is_good, "{age}");
        }
    }

    #[test]
    fn a_new_client_has_an_empty_cursor_and_others_a_valid_one() {
        let tokens = Tokens::default();
        let read = |cursor, groups| Resumption::read(&tokens, "Chat", None, (cursor, groups));
        assert!(!read("", "").unwrap().goes_on());
        assert!(!read("", "left over").unwrap().goes_on());
        assert!(read("s-0,1", "").unwrap().goes_on());
        for (cursor, groups) in [("x", ""), ("s-0,", ""), ("s-0,1", "x"), ("s-0,1", "a.b")] {
            assert!(read(cursor, groups).is_err(), "{cursor} {groups}");
        }
    }
}
