//! The length before each message of a binary protocol: 7 bits a byte, lowest bits first, in at most
//! 5 bytes.
//!
//! Messages are independent of the pieces in which the stream arrives. A message that exceeds the
//! limit fails as soon as its length is known, so an announced length never reserves memory.

use std::ops::Range;

use bytes::Bytes;

use thiserror::Error;

/// The reason why a message cannot be read.
///
/// ```
/// use dialect::length_prefix::{LengthError, split};
/// assert_eq!(split(&[9], 4), Err(LengthError::TooLarge(4)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LengthError {
    /// The message exceeds this limit, in bytes.
    #[error("expected at most {0} bytes, found a longer message")]
    TooLarge(usize),
    /// The prefix has more than 5 bytes or exceeds 2 GiB.
    #[error("expected a length of up to 2 GiB in at most 5 bytes")]
    Invalid,
}

/// Returns the place of the first message without its prefix, or `None` if it is incomplete.
///
/// `limit` is the maximum size of a message with its prefix. The next message begins at the end of
/// the range.
///
/// ```
/// let unread = [2, 0x91, 0x06, 2];
/// assert_eq!(dialect::length_prefix::split(&unread, 100), Ok(Some(1..3)));
/// assert_eq!(dialect::length_prefix::split(&unread[3..], 100), Ok(None));
/// ```
///
/// # Errors
///
/// Returns [`LengthError::TooLarge`] if the message exceeds the limit, and
/// [`LengthError::Invalid`] if the prefix has more than 5 bytes or exceeds 2 GiB.
pub fn split(unread: &[u8], limit: usize) -> Result<Option<Range<usize>>, LengthError> {
    let mut length: u64 = 0;
    for (at, &byte) in unread.iter().enumerate().take(BYTES_MAX) {
        length |= u64::from(byte & !MORE) << (BITS * at);
        if byte & MORE == 0 {
            return place(at + 1, length, limit).map(|place| whole(place, unread.len()));
        }
    }
    if unread.len() < BYTES_MAX { Ok(None) } else { Err(LengthError::Invalid) }
}

/// Returns a message with its prefix. `write` appends the message to the vector.
///
/// ```
/// let message = dialect::length_prefix::prefixed(|bytes| bytes.extend([0x91, 0x06]));
/// assert_eq!(message[..], [2, 0x91, 0x06]);
/// ```
pub fn prefixed(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = vec![0; BYTES_MAX];
    write(&mut bytes);
    let mut prefix = Vec::with_capacity(BYTES_MAX);
    let mut rest = bytes.len() - BYTES_MAX;
    while rest >= usize::from(MORE) {
        prefix.push(rest.to_le_bytes()[0] | MORE);
        rest >>= BITS;
    }
    prefix.push(rest.to_le_bytes()[0]);
    // The prefix ends where the message begins.
    let start = BYTES_MAX - prefix.len();
    bytes[start..BYTES_MAX].copy_from_slice(&prefix);
    Bytes::from(bytes).slice(start..)
}

fn place(start: usize, length: u64, limit: usize) -> Result<Range<usize>, LengthError> {
    if length > LENGTH_MAX {
        return Err(LengthError::Invalid);
    }
    let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    match end {
        Some(end) if end <= limit => Ok(start..end),
        _ => Err(LengthError::TooLarge(limit)),
    }
}

fn whole(place: Range<usize>, available: usize) -> Option<Range<usize>> {
    if place.end <= available { Some(place) } else { None }
}

/// Maximum size of a prefix.
const BYTES_MAX: usize = 5;
/// Bits of the length in each byte.
const BITS: usize = 7;
/// The bit of all bytes of a prefix but the last.
const MORE: u8 = 0x80;
/// Lengths are signed 32-bit integers in ASP.NET Core.
const LENGTH_MAX: u64 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_seven_bits_a_byte() {
        for (length, prefix) in [
            (0, &[0x00][..]),
            (1, &[0x01]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xff, 0xff, 0x7f]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
        ] {
            let message = prefixed(|bytes| bytes.resize(bytes.len() + length, 7));
            assert_eq!(message[..prefix.len()], *prefix, "{length}");
            let end = prefix.len() + length;
            assert_eq!(split(&message, usize::MAX), Ok(Some(prefix.len()..end)));
            assert_eq!(message.len(), end);
        }
    }

    #[test]
    fn a_message_may_span_several_pieces() {
        let message = prefixed(|bytes| bytes.resize(bytes.len() + 200, 7));
        for end in 0..message.len() {
            assert_eq!(split(&message[..end], 1_000), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_piece_may_hold_several_messages() {
        let bytes = [2, 0x91, 6, 1, 0xc0, 0];
        assert_eq!(split(&bytes, 8), Ok(Some(1..3)));
        assert_eq!(split(&bytes[3..], 8), Ok(Some(1..2)));
        assert_eq!(split(&bytes[5..], 8), Ok(Some(1..1)));
        assert_eq!(split(&[], 8), Ok(None));
    }

    #[test]
    fn a_message_at_the_limit_passes_and_a_longer_one_does_not() {
        assert_eq!(split(&[3, 1, 2, 3], 4), Ok(Some(1..4)));
        // The message has not arrived, but its length has.
        assert_eq!(split(&[4], 4), Err(LengthError::TooLarge(4)));
        assert_eq!(split(&[0xff, 0xff, 0xff, 0xff, 0x07], 4), Err(LengthError::TooLarge(4)));
    }

    #[test]
    fn a_length_above_two_gigabytes_is_refused() {
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        check(&[0xff, 0xff, 0xff, 0xff, 0x80]);
        check(&[0x80, 0x80, 0x80, 0x80, 0x08]);
        check(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
    }

    fn check(prefix: &[u8]) {
        assert_eq!(split(prefix, usize::MAX), Err(LengthError::Invalid), "{prefix:x?}");
    }
}
