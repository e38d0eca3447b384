//! The scripts of ASP.NET SignalR 2, which run without Lua.
//!
//! Its servers send these few texts and no others, whatever their version; the line ends differ with
//! how they were built. A text is known by the SHA1 of what is left of it without blanks. What the
//! scripts do is written again in Rust, in `session`, with the very same replies.
//!
//! One thing differs on purpose: Lua writes a number from 10^14 on as `1e+14`, which those servers
//! cannot read. Here an id is always its digits.

use super::sha::hex;

/// What one of these scripts does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// Counts, publishes the count and the message, and returns count, message and what was
    /// published.
    Send,
    /// The same of SignalR 2.0 and 2.1; returns the number of receivers.
    SendOnly,
    /// Raises the count to what a server has seen, by number.
    Restore,
    /// The same of 2.2.1, by text.
    RestoreByText,
    /// The same of 2.2.0, by text, for a count that exists.
    RestoreExisting,
}

/// The longest of the texts has 297 bytes.
const TEXT_BYTES_MAX: usize = 512;

const KNOWN: [(&str, Native); 5] = [
    ("340d1afb07148fcd402a53a4fb2027ef46a3f0a3", Native::Send),
    ("915c2fdc211e156c72006c86eed425cc1bc4a840", Native::SendOnly),
    ("530572706466e9b561c3cec0269ab37d11fffb57", Native::Restore),
    ("18ba46411c12d1053dc3b34f774dde992d2d64f9", Native::RestoreByText),
    ("ea5a184e91964807b076d2fb8f6e45949d1e8a9f", Native::RestoreExisting),
];

impl Native {
    /// Recognises a script.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let rest: Vec<u8> = text.iter().copied().filter(|byte| !is_blank(byte)).collect();
        let fingerprint = hex(&rest);
        KNOWN.iter().find(|(known, _)| known.as_bytes() == fingerprint).map(|&(_, native)| native)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::sha::Sha;

    const SEND: &str = "local newId = redis.call('INCR', KEYS[1])
                  local payload = newId .. ' ' .. ARGV[1]
                  redis.call('PUBLISH', KEYS[1], payload)
                  return {newId, ARGV[1], payload}";

    #[test]
    fn a_script_is_known_whatever_its_line_ends() {
        let windows = SEND.replace('\n', "\r\n");
        assert_eq!(Native::of(SEND.as_bytes()), Some(Native::Send));
        assert_eq!(Native::of(windows.as_bytes()), Some(Native::Send));
        // The name that is found in reports of SignalR's users.
        let sha = Sha::of(windows.as_bytes());
        assert_eq!(sha.as_bytes(), b"5b8e3b60e050400311bc8b6ef2cbba37bc0b9cb3");
    }

    #[test]
    fn any_other_text_is_not() {
        assert_eq!(Native::of(b"return 1"), None);
        assert_eq!(Native::of(SEND.replace("INCR", "incr").as_bytes()), None);
        assert_eq!(Native::of(&[b' '; 100_000]), None);
    }
}
