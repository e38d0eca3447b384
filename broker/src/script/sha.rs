//! The name of a script: the SHA1 of its exact text, in hexadecimal.

use std::fmt;

use sha1_smol::Sha1;

/// 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sha([u8; 40]);

impl Sha {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(hex(text))
    }

    /// Parses the argument of a client. Accepts any text of the right length, as Redis does.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut sha = Self(text.try_into().ok()?);
        sha.0.make_ascii_lowercase();
        Some(sha)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.escape_ascii().to_string())
    }
}

/// Returns the SHA1 of `text` in hexadecimal.
pub(crate) fn hex(text: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha1::from(text).digest().bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_named_by_its_text() {
        let sha = Sha::of(b"return 1");
        assert_eq!(sha.as_bytes(), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Sha::read(b"E0E1F9fabfc9d4800c877a703b823ac0578ff8db"), Some(sha));
        assert_eq!(Sha::read(b"e0e1"), None);
    }
}
