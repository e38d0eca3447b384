//! Positions in the message stream, in the text format of SignalR 2's clients.
//!
//! `s-0,4AC5` means: of stream 0, all messages up to id 4AC5. The broker assigns the ids, so a
//! cursor has the same meaning on all servers of the app.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A position in the message stream of an app. Positions compare in the order of the stream.
///
/// A client that sends the text of its cursor can continue on any server, see
/// [`Backplane::attach_at`](crate::Backplane::attach_at).
///
/// ```
/// let cursor: backplane::Cursor = "s-0,4AC5".parse()?;
/// assert_eq!(cursor.to_string(), "s-0,4AC5");
/// # Ok::<(), backplane::CursorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// `None` is before the first message that a server received.
    id: Option<u64>,
}

/// The error for a text that is not a cursor.
///
/// ```
/// let error = "s-0,xyz".parse::<backplane::Cursor>().unwrap_err();
/// assert_eq!(error.to_string(), r#"expected a cursor such as s-0,4AC5, found "s-0,xyz""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a cursor such as s-0,4AC5, found {found:?}")]
pub struct CursorError {
    found: String,
}

/// SignalR's id before any message was received.
const NONE: u64 = u64::MAX;

impl Cursor {
    pub(crate) fn at(id: Option<u64>) -> Self {
        Self { id }
    }

    pub(crate) fn id(self) -> Option<u64> {
        self.id
    }

    /// Returns whether this is the position before all messages, as on a server that has received
    /// none. On another server, all messages of its history follow it.
    ///
    /// ```
    /// assert!("s-0,FFFFFFFFFFFFFFFF".parse::<backplane::Cursor>()?.is_start());
    /// assert!(!"s-0,4AC5".parse::<backplane::Cursor>()?.is_start());
    /// # Ok::<(), backplane::CursorError>(())
    /// ```
    pub fn is_start(self) -> bool {
        self.id.is_none()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-0,{:X}", self.id.unwrap_or(NONE))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    /// Parses a cursor. The cursor of a server without a backplane (`d-…`) and a cursor of several
    /// streams count as the position before all messages.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let error = || CursorError { found: text.chars().take(SHOWN_CHARS_MAX).collect() };
        if text.starts_with("d-") {
            return Ok(Self { id: None });
        }
        let streams = text.strip_prefix("s-").ok_or_else(error)?;
        let mut ids = streams.split('|').map(|stream| {
            let (_, id) = stream.split_once(',').filter(|(key, _)| !key.is_empty())?;
            hexadecimal(id)
        });
        let first = ids.next().flatten().ok_or_else(error)?;
        match ids.next() {
            None => Ok(Self { id: (first != NONE).then_some(first) }),
            Some(second) if second.is_some() && ids.all(|id| id.is_some()) => Ok(Self { id: None }),
            Some(_) => Err(error()),
        }
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    match text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => u64::from_str_radix(text, 16).ok(),
        false => None,
    }
}

/// Maximum characters in an error text, since clients may send any text.
const SHOWN_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_is_written() {
        for (text, id) in [
            ("s-0,4AC5", Some(0x4AC5)),
            ("s-0,0", Some(0)),
            ("s-0,FFFFFFFFFFFFFFFE", Some(u64::MAX - 1)),
            ("s-0,FFFFFFFFFFFFFFFF", None),
        ] {
            assert_eq!(text.parse(), Ok(Cursor { id }), "{text}");
            assert_eq!(Cursor { id }.to_string(), text);
        }
    }

    #[test]
    fn a_foreign_cursor_is_before_all_messages() {
        for text in ["d-5B3C29,0", "d-", "s-0,1|1,2"] {
            assert_eq!(text.parse(), Ok(Cursor { id: None }), "{text}");
        }
    }

    #[test]
    fn invalid_cursors_are_rejected() {
        let long = format!("s-0,{}", "F".repeat(1000));
        for text in ["", "s-", "s-0", "s-0,", "s-,1", "s-0,+1", "s-0,1|", "x-0,1", long.as_str()] {
            let error = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(error.len() < 200, "{text}: {error}");
        }
    }
}
