//! Recognizes the scripts of ASP.NET SignalR 2 and of package `backplane`, which run without Lua.
//!
//! All versions of its servers send these texts only, with line ends that depend on the build. The
//! SHA1 of a text without blanks identifies it. `commands` has the scripts in Rust, with the same
//! replies.
//!
//! One difference is intended: Lua prints numbers from 10^14 on as `1e+14`, which those servers
//! cannot parse. This broker prints all digits of an id.

use super::sha::hex;

/// A script with native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// Increments the counter, and publishes it with the message. Returns counter, message and
    /// payload.
    Send,
    /// The form of SignalR 2.0 and 2.1, which returns the number of receivers.
    SendOnly,
    /// Sends all arguments as messages with consecutive numbers, and returns the first number. The
    /// form of package `backplane`.
    SendAll,
    /// Raises the counter to the highest id that a server has seen. Compares numbers.
    Restore,
    /// The form of 2.2.1, which compares texts.
    RestoreByText,
    /// The form of 2.2.0, which compares texts and requires a counter.
    RestoreExisting,
}

/// Longer texts are none of these scripts. The longest one has 297 bytes.
const TEXT_BYTES_MAX: usize = 512;

const KNOWN: [(&str, Native); 6] = [
    ("340d1afb07148fcd402a53a4fb2027ef46a3f0a3", Native::Send),
    ("915c2fdc211e156c72006c86eed425cc1bc4a840", Native::SendOnly),
    ("06782417edb3c7a64c402d41f5d2610b7975bec9", Native::SendAll),
    ("530572706466e9b561c3cec0269ab37d11fffb57", Native::Restore),
    ("18ba46411c12d1053dc3b34f774dde992d2d64f9", Native::RestoreByText),
    ("ea5a184e91964807b076d2fb8f6e45949d1e8a9f", Native::RestoreExisting),
];

impl Native {
    /// Returns the native code for a script, if there is any.
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
    fn a_script_is_recognized_with_any_line_ends() {
        let windows = SEND.replace('\n', "\r\n");
        assert_eq!(Native::of(SEND.as_bytes()), Some(Native::Send));
        assert_eq!(Native::of(windows.as_bytes()), Some(Native::Send));
        // Reports of SignalR's users show this SHA1.
        let sha = Sha::of(windows.as_bytes());
        assert_eq!(sha.as_bytes(), b"5b8e3b60e050400311bc8b6ef2cbba37bc0b9cb3");
    }

    #[test]
    fn other_texts_are_not_recognized() {
        assert_eq!(Native::of(b"return 1"), None);
        assert_eq!(Native::of(SEND.replace("INCR", "incr").as_bytes()), None);
        assert_eq!(Native::of(&[b' '; 100_000]), None);
    }
}
