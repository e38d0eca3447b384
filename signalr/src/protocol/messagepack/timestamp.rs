//! Timestamps: the extension of type -1, in three lengths.
//!
//! JSON clients send a time as RFC 3339 text, so methods read text. .NET's and JavaScript's clients
//! send a timestamp in MessagePack, always in UTC.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use dialect::messagepack::{Head, Reader};
use rmp::encode::{self, ByteBuf};

/// Returns the values with all timestamps as text, or `None` if there are none.
///
/// A time that RFC 3339 cannot express stays a timestamp.
pub(super) fn to_text(values: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(values);
    let mut texts = ByteBuf::new();
    let mut has_changed = false;
    while !reader.is_empty() {
        let (head, bytes) = reader.head_and_bytes()?;
        if let Some(text) = rfc_3339(head) {
            let Ok(()) = encode::write_str(&mut texts, &text);
            has_changed = true;
        } else {
            texts.as_mut_vec().extend_from_slice(bytes);
        }
    }
    if has_changed { Some(texts.into_vec()) } else { None }
}

/// Returns the text of a timestamp.
fn rfc_3339(head: Head<'_>) -> Option<String> {
    let Head::Extension { kind: TIMESTAMP, data } = head else { return None };
    let time = time(data)?;
    if !(0..=9999).contains(&time.year()) {
        return None;
    }
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn time(data: &[u8]) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = match data.len() {
        4 => (u32::from_be_bytes(data.try_into().ok()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(both & SECONDS).ok()?, u32::try_from(both >> SECONDS_BITS).ok()?)
        }
        12 => {
            let (nanoseconds, seconds) = data.split_first_chunk()?;
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*nanoseconds))
        }
        _ => return None,
    };
    // More nanoseconds would be a leap second for chrono.
    if nanoseconds >= 1_000_000_000 {
        return None;
    }
    DateTime::from_timestamp(seconds, nanoseconds)
}

/// The type of the extension in the MessagePack specification.
const TIMESTAMP: i8 = -1;
/// Bits of the seconds in a timestamp of 8 bytes. The other bits are nanoseconds.
const SECONDS_BITS: u32 = 34;
const SECONDS: u64 = (1 << SECONDS_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_of_any_length_becomes_text() {
        // The first two are from a .NET server.
        check(&[0xd6, 0xff, 0x38, 0x6d, 0x43, 0x80], "2000-01-01T00:00:00Z");
        check(
            &[0xd7, 0xff, 0xbc, 0x1c, 0xbd, 0x00, 0x65, 0xe0, 0x79, 0xf0],
            "2024-02-29T12:34:56.789Z",
        );
        check(&[0xd6, 0xff, 0xff, 0xff, 0xff, 0xff], "2106-02-07T06:28:15Z");
        check(
            &[0xc7, 0x0c, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "1969-12-31T23:59:59.000000001Z",
        );
    }

    #[test]
    fn other_values_stay() {
        let values =
            [0x94, 0xa1, b'a', 0xd6, 0xff, 0, 0, 0, 0, 0xd6, 0xfe, 0, 0, 0, 0, 0x91, 0xcc, 0x80];
        let text = b"\xb41970-01-01T00:00:00Z";
        let expected = [&values[..3], text, &values[9..]].concat();
        assert_eq!(to_text(&values), Some(expected));
        assert_eq!(to_text(&values[9..]), None);
    }

    #[test]
    fn a_time_that_text_cannot_express_stays() {
        let year_10_000 = 253_402_300_800_i64;
        for (nanoseconds, seconds) in
            [(0, year_10_000), (1_000_000_000, 0), (0, i64::MAX), (0, i64::MIN)]
        {
            let data = [&u32::to_be_bytes(nanoseconds)[..], &i64::to_be_bytes(seconds)].concat();
            assert_eq!(to_text(&[&[0xc7, 12, 0xff], &data[..]].concat()), None, "{seconds}");
        }
        assert_eq!(to_text(&[0xd5, 0xff, 0, 0]), None);
    }

    fn check(timestamp: &[u8], expected: &str) {
        let text = to_text(timestamp).unwrap();
        assert_eq!(rmp_serde::from_slice::<&str>(&text).unwrap(), expected);
    }
}
