//! The bytes that a value takes in an RDB file of Redis, which `DEBUG OBJECT` reports.
//!
//! Nothing is written. Redis compresses long values with LZF, so their length depends on the matches
//! that its compressor finds: [`compressed_length`] looks in the same places.

use super::value::Value;

/// Shorter values are not compressed.
const COMPRESSED_MIN: usize = 21;

/// Returns the bytes of a value in an RDB file.
pub(crate) fn stored_length(value: &Value) -> usize {
    let length = value.len();
    match value {
        Value::Integer(-128..=127) => 2,
        Value::Integer(-32_768..=32_767) => 3,
        Value::Integer(-2_147_483_648..=2_147_483_647) => 5,
        value if length >= COMPRESSED_MIN => match compressed_length(&value.text()) {
            Some(bytes) => 1 + length_bytes(bytes) + length_bytes(length) + bytes,
            None => length_bytes(length) + length,
        },
        _ => length_bytes(length) + length,
    }
}

/// Returns the bytes of a length in front of a text.
fn length_bytes(length: usize) -> usize {
    match length {
        0..64 => 1,
        64..16_384 => 2,
        _ => 5,
    }
}

/// The maximum number of bytes that stand in the output as they are, behind one byte with their count.
const LITERALS_MAX: usize = 32;
/// The maximum distance of a match from its copy.
const DISTANCE_MAX: usize = 8192;
/// The maximum length of a match beyond its first two bytes.
const MATCH_MAX: usize = 264;
/// Copies from this length on take a byte more.
const LONG_COPY: usize = 9;
/// The compressor remembers the last place of each hash of three bytes.
const HASH_BITS: u32 = 16;

/// Returns the length of a text after LZF; `None` if it would not be at least 4 bytes shorter.
fn compressed_length(text: &[u8]) -> Option<usize> {
    let room = text.len().checked_sub(4)?;
    let mut places = vec![usize::MAX; 1 << HASH_BITS];
    let hash = |at: usize| {
        let bytes = u32::from_be_bytes([0, text[at], text[at + 1], text[at + 2]]);
        let hash = (bytes >> (24 - HASH_BITS)).wrapping_sub(bytes.wrapping_mul(5));
        (hash & ((1 << HASH_BITS) - 1)) as usize
    };
    // Each run of literals begins with a byte for its count.
    let (mut out, mut literals, mut at) = (1, 0, 0);
    while at + 2 < text.len() {
        let before = std::mem::replace(&mut places[hash(at)], at);
        let is_match = before != usize::MAX
            && before > 0
            && at - before - 1 < DISTANCE_MAX
            && text[before..before + 3] == text[at..at + 3];
        if !is_match {
            if out >= room {
                return None;
            }
            at += 1;
            out += 1;
            literals += 1;
            if literals == LITERALS_MAX {
                (out, literals) = (out + 1, 0);
            }
            continue;
        }
        let is_empty = usize::from(literals == 0);
        if out - is_empty + 4 >= room {
            return None;
        }
        let length = match_length(text, before, at);
        out += if length < LONG_COPY { 2 } else { 3 } + 1 - is_empty;
        literals = 0;
        at += length;
        if at + 2 >= text.len() {
            break;
        }
        places[hash(at - 2)] = at - 2;
        places[hash(at - 1)] = at - 1;
    }
    if out + 3 > room {
        return None;
    }
    for _ in at..text.len() {
        out += 1;
        literals += 1;
        if literals == LITERALS_MAX {
            (out, literals) = (out + 1, 0);
        }
    }
    Some(out - usize::from(literals == 0))
}

/// Returns how many bytes at `at` equal those at `before`, of which three do. The compressor compares
/// 19 bytes at once before it looks at its maximum.
fn match_length(text: &[u8], before: usize, at: usize) -> usize {
    let pairs = text[before..].iter().zip(&text[at..]);
    let equal = pairs.take_while(|(one, other)| one == other).count();
    let most = (text.len() - at - 2).min(MATCH_MAX);
    equal.min(if most > 16 { most.max(19) } else { most.max(3) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: usize) {
        assert_eq!(stored_length(&Value::new(text.as_bytes())), expected, "{text:.40}");
    }

    /// Lengths that Redis reports.
    #[test]
    fn lengths_are_those_of_an_rdb_file() {
        for (text, expected) in [("1", 2), ("5000000000", 11), ("hello", 6)] {
            check(text, expected);
        }
        check(&"a".repeat(20), 21);
        check(&"a".repeat(21), 9);
        check(&"a".repeat(100), 13);
        check(&"ab".repeat(50), 14);
        check("hello world hello world hello world", 23);
        check(&"abcdefghijklmnopqrstuvwxyz0123456789".repeat(10), 52);
        check(&"x".repeat(100_000), 1151);
        check("every letter of this text is new: 0123456789", 45);
    }
}
