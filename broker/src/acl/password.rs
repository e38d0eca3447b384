//! Passwords: stored as SHA-256, compared in constant time, generated from the system's randomness.

use std::fmt;
use std::fmt::Write;

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 of a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PasswordHash([u8; 32]);

/// The passwords of a user, in the order in which they were added.
pub(crate) type Passwords = IndexSet<PasswordHash, RandomState>;

impl PasswordHash {
    pub(super) fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// Parses the 64 lower case digits of a rule.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// Compares in constant time.
    pub(super) fn equals(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Writes the 64 lower case digits.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// Hides the hash.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Returns a password of `bits` random bits: a lower case hexadecimal digit for each four, rounded
/// up.
///
/// # Errors
///
/// The operating system provides no randomness.
pub(crate) fn generate_password(bits: usize) -> Result<String, getrandom::Error> {
    let digits = bits.div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut bytes)?;
    let mut password = to_hex(&bytes);
    password.truncate(digits);
    Ok(password)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = PasswordHash::of(b"a");
        let digits = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert_eq!(hash.to_string(), digits);
        assert!(bool::from(PasswordHash::parse(digits.as_bytes()).unwrap().equals(&hash)));
        for wrong in [&digits[1..], &format!("{digits}0"), &digits.to_uppercase(), ""] {
            assert_eq!(PasswordHash::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_of_a_hash_is_shown_by_accident() {
        assert_eq!(format!("{:?}", PasswordHash::of(b"a")), "PasswordHash(..)");
    }

    #[test]
    fn a_generated_password_has_a_digit_for_four_bits() {
        for (bits, digits) in [(1, 1), (4, 1), (5, 2), (9, 3), (256, 64), (4096, 1024)] {
            let password = generate_password(bits).unwrap();
            assert_eq!(password.len(), digits, "{bits}");
            assert!(password.bytes().all(|byte| digit(byte).is_some()), "{password}");
        }
        assert_ne!(generate_password(256).unwrap(), generate_password(256).unwrap());
    }
}
