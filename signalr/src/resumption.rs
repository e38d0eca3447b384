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

/// Where a resumable connection begins.
#[derive(Clone, Debug)]
pub(crate) enum Resumption {
    New,
    /// The client has been here, and its place is not known any more.
    Lost,
    At(Cursor, Former),
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
    /// The place of the connection. The client has received all before it.
    at: String,
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
    #[error("the groups token is not one of this hub")]
    Token,
}

impl Resumption {
    /// Reads the query of a client: its cursor, which is empty for a new client, and its groups token.
    ///
    /// A token of another user, an old one or none is no error, since the client could not connect any
    /// more: it begins anew, and learns that it has lost messages. No cursor is before the place of
    /// the token, so a client gets no messages of a time in which it was not there.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is invalid.
    pub(crate) fn read(
        tokens: &Tokens,
        hub: &str,
        user_id: Option<&str>,
        (cursor, groups): (&str, &str),
    ) -> Result<Self, ResumptionError> {
        if cursor.is_empty() {
            return Ok(Self::New);
        }
        let cursor: Cursor = cursor.parse()?;
        if groups.is_empty() {
            return Ok(Self::Lost);
        }
        let content = tokens.verify(&purpose(hub), groups).map_err(|invalid| match invalid {
            Invalid::UnknownKey => ResumptionError::UnknownKey,
            Invalid::Forged => ResumptionError::Token,
        })?;
        let Signed { former, at, issued } =
            serde_json::from_slice(&content).map_err(|_| ResumptionError::Token)?;
        let at: Cursor = at.parse().map_err(|_| ResumptionError::Token)?;
        let is_old = now().saturating_sub(issued) > AGE_MAX.as_secs();
        if is_old || former.user_id.as_deref() != user_id {
            return Ok(Self::Lost);
        }
        Ok(Self::At(cursor.max(at), former))
    }

    /// Attaches the connection.
    pub(crate) fn attach(&self, backplane: &Backplane, id: &str, user: Option<&str>) -> Connection {
        match self {
            Self::New | Self::Lost => backplane.attach(id, user),
            Self::At(cursor, former) => {
                let groups: Vec<&str> = former.groups.iter().map(String::as_str).collect();
                backplane.attach_after(&former.connection_id, id, user, &groups, *cursor)
            }
        }
    }

    /// Returns the groups in which the connection begins.
    pub(crate) fn groups(&self) -> &[String] {
        match self {
            Self::New | Self::Lost => &[],
            Self::At(_, former) => &former.groups,
        }
    }
}

impl Former {
    /// Returns the groups token of a connection at this place. With too many groups it is empty: a longer
    /// one does not fit the head of a request.
    pub(crate) fn sign(self, tokens: &Tokens, hub: &str, at: Cursor) -> String {
        let signed = Signed { former: self, at: at.to_string(), issued: now() };
        let content = serde_json::to_vec(&signed).expect("texts and a number can be written");
        if content.len() > CONTENT_BYTES_MAX {
            return String::new();
        }
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
/// Base64 makes 16 KiB of it, half of what `serve` takes as the head of a request.
const CONTENT_BYTES_MAX: usize = 12 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn former(user_id: Option<&str>) -> Former {
        let user_id = user_id.map(str::to_owned);
        Former { connection_id: "c1".to_owned(), user_id, groups: vec!["red, \"a\"".to_owned()] }
    }

    fn place(text: &str) -> Cursor {
        text.parse().unwrap()
    }

    /// Returns what a client gets with a cursor and a token.
    fn read(tokens: &Tokens, user: Option<&str>, cursor: &str, groups: &str) -> String {
        match Resumption::read(tokens, "Chat", user, (cursor, groups)) {
            Ok(Resumption::New) => "new".to_owned(),
            Ok(Resumption::Lost) => "lost".to_owned(),
            Ok(Resumption::At(cursor, of)) => format!("{cursor} {}", of.groups.join("+")),
            Err(error) => error.to_string().split(' ').next_back().unwrap().to_owned(),
        }
    }

    #[test]
    fn a_client_goes_on_with_its_own_token() {
        let tokens = Tokens::default();
        let of = |user| former(user).sign(&tokens, "Chat", place("s-0,20"));
        let (guest, ann) = (of(None), of(Some("ann")));
        let of_other_hub = former(None).sign(&tokens, "Other", place("s-0,20"));
        let of_other_key = former(None).sign(&Tokens::default(), "Chat", place("s-0,20"));
        for (user, cursor, token, expected) in [
            (None, "s-0,21", &*guest, "s-0,21 red, \"a\""),
            (Some("ann"), "s-0,21", &ann, "s-0,21 red, \"a\""),
            // Not before the place of the token.
            (None, "s-0,1", &guest, "s-0,20 red, \"a\""),
            (None, "d-1", &guest, "s-0,20 red, \"a\""),
            (None, "s-0,FFFFFFFFFFFFFFFF", &guest, "s-0,20 red, \"a\""),
            (Some("bob"), "s-0,21", &ann, "lost"),
            (None, "s-0,21", &ann, "lost"),
            (None, "s-0,21", "", "lost"),
            (None, "", "", "new"),
            (None, "", "left over", "new"),
            (None, "s-0,21", &of_other_hub, "hub"),
            (None, "s-0,21", &of_other_key, "key"),
            (None, "s-0,21", "x", "hub"),
            (None, "s-0,", &guest, "\"s-0,\""),
            (None, "undefined", &guest, "\"undefined\""),
        ] {
            assert_eq!(read(&tokens, user, cursor, token), expected, "{user:?} {cursor}");
        }
    }

    #[test]
    fn a_token_is_good_for_a_day() {
        let tokens = Tokens::default();
        for (age, is_good) in [(0, true), (86_300, true), (86_500, false)] {
            let (at, issued) = ("s-0,1".to_owned(), now() - age);
            let content = serde_json::to_vec(&Signed { former: former(None), at, issued }).unwrap();
            let token = tokens.sign(&purpose("Chat"), &content);
            let read = read(&tokens, None, "s-0,1", &token);
            assert_eq!(read != "lost", is_good, "{age}");
        }
    }

    #[test]
    fn too_many_groups_have_no_token() {
        let groups = (0..1000).map(|number| format!("room of many letters {number}")).collect();
        let former = Former { groups, ..former(None) };
        assert_eq!(former.sign(&Tokens::default(), "Chat", place("s-0,1")), "");
    }
}
