//! The id of a server of the app, as a token contains it.
//!
//! The backplane names servers by GUIDs. A token has their 16 bytes.

use std::fmt;

/// A server of the app.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ServerId(pub(crate) [u8; ServerId::BYTES]);

impl ServerId {
    pub(crate) const BYTES: usize = 16;

    /// Reads the id of a [`backplane::Server`].
    pub(crate) fn parse(guid: &str) -> Option<Self> {
        let digits = guid.replace('-', "");
        let is_guid = digits.len() == 2 * Self::BYTES;
        let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| is_guid)?;
        Some(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", u128::from_be_bytes(self.0));
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_text_of_the_backplane() {
        for text in ["0b6ff2a4-2f4b-4c33-9d0a-5e6b9e8f7a10", "00000000-0000-4000-8000-000000000000"]
        {
            assert_eq!(ServerId::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "web-1", "0b6ff2a4", "0b6ff2a4-2f4b-4c33-9d0a-5e6b9e8f7a1g"] {
            assert_eq!(ServerId::parse(text), None, "{text}");
        }
    }
}
